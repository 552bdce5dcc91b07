"""What commands print."""

import csv
import io
import json

import pytest

from tollway.cli.output import cell, printable, show_list, show_one
from tollway.sdk.models import Key, Target

ITEMS = [{"name": "a", "note": "=1+1"}, {"name": "b,c", "note": "-5"}]


def test_json_and_yaml_are_data(capsys: pytest.CaptureFixture[str]) -> None:
    show_list(ITEMS, ("name",), "json")
    assert json.loads(capsys.readouterr().out) == ITEMS
    show_one({"name": "ä"}, "yaml")
    assert capsys.readouterr().out == "name: ä\n"


def test_csv_has_the_columns_and_no_formulas(capsys: pytest.CaptureFixture[str]) -> None:
    show_list(ITEMS, ("name", "note", "empty"), "csv")
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [["name", "note", "empty"], ["a", "'=1+1", ""], ["b,c", "-5", ""]]


def test_a_table_is_not_cut_when_it_goes_into_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    show_list([{"name": long, "models": ["a", "b"]}], ("name", "models"), "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "MODELS"]
    assert lines[1] == f"{long}  a, b"


def test_names_are_text_not_markup_or_terminal_codes(capsys: pytest.CaptureFixture[str]) -> None:
    show_list([{"name": "[red]x[/red]\x1b[31m"}], ("name",), "table")
    assert "[red]x[/red]�[31m" in capsys.readouterr().out
    assert printable("a\x1bb") == "a�b"


def test_cells() -> None:
    assert cell(None) == ""
    assert cell(True) == "yes"
    assert cell({"team": "web"}) == "team=web"
    assert cell("KEY_STATUS_ACTIVE") == "active"
    assert cell([vars(Target(provider="p", model="m"))]) == "p/m"


def test_one_object_shows_what_is_set(capsys: pytest.CaptureFixture[str]) -> None:
    show_one(Key(name="k", status="KEY_STATUS_REVOKED"), "table")
    assert capsys.readouterr().out.split() == ["name", "k", "status", "revoked"]
