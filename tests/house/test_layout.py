"""The tree is the architecture: where packages lie, who reads the environment, who starts tasks, who imports whom."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from pathlib import Path
from typing import Any

from tollway.core.catalog import ProviderKind

# `asyncio.gather` only awaits what it is given; these start something that outlives the call.
TASK_MAKERS = {"create_task", "ensure_future", "TaskGroup", "run_coroutine_threadsafe"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def reads_environment(tree: ast.AST) -> list[int]:
    """Lines that touch the process environment."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            if node.attr in ("environ", "getenv", "environb", "putenv"):
                lines.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            lines += [node.lineno for alias in node.names if alias.name in ("environ", "getenv")]
    return lines


def makes_tasks(tree: ast.AST) -> list[int]:
    """Lines that start an asyncio task."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in TASK_MAKERS)
        or (
            isinstance(node, ast.ImportFrom) and node.module == "asyncio" and TASK_MAKERS & {a.name for a in node.names}
        )
    ]


def test_only_settings_read_the_environment(sources: list[Any]) -> None:
    found = [
        f"{s.name}:{line}"
        for s in sources
        if s.shipped and s.path.name != "settings.py"
        for line in reads_environment(s.tree)
    ]
    assert found == []


def test_only_the_runtime_starts_tasks(sources: list[Any]) -> None:
    allowed = "libs/tollway/runtime/tasks.py"
    found = [f"{s.name}:{line}" for s in sources if s.shipped and s.name != allowed for line in makes_tasks(s.tree)]
    assert found == []


def test_the_scans_find_what_they_look_for() -> None:
    assert reads_environment(ast.parse("import os\nx = os.environ['A']\ny = os.getenv('B')")) == [2, 3]
    assert reads_environment(ast.parse("from os import environ")) == [1]
    assert makes_tasks(ast.parse("import asyncio\nasyncio.create_task(f())\nloop.create_task(f())")) == [2, 3]


def packages(root: Path) -> set[str]:
    """The packages directly below the namespace `tollway`, over both of its roots."""
    folders = [folder for base in ("libs", "services") for folder in (root / base / "tollway").iterdir()]
    return {f"tollway.{folder.name}" for folder in folders if folder.is_dir() and any(folder.rglob("*.py"))}


def test_the_namespace_has_no_init(root: Path) -> None:
    assert not (root / "libs/tollway/__init__.py").exists()
    assert not (root / "services/tollway/__init__.py").exists()


def test_every_package_is_placed_in_the_import_contracts(root: Path) -> None:
    config = configparser.ConfigParser()
    config.read(root / ".importlinter")
    assert set(config["importlinter"]["root_packages"].split()) == packages(root)
    layers = config["importlinter:contract:layers"]["layers"].replace("|", " ").split()
    assert set(layers) == packages(root)


def test_import_contracts_hold(root: Path) -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_provider_kind_is_held_to_independence(root: Path) -> None:
    config = configparser.ConfigParser()
    config.read(root / ".importlinter")
    listed = config["importlinter:contract:providers-independent"]["modules"].split()
    assert sorted(listed) == sorted(f"tollway.dataplane.providers.{kind.value}" for kind in ProviderKind)


def test_client_dialects_do_not_know_each_other(sources: list[Any]) -> None:
    """Files of one dialect share a first word; only files without a sibling dialect's word may be shared."""
    families = {"openai", "anthropic"}
    mixed = []
    for source in (s for s in sources if "/core/dialects/" in s.name):
        others = families - {source.path.stem.split("_")[0]}
        if source.path.stem.split("_")[0] in families:
            imports = [ast.unparse(n) for n in ast.walk(source.tree) if isinstance(n, ast.Import | ast.ImportFrom)]
            mixed += [
                f"{source.name}: {i}" for i in imports if any(f"dialects.{o}_" in i or f" {o}_" in i for o in others)
            ]
    assert mixed == []


def test_every_package_has_an_init(sources: list[Any], root: Path) -> None:
    folders = {s.path.parent for s in sources if s.name.startswith(("libs/", "services/"))}
    missing = [f.relative_to(root).as_posix() for f in folders if not (f / "__init__.py").exists()]
    assert missing == []


def test_names_say_something(sources: list[Any]) -> None:
    assert [s.name for s in sources if VAGUE_NAMES & set(Path(s.name).with_suffix("").parts)] == []


def test_unit_tests_mirror_the_source(root: Path) -> None:
    unit = root / "tests/unit"
    bases = (root / "libs/tollway", root / "services/tollway")
    folders = {path.parent.relative_to(unit) for path in unit.rglob("test_*.py")}
    assert [str(folder) for folder in folders if not any((base / folder).is_dir() for base in bases)] == []
