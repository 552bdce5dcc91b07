"""Objects as table, JSON, YAML or CSV on standard output."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

FORMATS = ("table", "json", "yaml", "csv")
Row = Mapping[str, Any]


def plain(value: Any) -> Any:
    """JSON-ready data; secrets of dataclasses included, because who asks for them is shown them once."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def show_list(items: Iterable[Any], columns: Sequence[str], output: str) -> None:
    """A list; `columns` are the members that table and CSV show."""
    if output in ("json", "yaml"):
        _structured([plain(item) for item in items], output)
        return
    rows = (plain(item) for item in items)
    if output == "csv":
        _csv(rows, columns)
    else:
        _table(rows, columns)


def show_one(item: Any, output: str) -> None:
    """One object: in a table, a line for each member that is set."""
    data = plain(item)
    if output in ("json", "yaml"):
        _structured(data, output)
    elif output == "csv":
        _csv([data], list(data))
    else:
        pairs = [{"field": name, "value": value} for name, value in data.items() if value not in (None, "", [], {})]
        _table(pairs, ("field", "value"), header=False)


def _structured(data: Any, output: str) -> None:
    if output == "json":
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
        return
    import yaml

    yaml.safe_dump(data, sys.stdout, sort_keys=False, allow_unicode=True)


def _csv(rows: Iterable[Row], columns: Sequence[str]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([guarded(cell(row.get(column))) for column in columns])


def guarded(text: str) -> str:
    """A cell of CSV. Spreadsheets run cells that begin like a formula; names and tags are chosen by others."""
    risky = text.startswith(("=", "+", "@", "\t", "\r")) or (text.startswith("-") and not _is_number(text))
    return "'" + text if risky else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _table(rows: Iterable[Row], columns: Sequence[str], *, header: bool = True) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=header, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " ").upper(), overflow="fold", no_wrap=not sys.stdout.isatty())
    widest = 80
    for row in rows:
        # Text, not markup: names are chosen by others.
        cells = [printable(cell(row.get(column))) for column in columns]
        widest = max(widest, sum(len(text) + 2 for text in cells) + 40 * len(columns))
        table.add_row(*(Text(text) for text in cells))
    # Into a file or pipe nothing is wrapped or cut.
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    with (console := Console(width=widest, highlight=False, color_system=None)).capture() as drawn:
        console.print(table)
    sys.stdout.write("".join(line.rstrip() + "\n" for line in drawn.get().splitlines()))


def printable(text: str) -> str:
    """Without control characters: names are chosen by others, and terminals obey such characters."""
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)


def cell(value: Any) -> str:
    """A value in one cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(cell(item) for item in value)
    if isinstance(value, Mapping):
        if {"provider", "model"} <= set(value):
            return f"{value['provider']}/{value['model']}"
        if "name" in value:
            return str(value["name"])
        return ", ".join(f"{name}={cell(item)}" for name, item in value.items() if item not in (None, "", [], {}))
    text = str(value)
    return text.removeprefix("KEY_STATUS_").lower() if text.startswith("KEY_STATUS_") else text
