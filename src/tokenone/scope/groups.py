"""An index from a group to its members (an assignment's scope, a version's key), small for groups of one.

Law: adding, replacing and removing one member cost O(1) whatever the group's size, because a delta is
applied between two calls. Most groups have one member at 100,000 keys; those are kept bare, without a
dictionary of their own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, TypeVar

G = TypeVar("G")
M = TypeVar("M")
V = TypeVar("V")


class Groups(Generic[G, M, V]):
    """Members `V` with ids `M` under groups `G`."""

    __slots__ = ("_many", "_one")

    def __init__(self) -> None:
        self._one: dict[G, tuple[M, V]] = {}
        self._many: dict[G, dict[M, V]] = {}

    def put(self, group: G, member: M, value: V) -> None:
        """Adds a member or replaces it."""
        many = self._many.get(group)
        if many is not None:
            many[member] = value
            return
        one = self._one.get(group)
        if one is None or one[0] == member:
            self._one[group] = (member, value)
            return
        del self._one[group]
        self._many[group] = {one[0]: one[1], member: value}

    def drop(self, group: G, member: M) -> None:
        """Removes a member; an absent one is no error."""
        many = self._many.get(group)
        if many is None:
            one = self._one.get(group)
            if one is not None and one[0] == member:
                del self._one[group]
            return
        many.pop(member, None)
        if not many:
            del self._many[group]

    def of(self, group: G) -> Collection[V]:
        """Returns the members of a group, in no promised order; not to be kept over a change."""
        one = self._one.get(group)
        if one is not None:
            return (one[1],)
        many = self._many.get(group)
        return () if many is None else many.values()
