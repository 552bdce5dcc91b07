"""The permission table covers the contract: a method that no row says who may call fails the build."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from tollway.controlplane.access.permissions import FULL, OWNED, SCOPES, TABLE, Level, Role, base
from tollway.controlplane.workflows.people import DECIDING

BODIES = "requestlog.read_bodies"
"""Reads, and leaves an audit entry of it."""


def policies(root: Path) -> list[Any]:
    """The policy of every method of the management API."""
    options = import_module("tollway.wire.gen.tollway.control.v1.options_pb2")
    found = []
    for path in sorted((root / "libs/tollway/wire/gen/tollway/control/v1").glob("*_pb2.py")):
        module = import_module(f"tollway.wire.gen.tollway.control.v1.{path.stem}")
        for service in module.DESCRIPTOR.services_by_name.values():
            found += [method.GetOptions().Extensions[options.policy] for method in service.methods]
    return found


def test_every_permission_is_assigned(root: Path) -> None:
    declared = {policy.permission for policy in policies(root)} - {"public"}
    assert len(declared) > 60
    assert sorted(declared - TABLE.keys()) == [], "add a row to controlplane/access/permissions.py"
    assert sorted(TABLE.keys() - declared) == [], "no method has these permissions any more"


def test_an_auditor_reads_everything_and_changes_nothing(root: Path) -> None:
    reading = {policy.permission for policy in policies(root) if policy.read_only}
    changing = {policy.permission for policy in policies(root) if not policy.read_only}
    may = FULL[Role.AUDITOR] | OWNED[Role.AUDITOR] | base([Role.AUDITOR])
    assert may & changing == {BODIES}
    assert may == (reading | {BODIES}) - {"public"}
    everyone = {name for name, row in TABLE.items() if row.everyone}
    assert base([]) == base([Role.DEVELOPER]) == base([Role.AUDITOR, Role.DEVELOPER]) == everyone
    assert everyone & changing, "who is no auditor alone takes part"
    assert "auditor" not in DECIDING, "nor does a policy ask them"


def test_a_platform_administrator_may_everything() -> None:
    assert FULL[Role.PLATFORM_ADMIN] == TABLE.keys()
    assert SCOPES[Role.PLATFORM_ADMIN] == {Level.PLATFORM}
