"""What is shipped to run it: the chart renders and is valid, commands and variables that are named exist."""

from __future__ import annotations

import importlib
import re
import runpy
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest
import typer
import yaml

KUBERNETES = "1.31"
VARIABLE = re.compile(r"\bTOLLWAY_[A-Z_]+\b")
# Named outside of settings: passwords and addresses of the chart's reader, and what only the CLI and Docker read.
OTHER_VARIABLES = {"TOLLWAY_CONTROL_URL"}


def documents(root: Path, values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The manifests that the chart renders."""
    with helm.Chart.load(str(root / "helm/tollway")) as chart:
        rendered = chart.render(values or {}, name="demo", namespace="tollway")
    return [doc for text in rendered.values() for doc in yaml.safe_load_all(text) if doc]


def test_the_chart_has_no_findings(root: Path) -> None:
    findings = helm.lint(str(root / "helm/tollway"))
    assert findings["errors"] == []
    assert [m["error"] for m in findings["messages"] if m["error"] != "icon is recommended"] == []


def test_manifests_are_valid(root: Path) -> None:
    found = documents(root)
    kinds = sorted(f"{doc['kind']}/{doc['metadata']['name']}" for doc in found)
    assert kinds == [
        "Deployment/demo-tollway-controlplane",
        "Job/demo-tollway-migrate",
        "PodDisruptionBudget/demo-tollway-dataplane",
        "Service/demo-tollway-controlplane",
        "Service/demo-tollway-dataplane",
        "StatefulSet/demo-tollway-dataplane",
    ]
    for doc in found:
        kubernetes_validate.validate(doc, KUBERNETES, strict=True)


def test_values_are_checked(root: Path) -> None:
    with pytest.raises(helm.HelmError):
        documents(root, {"dataplane": {"replicas": 0}})
    with pytest.raises(helm.HelmError):
        documents(root, {"no_such_value": 1})


def test_a_data_plane_never_gets_the_control_planes_secrets(root: Path) -> None:
    (stateful,) = (doc for doc in documents(root) if doc["kind"] == "StatefulSet")
    text = yaml.safe_dump(stateful)
    assert "TOLLWAY_KEK" not in text
    assert "TOLLWAY_DATABASE_URL" not in text
    compose = yaml.safe_load((root / "deploy/compose.yaml").read_text())
    assert {"TOLLWAY_KEK", "TOLLWAY_DATABASE_URL"}.isdisjoint(compose["services"]["dataplane"]["environment"])


def test_images_hold_their_own_service_alone(root: Path) -> None:
    script = runpy.run_path(str(root / "deploy/requirements.py"))
    project = tomllib.loads((root / "pyproject.toml").read_text())
    lock = (root / "requirements.lock").read_text()
    dataplane = script["needed"](lock, script["direct"](project, ["dataplane", "telemetry"]))
    controlplane = script["needed"](lock, script["direct"](project, ["controlplane", "telemetry"]))
    assert "aiohttp==" in dataplane
    assert "psycopg" not in dataplane
    assert "psycopg==" in controlplane
    assert "pytest" not in dataplane + controlplane


def test_commands_exist(root: Path) -> None:
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    for entry in scripts.values():
        module, function = entry.split(":")
        assert callable(getattr(importlib.import_module(module), function))
    named = set()
    for path in [*root.glob("deploy/systemd/*"), root / "docs/guide/install.md", root / "docs/guide/operate.md"]:
        named |= set(re.findall(r"\btollway-[a-z]+(?= (?:serve|migrate))", path.read_text()))
    assert named
    assert named - set(scripts) == set()


def test_variables_exist(root: Path) -> None:
    known = set(OTHER_VARIABLES)
    for path in [*root.glob("libs/tollway/**/settings.py"), *root.glob("services/tollway/**/settings.py")]:
        known |= set(VARIABLE.findall(path.read_text()))
    places = [root / "docs/guide/operate.md", *root.glob("helm/tollway/templates/*.yaml"), *root.glob("deploy/**/*")]
    named = {name.removesuffix("_FILE") for p in places if p.is_file() for name in VARIABLE.findall(p.read_text())}
    assert named - known == set()


def test_an_old_python_is_refused_by_name(root: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    command = ["bash", str(root / "deploy/setup.sh")]
    done = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", "PYTHON": str(old)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "setup: Python 3.9.2 is too old; Tollway needs Python 3.11 or newer (PYTHON=path names another one)\n"
    )


def test_every_target_says_what_it_does(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.M)
    described = re.findall(r"^([a-z-]+):.* ## \S", makefile, re.M)
    assert sorted(phony.split()) == sorted(described)


def test_commands_of_the_cli_exist(root: Path) -> None:
    group: Any = typer.main.get_command(importlib.import_module("tollway.cli.main").app)
    found = set()
    for path in [root / "README.md", *(root / "docs").rglob("*.md")]:
        found |= set(
            re.findall(
                r"(?:^|[`/])tollway ([a-z]+(?:-[a-z]+)*)(?: ([a-z]+(?:-[a-z]+)+|list|show|create|rotate|revoke))?",
                path.read_text(),
                re.M,
            )
        )
    assert found
    missing = [
        f"{noun} {verb}".strip()
        for noun, verb in found
        if noun not in group.commands or (verb and verb not in getattr(group.commands[noun], "commands", {}))
    ]
    assert missing == []
