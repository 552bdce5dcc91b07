"""What a model can do: the configuration over the shipped table over the price book. Pure but for package data."""

from __future__ import annotations

from collections.abc import Sequence

from tollway.controlplane.catalog.capability_table import ROWS, Row
from tollway.controlplane.catalog.model import Capabilities
from tollway.controlplane.catalog.pricebook import book_model
from tollway.core import catalog
from tollway.core.catalog import ProviderKind, glob_match


def known_row(model: str) -> Row | None:
    """The shipped table's row for a provider's model name; organisation and router suffix do not matter."""
    bare = model.rsplit("/", 1)[-1].split(":", 1)[0].lower()
    return next((row for row in ROWS if glob_match(row.pattern.lower(), bare)), None)


def effective_capabilities(
    configured: Capabilities, targets: Sequence[tuple[ProviderKind, str, str]]
) -> catalog.Capabilities:
    """The capabilities of a model whose targets are (kind, base URL, provider's model name).

    What the configuration leaves open is what every target of which something is known can do: the smallest context,
    the modalities that all have.
    """
    shipped = [_shipped(*target) for target in targets]
    known = [found for found in shipped if found is not None]
    first = known[0] if known else catalog.Capabilities()

    def common(name: str) -> tuple[str, ...]:
        values: tuple[str, ...] = getattr(first, name)
        return tuple(value for value in values if all(value in getattr(found, name) for found in known))

    def smallest(name: str) -> int | None:
        values = [value for found in known if (value := getattr(found, name)) is not None]
        return min(values) if values else None

    def every(name: str) -> bool | None:
        values = [value for found in known if (value := getattr(found, name)) is not None]
        return all(values) if values else None

    return catalog.Capabilities(
        input_modalities=tuple(configured.input_modalities) or common("input_modalities") or ("text",),
        output_modalities=tuple(configured.output_modalities) or common("output_modalities") or ("text",),
        context_tokens=_first(configured.context_tokens, smallest("context_tokens")),
        max_output_tokens=_first(configured.max_output_tokens, smallest("max_output_tokens")),
        tools=configured.tools if configured.tools is not None else every("tools"),
        streaming=configured.streaming if configured.streaming is not None else every("streaming") is not False,
    )


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _shipped(kind: ProviderKind, base_url: str, model: str) -> catalog.Capabilities | None:
    row = known_row(model)
    book = book_model(kind, base_url, model)
    if row is None and book is None:
        return None
    context = row.context_tokens if row is not None else None
    if context is None and book is not None:
        context = book.context_window
    if row is None:
        return catalog.Capabilities(context_tokens=context, streaming=None)
    return catalog.Capabilities(
        input_modalities=row.inputs,
        output_modalities=row.outputs,
        context_tokens=context,
        max_output_tokens=row.max_output_tokens,
        tools=row.tools,
        streaming=row.streaming,
    )
