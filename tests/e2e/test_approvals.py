"""A decision reaches the data plane: whoever was refused for want of credit calls on within two seconds of it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tollway.testkit.stack import Stack, http, until

DEAR, OTHER = "dear", "other"
WITHIN = 2.0


def person(stack: Stack, name: str, role: str, **place: str) -> str:
    """A caller with one role; returns a token."""
    stack.api("POST", "service-accounts", {"name": name})
    stack.api("POST", "roles", {"role": role, "service_account": name, **place})
    token: str = stack.api("POST", f"service-accounts/{name}/tokens", {})["secret"]
    return token


def ask(stack: Stack, token: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """A POST to the management API as somebody."""
    url = f"http://127.0.0.1:{stack.control.ports['control']}/api/v1/{path}"
    status, _headers, found = http("POST", url, token=token, body=body)
    assert status == 200, found
    answer: dict[str, Any] = found
    return answer


def test_what_a_manager_grants_is_usable_within_two_seconds(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    document = stack.demo()
    document["models"] += [
        {
            "name": name,
            "targets": [{"provider": "sim", "model": "sim-fast/tokens=50"}],
            "price": {"input": "0", "output": "10000"},
        }
        for name in (DEAR, OTHER)
    ]
    document["projects"][0] |= {"models": [DEAR], "budget": {"limit": "0.9", "period": "month"}}
    document["policies"] = [
        {"kind": kind, "steps": [{"approvers": {"people": ["service_account:boss"]}}]}
        for kind in ("credit", "model_access")
    ]
    developer = person(stack, "dev", "developer", project="demo")
    manager = person(stack, "boss", "unit_manager", business_unit="default")
    stack.apply(document)
    ask_for = {"kind": "credit", "reason": "launch week", "terms": {"subject": "project:demo", "amount": "5"}}

    def called(model: str = DEAR) -> int:
        return stack.chat(model=model, max_tokens=50)[0]

    def decided(path: str, body: dict[str, Any], token: str, wanted: int, model: str = DEAR) -> float:
        began = time.monotonic()
        ask(stack, token, path, body)
        until(lambda: called(model) == wanted, WITHIN, f"{wanted} after {path}")
        return time.monotonic() - began

    until(lambda: called() == 200, 10, "the model")
    status, headers, body = stack.chat(model=DEAR, max_tokens=50)
    assert (status, headers["x-tollway-error-code"]) == (429, "budget_exceeded"), body
    request = ask(stack, developer, "approvals", ask_for)
    assert request["state"] == "pending"
    assert called() == 429, "asking gives nothing"
    seconds = [decided(f"approvals/{request['id']}:decide", {"verdict": "approve"}, manager, 200)]
    taken = {"reason": "by mistake"}
    seconds.append(decided(f"approvals/{request['id']}:revoke", taken, manager, 429))
    assert called(OTHER) == 403
    terms = {"project": "demo", "models": [OTHER]}
    asked = ask(stack, developer, "approvals", {"kind": "model_access", "reason": "better", "terms": terms})
    more = ask(stack, developer, "approvals", ask_for)
    ask(stack, manager, f"approvals/{more['id']}:decide", {"verdict": "approve"})
    until(lambda: called() == 200, WITHIN, "the credit")
    seconds.append(decided(f"approvals/{asked['id']}:decide", {"verdict": "approve"}, manager, 200, OTHER))
    with capsys.disabled():
        print(f"\nfrom the decision to a call, ms: {', '.join(f'{1000 * found:.0f}' for found in seconds)}")
