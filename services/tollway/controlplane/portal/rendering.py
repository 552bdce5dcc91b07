"""Templates to HTML: compiled once, with everything escaped. Nothing here calls anything."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_HERE = Path(__file__).parent
ASSETS = {
    "htmx.min.js": "text/javascript",
    "portal.js": "text/javascript",
    "portal.css": "text/css",
    "icon.svg": "image/svg+xml",
}
CONTENTS = {name: (_HERE / "assets" / name).read_bytes() for name in ASSETS}
VERSIONS = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in CONTENTS.items()}


def asset(name: str) -> str:
    """The address of an asset; another content has another address."""
    return f"/assets/{VERSIONS[name]}/{name}"


def moment(stamp: Any) -> datetime | None:
    """The time of a timestamp of the API; None when it is not set."""
    if not stamp.seconds and not stamp.nanos:
        return None
    return datetime.fromtimestamp(stamp.seconds, UTC)


def when(stamp: Any) -> str | Markup:
    """A time for people and for machines."""
    at = moment(stamp)
    if at is None:
        return ""
    return Markup('<time datetime="{}">{}</time>').format(
        at.strftime("%Y-%m-%dT%H:%M:%SZ"), at.strftime("%Y-%m-%d %H:%M UTC")
    )


def instant(stamp: Any) -> str | Markup:
    """A time to the second, where the order of things matters."""
    at = moment(stamp)
    if at is None:
        return ""
    return Markup('<time datetime="{}">{}</time>').format(
        at.strftime("%Y-%m-%dT%H:%M:%SZ"), at.strftime("%Y-%m-%d %H:%M:%S UTC")
    )


def amount(text: Any) -> Decimal:
    """Decimal dollars as a number; 0 for what is none."""
    try:
        return Decimal(text or 0)
    except InvalidOperation:
        return Decimal(0)


def money(value: Any) -> str:
    """US dollars, short: cents, or more places where there is less than a cent."""
    found = amount(value)
    if found and abs(found) < Decimal("0.01"):
        return f"${found:.6f}".rstrip("0")
    return f"${found:,.2f}"


def number(value: Any) -> str:
    """A count with separators."""
    return f"{int(value):,}"


def words(name: str) -> str:
    """A name of the API for people: "platform_access" is "platform access"."""
    return name.replace("_", " ")


def pair(name: str) -> tuple[str, str]:
    """A name as a choice: what is sent, and what is shown."""
    return name, name


def percent(used: Any, limit: Any) -> int:
    """Percent, 0 or more; of nothing, everything is 100."""
    whole = amount(limit)
    return max(int(amount(used) / whole * 100), 0) if whole else 100


def share(used: Any, limit: Any) -> int:
    """Percent, from 0 to 100."""
    return min(percent(used, limit), 100)


@cache
def environment() -> Environment:
    """The one environment of a process, with every template compiled; pages do not change it."""
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"when": when, "instant": instant, "money": money, "number": number, "words": words, "pair": pair}
    made.globals |= {"asset": asset, "share": share, "percent": percent}
    for name in made.list_templates():
        made.get_template(name)
    return made
