"""Habits of the code that a linter does not know: docstrings, no loose ends, no silent failures, no assembled SQL."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

LOOSE_ENDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
TEXT_SUFFIXES = {
    ".py",
    ".sql",
    ".proto",
    ".md",
    ".sh",
    ".yaml",
    ".yml",
    ".toml",
    ".ini",
    ".mjs",
    ".js",
    ".html",
    ".css",
}
QUERY_CALLS = {"execute", "executemany", "copy", "stream", "fetch_all", "fetch_one"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def undocumented(tree: ast.Module) -> list[str]:
    """Public functions, classes and methods of public classes that have no docstring."""
    missing = []

    def look(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_"):
                continue
            decorators = {ast.unparse(d).split(".")[-1] for d in node.decorator_list}
            if not ast.get_docstring(node) and not decorators & {"overload", "override", "setter"}:
                missing.append(f"{prefix}{node.name}")
            if isinstance(node, ast.ClassDef):
                look(node.body, f"{prefix}{node.name}.")

    look(tree.body, "")
    return missing


def silent(tree: ast.AST) -> list[int]:
    """Lines where a broad exception is swallowed, or any is with nothing but `pass`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            if all(isinstance(step, ast.Pass) for step in node.body) or node.type is None:
                found.append(node.lineno)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            found += [node.lineno for arg in node.args if ast.unparse(arg) in ("Exception", "BaseException")]
    return found


def is_assembled(node: ast.expr) -> bool:
    """Whether an expression builds text at run time: f-string with values, `+`, `%`, `.format` on a literal, join."""
    match node:
        case ast.JoinedStr(values=values):
            return any(isinstance(value, ast.FormattedValue) for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return not (isinstance(left, ast.Constant) and isinstance(right, ast.Constant))
        case ast.BinOp(op=ast.Mod()):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="format" | "join")):
            return True
        case ast.Call(args=[first, *_]) if ast.unparse(node.func).endswith("SQL"):
            return is_assembled(first)
    return False


def assembled_sql(tree: ast.Module) -> list[int]:
    """Lines that hand assembled text to a database call, directly or through a variable of that name."""
    assembled = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and is_assembled(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in QUERY_CALLS
        and node.args
        if is_assembled(node.args[0]) or (isinstance(node.args[0], ast.Name) and node.args[0].id in assembled)
    ]


def test_modules_have_docstrings(sources: list[Any]) -> None:
    assert [s.name for s in sources if s.text.strip() and not ast.get_docstring(s.tree)] == []


def test_what_is_public_has_a_docstring(sources: list[Any]) -> None:
    assert [f"{s.name}: {name}" for s in sources if s.shipped for name in undocumented(s.tree)] == []


def test_no_silent_failures(sources: list[Any]) -> None:
    assert [f"{s.name}:{line}" for s in sources for line in silent(s.tree)] == []


def test_no_assembled_sql(sources: list[Any]) -> None:
    ours = [s for s in sources if s.shipped and "controlplane" in s.name]
    assert [f"{s.name}:{line}" for s in ours for line in assembled_sql(s.tree)] == []


def test_no_loose_ends(files: list[Path], root: Path) -> None:
    text = [path for path in files if path.suffix in TEXT_SUFFIXES or path.name == "Makefile"]
    names = (path.relative_to(root).as_posix() for path in text if LOOSE_ENDS.search(path.read_text()))
    found = [name for name in names if not name.startswith("tests/house/")]
    assert found == []


def test_nothing_is_left_unbuilt_or_skipped(sources: list[Any]) -> None:
    banned = re.compile(r"NotImplementedError|pytest\.(skip|xfail|importorskip)\(|mark\.(skip|skipif|xfail)\b")
    assert [s.name for s in sources if banned.search(s.text) and "tests/house/" not in s.name] == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("db.execute(f'select {x}')", [1]),
        ("q = 'select ' + x\ndb.execute(q)", [2]),
        ("db.execute('select %s' % x)", [1]),
        ("db.execute('select {}'.format(x))", [1]),
        ("db.execute(SQL(f'select {x}'))", [1]),
        ("db.execute('select %s', (x,))", []),
        ("db.execute(queries['list'], {'a': 1})", []),
        ("db.execute(SQL('select {}').format(Identifier(x)))", []),
    ],
)
def test_the_sql_scan_finds_what_it_looks_for(code: str, expected: list[int]) -> None:
    assert assembled_sql(ast.parse(code)) == expected


def test_the_other_scans_find_what_they_look_for() -> None:
    assert silent(ast.parse("try:\n  f()\nexcept ValueError:\n  pass")) == [3]
    assert silent(ast.parse("with contextlib.suppress(Exception):\n  f()")) == [1]
    assert undocumented(ast.parse("def f(): ...\nclass C:\n  'd'\n  def m(self): ...\n  def _n(self): ...")) == [
        "f",
        "C.m",
    ]
