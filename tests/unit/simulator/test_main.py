"""The command line: effective settings, and one clear line for a wrong one."""

from __future__ import annotations

import json

import pytest

from tollway.simulator.main import main


def test_settings_are_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TOLLWAY_PORT_SIMULATOR", "0")
    assert main(["settings"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["TOLLWAY_PORT_SIMULATOR"] == "0"
    assert shown["TOLLWAY_SIMULATOR_MAX_SECONDS"] == "600"


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TOLLWAY_SIMULATOR_MAX_TOKENS", "none")
    assert main(["serve"]) == 1
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("error: TOLLWAY_SIMULATOR_MAX_TOKENS is not valid")
