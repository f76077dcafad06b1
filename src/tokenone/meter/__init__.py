"""Turns reported usage into money: facts are signed elsewhere, amounts are derived, again if need be.

Law: integers only, one rounding per line, unpriced is never zero. No I/O.
"""
