"""The price book as a gateway holds it: models found by the publisher's own rules, rates as integers.

Law: loading validates; finding a model follows genai-prices (first match in the book's order, then the
providers it falls back to, then the same with a compact date spelt out). Beyond the commercial partition a
price is found only under a name that says that partition. It prices nothing, and what it remembers of earlier
look-ups is bounded.
"""

from __future__ import annotations

import datetime
import re
from typing import Final

import msgspec

from tokenone.clock import DAY_US, SECOND_US
from tokenone.errors import ConfigRefused
from tokenone.meter.match import Clause, Index
from tokenone.meter.names import COMMERCIAL, MARKS, fine_tuned_base, named, partition_of

FORMAT: Final = 1
REMEMBERED: Final = 4096
_LONGEST_MODEL: Final = 256
_COMPACT_DATE: Final = re.compile(r"(-)(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")

# Which of the publisher's lists prices a provider of ours; what is on one's own servers has none.
LISTS: Final = {
    "openai": "openai",
    "anthropic": "anthropic",
    "bedrock": "aws",
    "azure": "azure",
    "gemini": "google",
    "vertex": "google",
    "openrouter": "openrouter",
    "cohere": "cohere",
}

# Where the request's name is the customer's own (a deployment), or another model may be served (fallbacks):
# what the reply names decides alone.
_REPLY_DECIDES: Final = frozenset(("azure", "openrouter"))
_REGIONAL: Final = "regional."
"""How the publisher marks ids that stand for every region's profile: no model is called so."""


class Rate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Nano-USD per million units. A call whose whole input is beyond a tier's start costs that tier's rate
    for *all* its units; tiers ascend."""

    base: int
    tiers: tuple[tuple[int, int], ...] = ()

    def at(self, whole_input: int) -> int:
        """Returns the rate for a call of so many input tokens."""
        for start, rate in reversed(self.tiers):
            if whole_input > start:
                return rate
        return self.base


class When(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """From which instant, or between which seconds of the UTC day, a price holds."""

    from_us: int | None = None
    daily: tuple[int, int] | None = None

    def holds(self, at_us: int) -> bool:
        """Says whether `at_us` lies in it; a daily window may span midnight."""
        if self.from_us is not None:
            return at_us >= self.from_us
        if self.daily is None:
            return True
        begin, end = self.daily[0] * SECOND_US, self.daily[1] * SECOND_US
        moment = at_us % DAY_US
        return begin <= moment < end if begin <= end else moment >= begin or moment < end


class Dated(msgspec.Struct, frozen=True, gc=False):
    """Rates by unit, while `when` holds."""

    rates: dict[str, Rate]
    when: When = When()


class Variant(msgspec.Struct, frozen=True, gc=False):
    """Rates that replace the standard ones for a tier, a speed or a batch."""

    facts: dict[str, str]
    rates: dict[str, Rate]
    when: When = When()


class ModelPrices(msgspec.Struct, frozen=True, gc=False):
    """One model: later prices win over earlier ones, earlier variants over later ones."""

    id: str
    match: Clause
    prices: tuple[Dated, ...]
    variants: tuple[Variant, ...] = ()

    def standard(self, at_us: int) -> dict[str, Rate]:
        """Returns the rates at a time; the first are taken when none is in force."""
        for dated in reversed(self.prices):
            if dated.when.holds(at_us):
                return dated.rates
        return self.prices[0].rates if self.prices else {}

    def fitting(self, at_us: int, facts: dict[str, str]) -> list[Variant]:
        """Returns the variants that the facts of a call choose."""
        return [
            variant
            for variant in self.variants
            if variant.facts.items() <= facts.items() and variant.when.holds(at_us)
        ]


class PriceList(msgspec.Struct, frozen=True, gc=False):
    """One publisher's models in the order in which they are tried, and whose lists come next."""

    models: tuple[ModelPrices, ...]
    falls_back_to: tuple[str, ...] = ()


class BookFile(msgspec.Struct, frozen=True):
    """What `pricebook.json` contains."""

    format: int
    version: str
    lists: dict[str, PriceList]


class PriceBook:
    """A loaded book: immutable but for its bounded memory of look-ups."""

    __slots__ = ("_found", "_indexes", "_lists", "version")

    def __init__(self, file: BookFile) -> None:
        self.version = file.version
        self._lists = file.lists
        self._indexes = {
            name: Index([(model.match, model) for model in prices.models])
            for name, prices in file.lists.items()
        }
        self._found: dict[tuple[str, str, str], ModelPrices | None] = {}

    @classmethod
    def load(cls, raw: bytes) -> PriceBook:
        """Parses the compiled book; raises ConfigRefused for anything else."""
        try:
            file = msgspec.json.decode(raw, type=BookFile)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ConfigRefused("the price book is damaged; compile it again") from None
        if file.format != FORMAT:
            raise ConfigRefused(
                f"the price book has format {file.format}, {FORMAT} is needed; compile it again"
            )
        for prices in file.lists.values():
            for model in prices.models:
                model.match.check()
        return cls(file)

    def models(self, provider: str) -> tuple[str, ...]:
        """Returns the names of the provider's own models, those that can be called by them."""
        prices = self._lists.get(LISTS.get(provider, ""))
        names = [model.id.removeprefix(_REGIONAL) for model in prices.models] if prices else []
        return tuple(name for name in dict.fromkeys(names) if self._search(provider, name.lower()))

    def find(self, provider: str, model: str, partition: str = COMMERCIAL) -> ModelPrices | None:
        """Returns the prices that `model`, as spelled in a request or reply, refers to where it is served."""
        key = (provider, model, partition)
        if key in self._found:
            return self._found[key]
        found = self._look_up(*key) if len(model) <= _LONGEST_MODEL else None
        if len(self._found) >= REMEMBERED:
            del self._found[next(iter(self._found))]
        self._found[key] = found
        return found

    def covers(self, provider: str, model: str) -> bool:
        """Says whether a name is one of the provider's models: the book's clauses fit it, or what it was
        fine-tuned from. Remembered and bounded as `find` is; a name that is covered may have no price."""
        if self.find(provider, model) is not None:
            return True
        base = fine_tuned_base(provider, model)
        return base is not None and self.find(provider, base) is not None

    def known(self, provider: str, *spellings: str | None) -> str | None:
        """Returns the first spelling that the book prices: the reply's model before the request's."""
        for model in spellings:
            if model and self.find(provider, model) is not None:
                return model
            if model and provider in _REPLY_DECIDES:
                return None
        return None

    def _look_up(self, provider: str, model: str, partition: str) -> ModelPrices | None:
        name, spelled = named(provider, model.lower())
        served = partition_of(partition, spelled)
        if name is None or served == COMMERCIAL:
            return None if name is None else self._search(provider, name)
        mark = MARKS.get(served)
        if mark is None:
            return None
        marked = name if name.startswith(mark) else mark + name
        found = self._search(provider, marked)
        return found if found is not None and found.match.fits_by(mark, marked) else None

    def _search(self, provider: str, model: str) -> ModelPrices | None:
        own = self._lists.get(LISTS.get(provider, ""))
        if own is None:
            return None
        names = [name for name in (LISTS[provider], *own.falls_back_to) if name in self._indexes]
        for spelling in dict.fromkeys((model, _with_dashed_date(model))):
            for name in names:
                if found := self._indexes[name].first(spelling):
                    return found
        return None


def _with_dashed_date(model: str) -> str:
    """Spells `-20251211` as `-2025-12-11`, if it is a date."""

    def dashed(found: re.Match[str]) -> str:
        year, month, day = int(found[2]), int(found[3]), int(found[4])
        try:
            return f"-{datetime.date(year, month, day).isoformat()}"
        except ValueError:
            return found[0]

    return _COMPACT_DATE.sub(dashed, model)
