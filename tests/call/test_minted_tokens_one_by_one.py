"""Minted tokens, law by law: who shares a request, what is kept and for how long, what is forgotten."""

from __future__ import annotations

import asyncio

import pytest

from kit.mints import ELSEWHERE, TOKENS, Bench, shown, trade, turns
from tokenone.call import minted
from tokenone.clock import SECOND_US
from tokenone.errors import EgressRefused, Overloaded, UpstreamAuth, UpstreamBroken, UpstreamTimeout
from tokenone.types import parse_origin

HOUR = 3600


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def with_token(bench: Bench, key: str = "a", token: bytes = b"first", seconds: int = HOUR) -> None:
    """Has the minter hold a token of a key."""
    call = bench.call(trade(key))
    await turns()
    bench.asked[-1].answer(token, seconds)
    assert await call == token


async def test_concurrent_calls_share_one_request(bench: Bench) -> None:
    calls = [bench.call(trade("a")) for _ in range(50)]
    await turns()
    (asked,) = bench.asked
    asked.answer(b"token", HOUR)
    assert set(await asyncio.gather(*calls)) == {b"token"}
    assert await bench.token(trade("a")) == b"token"
    assert len(bench.asked) == 1


async def test_a_slow_server_of_one_key_delays_no_other(bench: Bench) -> None:
    waiting = bench.call(trade("slow"))
    await turns()
    await with_token(bench, "quick")
    assert await bench.token(trade("quick")) == b"first"
    assert not waiting.done()
    bench.asked[0].answer(b"at last", HOUR)
    assert await waiting == b"at last"


async def test_versions_of_a_key_have_tokens_of_their_own(bench: Bench) -> None:
    await with_token(bench)
    newer = bench.call(trade("a", 2))
    await turns()
    assert bench.asked[-1].name == ("a", 2)
    bench.asked[-1].answer(b"second", HOUR)
    assert await newer == b"second"
    assert await bench.token(trade("a", 1)) == b"first"


async def test_another_content_of_a_reference_is_traded_anew(bench: Bench) -> None:
    await with_token(bench)
    other = bench.call(trade("a", content=(7,), secret=b"what the file holds now"))
    await turns()
    assert bench.asked[-1].outgoing.body == b"what the file holds now"
    bench.asked[-1].answer(b"other", HOUR)
    assert await other == b"other"


async def test_a_caller_that_goes_away_cancels_nobody_elses_request(bench: Bench) -> None:
    first, second = bench.call(trade("a")), bench.call(trade("a"))
    await turns()
    first.cancel()
    await turns()
    bench.asked[0].answer(b"token", HOUR)
    assert await second == b"token"
    assert first.cancelled()


async def test_what_everybody_left_is_kept_all_the_same(bench: Bench) -> None:
    only = bench.call(trade("a"))
    await turns()
    only.cancel()
    bench.asked[0].answer(b"token", HOUR)
    await turns()
    assert await bench.token(trade("a")) == b"token"
    assert len(bench.asked) == 1


async def test_it_is_renewed_at_four_fifths_of_its_life_and_used_meanwhile(bench: Bench) -> None:
    await with_token(bench, seconds=1000)
    bench.clock.advance(799 * SECOND_US)
    assert await bench.token(trade("a")) == b"first"
    await turns()
    assert len(bench.asked) == 1
    bench.clock.advance(1 * SECOND_US)
    assert await bench.token(trade("a")) == await bench.token(trade("a")) == b"first"
    await turns()
    assert len(bench.asked) == 2, "one renewal under way"
    bench.asked[1].answer(b"renewed", 1000)
    await turns()
    assert await bench.token(trade("a")) == b"renewed"


async def test_a_token_near_its_end_is_not_sent_on_its_way(bench: Bench) -> None:
    await with_token(bench, seconds=1000)
    bench.clock.advance(970 * SECOND_US)
    call = bench.call(trade("a"))
    await turns()
    assert not call.done()
    bench.asked[1].answer(b"next", 1000)
    assert await call == b"next"


async def test_its_life_counts_from_before_it_was_asked_for(bench: Bench) -> None:
    call = bench.call(trade("a"))
    await turns()
    bench.clock.advance(14 * SECOND_US)
    bench.asked[0].answer(b"slowly", 60)
    assert await call == b"slowly"
    bench.clock.advance(40 * SECOND_US)
    again = bench.call(trade("a"))
    await turns()
    assert len(bench.asked) == 2
    again.cancel()


@pytest.mark.parametrize("seconds", [0, -5])
async def test_a_token_without_a_life_serves_those_who_waited(bench: Bench, seconds: int) -> None:
    await with_token(bench, seconds=seconds)
    again = bench.call(trade("a"))
    await turns()
    assert len(bench.asked) == 2
    again.cancel()


async def test_a_renewal_that_fails_leaves_the_token_and_is_tried_again(bench: Bench) -> None:
    await with_token(bench, seconds=1000)
    bench.clock.advance(800 * SECOND_US)
    await bench.token(trade("a"))
    await turns()
    bench.asked[1].fail(UpstreamTimeout("silence"))
    await turns()
    assert await bench.token(trade("a")) == b"first"
    await turns()
    assert len(bench.asked) == 2, "not at once"
    bench.clock.advance(minted.FAILED_US)
    assert await bench.token(trade("a")) == b"first"
    await turns()
    assert len(bench.asked) == 3


async def test_a_refusal_is_an_error_of_the_key_and_remembered_briefly(bench: Bench) -> None:
    call = bench.call(trade("a"))
    await turns()
    bench.asked[0].refuse(401)
    with pytest.raises(UpstreamAuth):
        await call
    with pytest.raises(UpstreamAuth):
        await bench.token(trade("a"))
    assert len(bench.asked) == 1
    bench.clock.advance(minted.REFUSED_US)
    again = bench.call(trade("a"))
    await turns()
    assert len(bench.asked) == 2
    bench.asked[1].answer(b"allowed now", HOUR)
    assert await again == b"allowed now"


async def test_silence_is_a_time_out_and_forgotten_sooner(bench: Bench) -> None:
    calls = [bench.call(trade("a")) for _ in range(3)]
    await turns()
    bench.asked[0].fail(UpstreamTimeout("the provider did not begin to answer in time"))
    for call in calls:
        with pytest.raises(UpstreamTimeout):
            await call
    bench.clock.advance(minted.FAILED_US)
    again = bench.call(trade("a"))
    await turns()
    assert len(bench.asked) == 2
    again.cancel()


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_server_in_trouble_says_nothing_about_the_key(bench: Bench, status: int) -> None:
    call = bench.call(trade("a"))
    await turns()
    bench.asked[0].refuse(status)
    with pytest.raises(UpstreamBroken):
        await call


async def test_what_was_raised_once_is_raised_anew(bench: Bench) -> None:
    call = bench.call(trade("a"))
    await turns()
    bench.asked[0].refuse()
    raised = []
    for _ in range(3):
        with pytest.raises(UpstreamAuth) as caught:
            await (call if not call.done() else bench.token(trade("a")))
        raised.append(caught.value)
    assert len({id(error) for error in raised}) == 3
    assert {error.detail for error in raised} == {"the token's server refused"}


async def test_a_token_is_asked_for_at_the_endpoints_own_origins_alone(bench: Bench) -> None:
    with pytest.raises(EgressRefused, match="none of its endpoint's origins"):
        await bench.token(trade("a", secret=b"elsewhere is where it would be traded"))
    assert bench.asked == []
    call = bench.call(trade("b"))
    await turns()
    assert bench.asked[0].outgoing.origin == parse_origin(TOKENS)
    assert parse_origin(TOKENS) != parse_origin(ELSEWHERE)
    call.cancel()


async def test_a_secret_that_is_sent_as_it_is_asks_nobody(bench: Bench) -> None:
    for _ in range(3):
        assert await bench.token(trade("a", secret=b"plain key")) is None
    assert bench.asked == []


async def test_a_forgotten_key_gets_no_token_from_before(bench: Bench) -> None:
    await with_token(bench, "a")
    await with_token(bench, "b", b"of b")
    bench.minter.forget("a")
    call = bench.call(trade("a"))
    await turns()
    assert bench.asked[-1].name == ("a", 1)
    bench.asked[-1].answer(b"second", HOUR)
    assert await call == b"second"
    assert await bench.token(trade("b")) == b"of b"


async def test_a_request_that_was_under_way_when_its_key_was_forgotten_is_not_kept(bench: Bench) -> None:
    before = bench.call(trade("a"))
    await turns()
    bench.minter.forget("a")
    after = bench.call(trade("a"))
    await turns()
    assert len(bench.asked) == 2
    bench.asked[1].answer(b"after", HOUR)
    assert await after == b"after"
    bench.asked[0].answer(b"before", HOUR)
    await before
    assert await bench.token(trade("a")) == b"after"


async def test_a_token_that_the_provider_refuses_is_minted_anew(bench: Bench) -> None:
    await with_token(bench)
    used = (await bench.minter.trade(trade("a"))).token
    assert used is not None
    bench.minter.refused(trade("a").name, used)
    await with_token(bench, token=b"second")
    bench.minter.refused(trade("a").name, used)
    assert await bench.token(trade("a")) == b"second", (
        "a late refusal of the old one is not about the new one"
    )


async def test_whoever_waited_is_told_so(bench: Bench) -> None:
    call = asyncio.ensure_future(bench.minter.trade(trade("a")))
    await turns()
    bench.asked[0].answer(b"token", HOUR)
    assert (await call).waited
    assert not (await bench.minter.trade(trade("a"))).waited


async def test_what_is_over_is_dropped_without_a_call(bench: Bench) -> None:
    await with_token(bench, seconds=60)
    bench.clock.advance(60 * SECOND_US)
    bench.minter.lapse()
    assert len(bench.minter) == 0


async def test_tokens_are_bounded_and_the_least_recently_used_gives_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minted, "MOST_TOKENS", 3)
    for key in "abc":
        await with_token(bench, key)
    await bench.token(trade("a"))
    await with_token(bench, "d")
    assert len(bench.minter) == 3
    assert await bench.token(trade("a")) == b"first"
    call = bench.call(trade("b"))
    await turns()
    assert not call.done()
    call.cancel()


async def test_requests_under_way_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minted, "MOST_FLIGHTS", 2)
    calls = [bench.call(trade(key)) for key in "ab"]
    await turns()
    with pytest.raises(Overloaded):
        await bench.token(trade("c"))
    for call in calls:
        call.cancel()


async def test_a_token_is_a_secret_that_cannot_be_shown(bench: Bench) -> None:
    await with_token(bench)
    token = (await bench.minter.trade(trade("a"))).token
    assert token is not None
    assert shown(token) == b"first"
    with pytest.raises(Exception, match="cannot be shown"):
        repr(token)
