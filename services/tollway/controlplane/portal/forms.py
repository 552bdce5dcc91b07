"""What people type into forms, as fields of the API. Pure. What is wrong is said with the field and the remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tollway.controlplane.call import ApiCode, ApiError

MAX_DAYS = 3650


def invalid(name: str, message: str) -> ApiError:
    """The error of one field."""
    return ApiError(ApiCode.INVALID, f"{name} {message}", field=name)


def listed(text: str) -> list[str]:
    """Names that are separated by commas, spaces or lines."""
    return [part for part in re.split(r"[\s,]+", text) if part]


def whole(form: Mapping[str, str], name: str, *, low: int = 0, high: int = 2**53) -> int | None:
    """A whole number; None when the field is empty. Raises ApiError."""
    text = form.get(name, "").strip()
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,16}", text) or not low <= int(text) <= high:
        raise invalid(name, f"must be a whole number from {low} to {high}")
    return int(text)


def end_of_day(form: Mapping[str, str], name: str) -> str | None:
    """The end of a day that was chosen, in UTC, as the API wants it; None when the field is empty. Raises ApiError."""
    text = form.get(name, "").strip()
    if not text:
        return None
    try:
        return f"{date.fromisoformat(text).isoformat()}T23:59:59Z"
    except ValueError:
        raise invalid(name, "must be a day, for example 2026-12-31") from None


def days_from(form: Mapping[str, str], name: str, now: datetime) -> str | None:
    """The time in so many days; None when the field is empty. Raises ApiError."""
    days = whole(form, name, low=1, high=MAX_DAYS)
    return None if days is None else stamp(now + timedelta(days=days))


def stamp(at: datetime) -> str:
    """A time as the API wants it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def period(text: str, now: datetime, *, default: int) -> tuple[int, datetime]:
    """A period of the choice 7, 30 or 90 days up to today: how many, and the midnight at which it begins."""
    days = int(text) if text in ("7", "30", "90") else default
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return days, midnight - timedelta(days=days - 1)


def picked(form: Mapping[str, str], *names: str) -> dict[str, Any]:
    """Some fields as they stand, without the spaces around them."""
    return {name: form.get(name, "").strip() for name in names}
