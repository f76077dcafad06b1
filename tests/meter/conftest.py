"""The price book that every test of the meter reads."""

from __future__ import annotations

import pytest

from tokenone.meter.book import compile_book
from tokenone.meter.prices import PriceBook


@pytest.fixture(scope="session")
def raw_book() -> bytes:
    return compile_book()


@pytest.fixture(scope="session")
def book(raw_book: bytes) -> PriceBook:
    return PriceBook.load(raw_book)
