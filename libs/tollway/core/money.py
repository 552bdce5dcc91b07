"""Money is an integer of nano-dollars (1e-9 USD); text is a decimal string of dollars.

No float ever holds an amount.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

NANO_PER_DOLLAR = 1_000_000_000
MAX_NANO = 9_000_000 * NANO_PER_DOLLAR
"""The largest amount accepted as a limit: above it, exact comparison in the counter store would not hold."""


def parse_dollars(text: str) -> int:
    """Nano-dollars of a decimal string such as "12.5". Raises ValueError when it is none, negative or too fine."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a decimal amount in US dollars") from None
    if not value.is_finite() or value < 0:
        raise ValueError(f"{text!r} must be zero or a positive amount in US dollars")
    nano = value * NANO_PER_DOLLAR
    if nano != nano.to_integral_value():
        raise ValueError(f"{text!r} has more than 9 decimal places")
    return int(nano)


def format_dollars(nano: int) -> str:
    """The shortest decimal string of dollars that is exact: 1_500_000_000 -> "1.5", 0 -> "0"."""
    sign = "-" if nano < 0 else ""
    whole, fraction = divmod(abs(nano), NANO_PER_DOLLAR)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:09d}".rstrip("0")


def divide_half_even(numerator: int, denominator: int) -> int:
    """Integer division rounded to the nearest, ties to the even neighbour. `denominator` must be positive."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient
