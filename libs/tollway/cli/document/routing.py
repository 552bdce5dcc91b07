"""Routing and caching in the configuration file: of providers, credentials, models and projects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tollway.cli.document.kinds import INVALID, Boolean, Duration, Field, Items, Kind, Number, Object, Text

STRATEGIES = ("weighted", "priority", "least_busy", "latency", "cost", "affinity")
_MAX_PER_MINUTE = 1_000_000_000_000
_PERCENT = r"([0-9]{1,2}(\.[0-9]{1,4})?|100(\.0{1,4})?)%"


@dataclass(frozen=True)
class Between:
    """A number with bounds."""

    minimum: float
    maximum: float

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """The number itself."""
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not self.minimum <= value <= self.maximum:
            problems.append(f"{path}: must be a number from {self.minimum} to {self.maximum}")
            return INVALID
        return float(value)

    def schema(self) -> dict[str, Any]:
        """A number with its bounds."""
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True)
class Percent:
    """A share of something, written as a percentage."""

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """The share as a fraction."""
        if not isinstance(value, str) or not re.fullmatch(_PERCENT, value):
            problems.append(f"{path}: must be a percentage from 0% to 100%, such as 10%")
            return INVALID
        return float(Decimal(value.removesuffix("%")) / 100)

    def schema(self) -> dict[str, Any]:
        """A string with the form of a percentage."""
        return {"type": "string", "pattern": rf"\$\{{|^{_PERCENT}$", "examples": ["10%"]}


@dataclass(frozen=True)
class Interval:
    """How often something is done: a duration from one second to an hour, or 0 for never."""

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """Seconds."""
        if value == 0 and not isinstance(value, bool):
            return 0.0
        seconds = Duration(3600).read(value, path, [])
        if seconds is INVALID or seconds < 1:
            problems.append(f"{path}: must be a duration from 1s to 1h, such as 10s, or 0 for never")
            return INVALID
        return seconds

    def schema(self) -> dict[str, Any]:
        """A duration or zero."""
        return {"anyOf": [Duration(3600).schema(), {"const": 0}]}


def routing(model_name: Kind) -> Mapping[str, Field]:
    """The members of a model; `model_name` is the form of the names of other models."""
    chain = Items(model_name, maximum=8)
    return {
        "strategy": Field(Text(choices=STRATEGIES), doc="how a target is chosen; default: weighted"),
        "affinity": Field(
            Text(choices=("session", "prefix")), doc="what the strategy affinity keeps together; default: session"
        ),
        "fallbacks": Field(chain, doc="models to ask, in this order, when every target failed"),
        "context_fallbacks": Field(chain, doc="models to ask when the prompt is too long for this one"),
        "filter_fallbacks": Field(chain, doc="models to ask when the content filter of this one refuses"),
        "retries": Field(RETRIES, doc="tries after the first, before anything was sent to the client"),
        "breaker": Field(BREAKER, doc="whether a target that keeps failing is left alone for a while"),
        "hedge": Field(HEDGE, doc="a second call to another target when the first is slow; absent: never"),
    }


RETRIES = Object(
    {
        "attempts": Field(Number(0, 10), doc="default: 2; 0: none"),
        "budget": Field(Percent(), doc="the most that they may be of all requests; default: 10%"),
    }
)
BREAKER = Object({"enabled": Field(Boolean(), doc="default: true")})
HEDGE = Object(
    {
        "percentile": Field(Between(0.5, 0.999), doc="slower than this share of calls lately; default: 0.95"),
        "least": Field(Duration(60), to="least_seconds", doc="and than this; default: 500ms"),
    }
)
PROBE = Field(
    Interval(), to="probe_seconds", doc="how often a target that fails is asked whether it is back; absent or 0: never"
)
QUOTA = Field(
    Object(
        {
            "requests_per_minute": Field(Number(1, _MAX_PER_MINUTE)),
            "tokens_per_minute": Field(Number(1, _MAX_PER_MINUTE)),
            "concurrent": Field(Number(1, 1_000_000)),
        }
    ),
    doc="what the provider allows this key",
)
CACHE = Field(
    Object(
        {
            "enabled": Field(Boolean(), doc="default: false"),
            "ttl": Field(Duration(2_592_000, whole=True), to="ttl_seconds", doc="default: 1h"),
            "scope": Field(
                Text(choices=("project", "organisation")),
                doc="whose answers: the project's own alone (default), or those of every project that says the same",
            ),
            "similarity": Field(
                Between(0.5, 0.999), doc="how alike another request must be; absent: only the very same request"
            ),
        }
    ),
    doc="whether answers are kept and given again",
)
PRIORITY = Field(
    Text(choices=("interactive", "batch")), doc="who waits when there is more than can be done; default: interactive"
)
