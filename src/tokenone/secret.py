"""A secret that cannot be shown: no repr, str, format, pickle, JSON, equality, hash, length or iteration.

Law: `reveal` is the one function that reads a `Secret`; whoever calls it must be on the list that the
floors' test keeps. It does not protect memory; see SECURITY.md for what that means.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from tokenone.errors import TokenOneError


class SecretShown(TokenOneError):
    """Somebody tried to print, compare, copy or serialise a secret."""

    code = "secret_shown"
    advice = "A secret cannot be shown, compared, copied or serialised."


class Secret:
    """Holds bytes that only `reveal` gives back."""

    __slots__ = ("__held",)

    def __init__(self, held: bytes) -> None:
        self.__held: Final = bytes(held)

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise SecretShown

    __repr__ = __str__ = __format__ = __bytes__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __reduce__ = __reduce_ex__ = __getstate__ = __copy__ = __deepcopy__ = _refuse
    __iter__ = __len__ = __getitem__ = __contains__ = _refuse
    __hash__ = _refuse

    def __bool__(self) -> bool:
        return True

    def __init_subclass__(cls, **_: Any) -> None:
        raise SecretShown("a Secret cannot be subclassed")


def reveal(secret: Secret) -> bytes:
    """Returns the plaintext: called where a credential is put on a request, and nowhere near a log."""
    held: bytes = object.__getattribute__(secret, "_Secret__held")
    return held
