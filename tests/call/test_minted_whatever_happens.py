"""Minted tokens under every order of calls, answers, departures, edits and time: the laws hold in all of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kit.mints import Asked, Bench, shown, trade, turns
from tokenone.clock import SECOND_US
from tokenone.errors import UpstreamAuth, UpstreamBroken, UpstreamTimeout

NAMES = [("a", 1), ("a", 2), ("b", 1), ("c", 1)]
names = st.sampled_from(NAMES)


@dataclass
class Issued:
    """A token that the server gave out, as the server knows it."""

    name: tuple[str, int]
    asked_us: int
    seconds: int
    over: bool = False
    """Forgotten or refused: no call that begins later may get it."""


@dataclass(eq=False)
class Calling:
    """A call, what it may not get, and whether it was cut off."""

    name: tuple[str, int]
    task: asyncio.Task[bytes | None]
    not_these: set[bytes] = field(default_factory=set)
    waits: bool = False
    """It was not served from what was at hand."""
    left: bool = False


class Minting(RuleBasedStateMachine):
    """The server's own book of what it issued is the model."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.bench = Bench()
        self.issued: dict[bytes, Issued] = {}
        self.calls: list[Calling] = []
        self.forgotten_at: dict[str, int] = {}
        """Key → how many requests had been made when it was forgotten."""

    def teardown(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self._turn()
        self.loop.close()

    def _turn(self) -> None:
        self.loop.run_until_complete(turns())

    def _open(self) -> list[Asked]:
        return [asked for asked in self.bench.asked if asked.open]

    # ── what happens ───────────────────────────────────────────────────────────────────────────────────
    @rule(name=names)
    def call(self, name: tuple[str, int]) -> None:
        over = {token for token, one in self.issued.items() if one.over}
        task = self.loop.create_task(self.bench.token(trade(*name)))
        self.calls.append(Calling(name, task, over))
        self._turn()
        self._judge()
        for one in self.calls:
            one.waits = True

    @precondition(lambda self: self._open())
    @rule(data=st.data(), seconds=st.sampled_from([0, 20, 60, 3600]))
    def answer(self, data: st.DataObject, seconds: int) -> None:
        asked = data.draw(st.sampled_from(self._open()))
        token = b"token %d of %s/%d" % (len(self.issued), asked.name[0].encode(), asked.name[1])
        late = self.bench.asked.index(asked) < self.forgotten_at.get(asked.name[0], 0)
        self.issued[token] = Issued(asked.name, asked.at_us, seconds, over=late)
        asked.answer(token, seconds)
        self._turn()
        self._judge()

    @precondition(lambda self: self._open())
    @rule(data=st.data(), how=st.sampled_from(["refuse", "silence", "trouble"]))
    def go_wrong(self, data: st.DataObject, how: str) -> None:
        asked = data.draw(st.sampled_from(self._open()))
        if how == "refuse":
            asked.refuse()
        elif how == "silence":
            asked.fail(UpstreamTimeout("silence"))
        else:
            asked.refuse(503)
        self._turn()
        self._judge()

    @rule(seconds=st.sampled_from([1, 5, 10, 50, 600, 3000]))
    def time_passes(self, seconds: int) -> None:
        self.bench.clock.advance(seconds * SECOND_US)
        self.bench.minter.lapse()

    @rule(key=st.sampled_from("abc"))
    def edit_a_key(self, key: str) -> None:
        self.bench.minter.forget(key)
        self.forgotten_at[key] = len(self.bench.asked)
        for one in self.issued.values():
            one.over |= one.name[0] == key

    @rule(name=names)
    def the_provider_refuses(self, name: tuple[str, int]) -> None:
        async def story() -> bytes | None:
            wanted = trade(*name)
            waiting = asyncio.ensure_future(self.bench.minter.trade(wanted))
            await turns()
            if not waiting.done() or waiting.exception() is not None:
                waiting.cancel()
                return None
            token = waiting.result().token
            assert token is not None
            self.bench.minter.refused(wanted.name, token)
            return shown(token)

        refused = self.loop.run_until_complete(story())
        if refused is not None:
            self.issued[refused].over = True

    @precondition(lambda self: any(not one.task.done() for one in self.calls))
    @rule(data=st.data())
    def a_caller_leaves(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from([one for one in self.calls if not one.task.done()]))
        one.left = True
        one.task.cancel()
        self._turn()
        self._judge()

    # ── what must hold ─────────────────────────────────────────────────────────────────────────────────
    def _judge(self) -> None:
        """Looks at every call that has just ended."""
        now_us = self.bench.clock.monotonic_us()
        for one in [one for one in self.calls if one.task.done()]:
            self.calls.remove(one)
            if one.task.cancelled():
                assert one.left, "a call ended because another caller left"
                continue
            error = one.task.exception()
            if error is not None:
                assert isinstance(error, UpstreamAuth | UpstreamTimeout | UpstreamBroken)
                continue
            token = one.task.result()
            assert token is not None
            issued = self.issued[token]
            assert issued.name == one.name, "a token of another key or version"
            assert token not in one.not_these, "a token from before the key was edited or the token refused"
            if not one.waits:
                assert now_us < issued.asked_us + issued.seconds * SECOND_US, "a token that is over"

    @invariant()
    def one_request_per_version_is_under_way(self) -> None:
        since = [
            asked.name
            for number, asked in enumerate(self.bench.asked)
            if asked.open and number >= self.forgotten_at.get(asked.name[0], 0)
        ]
        assert len(since) == len(set(since))

    @invariant()
    def nobody_waits_without_a_request(self) -> None:
        open_names = {asked.name for asked in self._open()}
        assert {one.name for one in self.calls if not one.task.done()} <= open_names


TestMinting = Minting.TestCase
TestMinting.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
