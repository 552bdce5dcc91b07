"""The contract in proto/: every management method says who may call it, and the generated code is of this contract."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from google.api import annotations_pb2

PERMISSION = re.compile(r"^(public|[a-z][a-z_]*\.[a-z][a-z_]*)$")


def methods(root: Path) -> Iterator[Any]:
    """The method descriptors of every service of the management API."""
    for path in sorted((root / "libs/tollway/wire/gen/tollway/control/v1").glob("*_pb2.py")):
        module = import_module(f"tollway.wire.gen.tollway.control.v1.{path.stem}")
        for service in module.DESCRIPTOR.services_by_name.values():
            yield from service.methods


def policy(method: Any) -> Any:
    """The permission option of a method."""
    options = import_module("tollway.wire.gen.tollway.control.v1.options_pb2")
    return method.GetOptions().Extensions[options.policy]


def test_every_method_has_a_permission_and_a_path(root: Path) -> None:
    found = list(methods(root))
    assert len(found) > 10
    assert [m.full_name for m in found if not PERMISSION.match(policy(m).permission)] == []
    assert [
        m.full_name for m in found if not m.GetOptions().Extensions[annotations_pb2.http].WhichOneof("pattern")
    ] == []


def test_scope_fields_exist(root: Path) -> None:
    wrong = [
        m.full_name for m in methods(root) if (f := policy(m).scope_field) and f not in m.input_type.fields_by_name
    ]
    assert wrong == []


def test_reading_is_declared(root: Path) -> None:
    """GET never changes anything, and only what changes nothing escapes the audit log."""
    gets = [m for m in methods(root) if m.GetOptions().Extensions[annotations_pb2.http].get]
    assert [m.full_name for m in gets if not policy(m).read_only] == []
    changing = [
        m for m in methods(root) if m.name.startswith(("Create", "Update", "Delete", "Revoke", "Rotate", "Apply"))
    ]
    assert [m.full_name for m in changing if policy(m).read_only] == []


def tree(folder: Path) -> dict[str, str]:
    """Relative path -> text of the generated files."""
    made = (p for p in folder.rglob("*.py*") if "__pycache__" not in p.parts)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in made}


def test_generated_code_is_fresh(root: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("proto_generate", root / "proto/generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    committed = generate.GEN
    generate.GEN = tmp_path / "gen"
    generate.main()
    assert tree(tmp_path / "gen") == tree(committed), "run `make gen` and commit the result"
