"""How a model's targets are chosen, tried again and left for other models: as asked for, stored and compared. Pure.

The values themselves and their defaults are those of `tollway.core.catalog`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from tollway.controlplane.catalog import fallbacks
from tollway.core.catalog import Affinity, Breaker, Hedge, Retries


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a model's messages that is about routing; empty or None: the default."""

    affinity: str = ""
    fallbacks: list[str] = []
    context_fallbacks: list[str] = []
    filter_fallbacks: list[str] = []
    retries: Retries | None = None
    breaker: Breaker | None = None
    hedge: Hedge | None = None


class RoutingColumns(msgspec.Struct, frozen=True, kw_only=True):
    """The same as columns of `models`; of `retries`, `breaker` and `hedge` they keep what is not the default."""

    affinity: Affinity
    fallbacks: list[str]
    context_fallbacks: list[str]
    filter_fallbacks: list[str]
    retries: Retries
    breaker: Breaker
    hedge: Hedge | None


FIELDS = frozenset(info.name for info in msgspec.structs.fields(RoutingColumns))
"""Names of the fields, the same in messages and columns."""

_SETTLED: Mapping[str, Callable[[Routing], Any]] = {
    "affinity": lambda given: Affinity(given.affinity) if given.affinity else Affinity.SESSION,
    "retries": lambda given: given.retries or Retries(),
    "breaker": lambda given: given.breaker or Breaker(),
    "hedge": lambda given: given.hedge,
}


def settled(given: Routing, name: str, fields: Iterable[str] = FIELDS, path: str = "") -> dict[str, Any]:
    """What these fields of a message mean for the model `name`, by column.

    Raises ApiError for fallbacks that name the model itself or one twice; `path` is the place of the model in its
    document, for the errors.
    """
    values: dict[str, Any] = {}
    for field in fields:
        if field in fallbacks.CHAINS:
            place = f"{path}.{field}" if path else field
            values[field] = fallbacks.chain(name, getattr(given, field), place)
        else:
            values[field] = _SETTLED[field](given)
    return values


def columns(row: RoutingColumns) -> dict[str, Any]:
    """The fields of a row."""
    return {field: getattr(row, field) for field in sorted(FIELDS)}


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON-ready form that a plan compares."""
    made: dict[str, Any] = msgspec.to_builtins(values)
    return made


def sparse(value: msgspec.Struct) -> dict[str, Any]:
    """The JSON-ready fields of a value that are not the default, so that what nobody chose follows the defaults."""
    default = type(value)()
    return {name: item for name, item in msgspec.structs.asdict(value).items() if item != getattr(default, name)}


def shown(row: RoutingColumns) -> dict[str, Any]:
    """The fields of a row as messages show them."""
    return columns(row) | {"affinity": row.affinity.value}


def chains(row: RoutingColumns) -> dict[str, list[str]]:
    """The lists of other models."""
    return {field: getattr(row, field) for field in fallbacks.CHAINS}
