"""Money: integer nano-USD, one rounding per line, half to even; absent is not zero."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.money import MILLION, NANO, line_cost, nano, round_half_even, usd_text

quantities = st.integers(0, 10**12)
rates = st.integers(0, 10**13)


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**15))
def test_rounding_agrees_with_decimal_half_even(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    rounded = round_half_even(numerator, denominator)
    assert rounded == round(exact)
    assert abs(exact - rounded) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(1, 2, 0), (3, 2, 2), (5, 2, 2), (-1, 2, 0), (-3, 2, -2), (7, 3, 2), (8, 3, 3), (0, 9, 0)],
)
def test_a_half_goes_to_the_even_neighbour(numerator: int, denominator: int, expected: int) -> None:
    assert round_half_even(numerator, denominator) == expected


@given(quantities, rates)
def test_a_line_is_within_half_a_nano_of_the_exact_price(quantity: int, rate: int) -> None:
    exact = Fraction(quantity * rate, MILLION)
    assert abs(exact - line_cost(quantity, rate)) <= Fraction(1, 2)


@given(quantities, quantities, rates)
def test_splitting_a_line_in_two_moves_it_by_one_nano_at_most(a: int, b: int, rate: int) -> None:
    assert abs(line_cost(a, rate) + line_cost(b, rate) - line_cost(a + b, rate)) <= 1


@given(quantities, quantities, rates)
def test_more_tokens_never_cost_less(a: int, b: int, rate: int) -> None:
    low, high = sorted((a, b))
    assert line_cost(low, rate) <= line_cost(high, rate)


@given(quantities)
def test_a_million_units_cost_the_rate_and_none_cost_nothing(rate: int) -> None:
    assert line_cost(MILLION, rate) == rate
    assert line_cost(0, rate) == 0


@given(st.decimals(min_value=-(10**6), max_value=10**6, allow_nan=False, places=12))
def test_usd_becomes_nano_with_one_rounding(usd: Decimal) -> None:
    assert nano(usd) == int((usd * NANO).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


@given(st.integers(-(10**18), 10**18))
def test_shown_money_reads_back_exactly(amount: int) -> None:
    text = usd_text(amount)
    assert nano(Decimal(text)) == amount
    assert len(text.partition(".")[2]) in (6, 9)


def test_absent_money_is_not_shown_as_zero() -> None:
    assert usd_text(None) == "unpriced"
    assert usd_text(0) == "0.000000"
