"""What goes wrong, as the official SDKs tell it: the exception classes that programs catch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from kit import sdks
from kit.fronts import FRONTS
from kit.houses import Attacked
from kit.mishaps import Mishap, rows

ROWS = [(row, front) for row, front in rows() if row.sdk]
SLOTS = 12


def outcome(attacked: Attacked, row: Mishap, front: str) -> Exception | None:
    """Makes the mishap happen through an SDK and returns what it raised."""
    place = attacked.grounds.places[row.place]
    token = row.token(place.token) if row.token else place.token
    headers = row.headers | ({"x-standin-fault": row.fault} if row.fault else {})
    more = {"model": 7} if row.name == "model is a number" else {}
    raised: Exception | None = None
    for _ in range(row.times):
        attacked.counted[str(row.code)] += row.recorded == "counted"
        try:
            sdks.ask(front, attacked.gateway, str(token), stream=row.stream, headers=headers, **more)
        except sdks.BROAD[front] as error:
            raised = error
    return raised


@pytest.fixture(scope="module")
def raised(attacked: Attacked) -> dict[tuple[str, str], Exception | None]:
    with ThreadPoolExecutor(SLOTS) as pool:
        running = {(row.name, front): pool.submit(outcome, attacked, row, front) for row, front in ROWS}
        return {name: future.result() for name, future in running.items()}


@pytest.mark.parametrize(("row", "front"), ROWS, ids=lambda value: getattr(value, "name", value))
def test_programs_catch_the_class_they_know(
    raised: dict[tuple[str, str], Exception | None], row: Mishap, front: str
) -> None:
    error = raised[row.name, front]
    assert error is not None, "the SDK raised nothing"
    if row.delivery == "frame":
        assert isinstance(error, sdks.BROAD[front])
        assert str(row.code) in str(getattr(error, "body", ""))
        return
    assert isinstance(error, sdks.expected(front, row.status)), repr(error)
    if row.code is not None:
        assert error.response.headers["x-tokenone-error"] == row.code  # type: ignore[attr-defined]
        assert row.code in str(error.body)  # type: ignore[attr-defined]


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("place", ["good", "trusted"])
def test_what_is_right_passes(attacked: Attacked, front: str, place: str) -> None:
    token = attacked.grounds.places[place].token
    assert sdks.ask(front, attacked.gateway, token, headers={})
    assert sdks.ask(front, attacked.gateway, token, headers={}, stream=True)


@pytest.mark.parametrize("front", FRONTS)
def test_an_sdk_that_may_retry_sends_a_refusal_once(attacked: Attacked, front: str) -> None:
    standin = attacked.grounds.outside.standin
    text = f"do not send me twice, {front}"
    with pytest.raises(sdks.BROAD[front]):
        sdks.ask(front, attacked.gateway, attacked.grounds.places["bare"].token, headers={}, text=text)
    assert not any(text.encode() in record.request.body for record in standin.received)
