"""`budget:` and `limits:` of the configuration file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tollway.cli.document.access import USER_ROLES
from tollway.cli.document.kinds import INVALID, Boolean, Dollars, Field, Items, Number, Object, Text
from tollway.cli.document.problems import child

PERIODS = ("none", "day", "week", "month", "quarter", "year")
_MAX_AMOUNT = 1_000_000_000_000
AMOUNTS = {
    "requests_per_minute": ("requests", "minute"),
    "requests_per_hour": ("requests", "hour"),
    "requests_per_day": ("requests", "day"),
    "tokens_per_minute": ("tokens", "minute"),
    "tokens_per_hour": ("tokens", "hour"),
    "tokens_per_day": ("tokens", "day"),
    "concurrent": ("concurrent", ""),
}
"""Measure and window of the API by the name in the file."""


@dataclass(frozen=True)
class Share:
    """A share of a limit: above 0, at most 10."""

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """The number itself."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 10:
            problems.append(f"{path}: must be a share of the limit above 0 and at most 10, such as 0.8")
            return INVALID
        return float(value)

    def schema(self) -> dict[str, Any]:
        """A number with its bounds."""
        return {"type": "number", "exclusiveMinimum": 0, "maximum": 10}


BUDGET = Object(
    {
        "limit": Field(Dollars(), required=True, doc="US dollars in one period, increases not included"),
        "period": Field(Text(choices=PERIODS), doc="default: month"),
        "timezone": Field(Text(minimum=1, maximum=100), doc="whose midnight begins a window; default: UTC"),
        "fiscal_start": Field(
            Text(pattern=r"[0-9]{2}-[0-9]{2}", says='must be a day of the year as "MM-DD"'),
            doc="the day on which the year begins; default: 01-01",
        ),
        "mode": Field(Text(choices=("hard", "soft")), doc="hard (default): refused at the limit; soft: alerts tell"),
        "carry_over": Field(Boolean(), doc="what a window leaves unspent is added to the next, at most one limit"),
        "alerts": Field(Items(Share(), maximum=10), doc="shares of the limit at which an alert is sent"),
    }
)
_OUTAGE = Field(
    Text(choices=("local", "closed")),
    doc="while the counters cannot be reached: each process allows its share (local, the default), or refuse (closed)",
)
_MEMBERS = {**{name: Field(Number(0, _MAX_AMOUNT)) for name in AMOUNTS}, "on_outage": _OUTAGE}
_OF_MODELS = Object(_MEMBERS)
_WHOLE = Object({**_MEMBERS, "models": Field(None)})


@dataclass(frozen=True)
class Limits:
    """Amounts by measure and window; with `per_model` also under `models`, by glob."""

    per_model: bool = True

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """The API's set of limits."""
        made = (_WHOLE if self.per_model else _OF_MODELS).read(value, path, problems)
        if made is INVALID:
            return INVALID
        limits = _limits(made, "*", made.get("on_outage"))
        of_models = value.get("models")
        if self.per_model and of_models is not None:
            limits += self._of_models(of_models, child(path, "models"), made.get("on_outage"), problems)
        return {"limits": limits}

    def _of_models(self, value: Any, path: str, outage: Any, problems: list[str]) -> list[dict[str, Any]]:
        if not isinstance(value, dict):
            problems.append(f"{path}: must be a mapping of globs of model names to limits")
            return []
        limits = []
        for glob, item in value.items():
            where = child(path, str(glob))
            if not isinstance(glob, str) or not 1 <= len(glob) <= 200:
                problems.append(f"{where}: must be a glob of model names in quotes, with 1 to 200 characters")
                continue
            made = _OF_MODELS.read(item, where, problems)
            if made is not INVALID:
                limits += _limits(made, glob, made.get("on_outage", outage))
        return limits

    def schema(self) -> dict[str, Any]:
        """An object; its `models` holds the same, by glob."""
        described = _OF_MODELS.schema()
        if self.per_model:
            of_models = {"type": "object", "additionalProperties": _OF_MODELS.schema()}
            members = described["properties"] | {"models": of_models | {"description": "by glob of model names"}}
            described = described | {"properties": members}
        return described


def _limits(made: dict[str, Any], model: str, outage: Any) -> list[dict[str, Any]]:
    """Limits of the API, 64-bit amounts as text."""
    return [
        {
            "measure": measure,
            "window": window,
            "amount": str(made[name]),
            "model": model,
            **({"on_outage": outage} if isinstance(outage, str) else {}),
        }
        for name, (measure, window) in AMOUNTS.items()
        if name in made and made[name] is not INVALID
    ]


RULES = {"budget": Field(BUDGET), "limits": Field(Limits())}
"""What an organisation, unit, project, key or user can have."""
USER_NAME = Text(
    pattern=r"\S(.{0,198}\S)?", says="must have 1 to 200 characters, without spaces around them", maximum=200
)
USER = Object({"name": Field(USER_NAME, required=True, doc="as keys have it in `user`"), "roles": USER_ROLES, **RULES})
MODEL_LIMITS = Field(Limits(per_model=False))
_ORGANISATION = Object({"name": Field(Text(choices=("default",)), required=True), **RULES})


@dataclass(frozen=True)
class Organisations:
    """Only the organisation `default` exists as yet: its name, or a list of one object."""

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """The organisation with what holds for it; its name alone says nothing and is left out."""
        names = value if isinstance(value, list) else [value]
        found = []
        for index, item in enumerate(names):
            where = f"{path}[{index}]"
            named = item.get("name") if isinstance(item, dict) else item
            if named != "default":
                problems.append(f"{where}: only the organisation `default` is supported by this version")
            elif isinstance(item, dict):
                found.append(_ORGANISATION.read(item, where, problems))
        if len(names) > 1:
            problems.append(f"{path}: the organisation `default` is there twice")
        return found or INVALID

    def schema(self) -> dict[str, Any]:
        """The name, or a list of one."""
        one = {"anyOf": [{"const": "default"}, _ORGANISATION.schema()]}
        return {"anyOf": [{"const": "default"}, {"type": "array", "items": one, "maxItems": 1}]}
