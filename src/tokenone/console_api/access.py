"""Access tokens: JWTs of 15 minutes, signed with the session key, naming a person's session.

Law: HS256 and nothing else is accepted; whatever is wrong with a token, the answer is one of two. That the
session still lives is the store's to say, on every request.
"""

from __future__ import annotations

from typing import Final

import msgspec
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OctKey

from tokenone.clock import MINUTE_US, SECOND_US
from tokenone.errors import NotSignedIn, SessionExpired

ACCESS_US: Final = 15 * MINUTE_US
_ALGORITHM: Final = "HS256"
_AUDIENCE: Final = "tokenone-console"


class Access(msgspec.Struct, frozen=True):
    """What an access token says."""

    person: str
    session: str


def make_access(session_key: bytes, access: Access, now_us: int) -> str:
    """Returns a signed access token."""
    now = now_us // SECOND_US
    claims = {
        "aud": _AUDIENCE,
        "sub": access.person,
        "sid": access.session,
        "iat": now,
        "exp": now + ACCESS_US // SECOND_US,
    }
    header = {"alg": _ALGORITHM, "typ": "at+jwt"}
    return jwt.encode(header, claims, OctKey.import_key(session_key), algorithms=[_ALGORITHM])


def read_access(session_key: bytes, text: str, now_us: int) -> Access:
    """Verifies a token; SessionExpired when only its time is over, NotSignedIn otherwise."""
    expected = jwt.JWTClaimsRegistry(
        now=lambda: now_us // SECOND_US,
        leeway=0,
        aud={"essential": True, "value": _AUDIENCE},
        sub={"essential": True},
        sid={"essential": True},
        exp={"essential": True},
    )
    try:
        token = jwt.decode(text, OctKey.import_key(session_key), algorithms=[_ALGORITHM])
        expected.validate(token.claims)
    except ExpiredTokenError:
        raise SessionExpired from None
    except (JoseError, ValueError, TypeError):
        raise NotSignedIn from None
    if token.header.get("typ") != "at+jwt":
        raise NotSignedIn
    return Access(str(token.claims["sub"]), str(token.claims["sid"]))
