"""The error branches of calls to endpoints of one's own choice, as stories."""

from __future__ import annotations

from collections.abc import Callable

from kit.walk import Walk


def endpoints_that_are_not_there(walk: Walk) -> None:
    """A name that no endpoint has, none at all, one that is no text; and a key of another endpoint."""
    place = walk.route(walk.scripted.origin, "custom")
    row = walk.house.endpoint("custom", walk.scripted.origin, tenant=place.tenant, name="mine")
    key = walk.house.key(place.tenant, "custom", row, walk.keys["openai"].replace("sk-proj-", "sk-"))
    walk.house.assign(key, "workload", place.workload)
    assert walk.code(walk.ask(place, path="/custom/others/v1/chat/completions")) == "no_key_in_scope"
    for path in (
        "/custom",
        "/custom/",
        "/custom/mine",
        "/custom/mine/",
        "/custom//v1/models",
        "/custom/%ff/v1/models",
    ):
        assert walk.code(walk.get(path, place)) == "unknown_path", path


STORIES_OF_CUSTOM: tuple[Callable[[Walk], None], ...] = (endpoints_that_are_not_there,)
