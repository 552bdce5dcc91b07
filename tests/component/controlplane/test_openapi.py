"""Generated calls of every operation of the OpenAPI document: no 5xx, and every answer is as the document says.

Calls that keep to the document and calls that break it, many of their names being of what there is, as platform
administrator and as developer. `TOLLWAY_OPENAPI_SECONDS` makes it a long run with other calls each time.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks as openapi

from tollway.wire.openapi import document

SECONDS = float(os.environ.get("TOLLWAY_OPENAPI_SECONDS", "0"))
EXAMPLES = 10 if SECONDS else 2
MAX_SHOWN = 20
CHECKS = [
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_schema_conformance,
    openapi.response_headers_conformance,
    openapi.negative_data_rejection,
]
HEALTH = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large, HealthCheck.large_base_example]


async def furnish(api: Any) -> tuple[dict[str, list[str]], str]:
    """Something of every kind: names by the field that refers to such a thing, and the token of a developer."""

    async def made(verb: str, path: str, body: Any) -> Any:
        answer = await api.call(verb, path, body)
        assert answer.status == 200, answer.body
        return answer.body

    await made("POST", "business-units", {"name": "shops"})
    for name in ("tills", "carts"):
        await made("POST", "projects", {"name": name, "business_unit": "shops"})
    await made("POST", "providers", {"name": "sim", "kind": "simulator", "base_url": "http://127.0.0.1:9/v1"})
    await made("POST", "providers/sim/credentials", {"name": "main", "api_key": "sk-0123456789"})
    await made("POST", "models", {"name": "small", "targets": [{"provider": "sim", "model": "small"}]})
    key = await made("POST", "keys", {"project": "tills", "name": "one"})
    await made("PATCH", "budgets/project:tills", {"limit": "10"})
    increase = await made("POST", "budgets/project:tills/increases", {"amount": "1", "reason": "x"})
    hook = {"name": "hook", "kind": "webhook", "url": "https://hooks.example.com/x", "scope": "all"}
    channel = await made("POST", "alert-channels", hook)
    await made("POST", "users", {"email": "ana@example.com"})
    binding = await made("POST", "roles", {"role": "auditor", "user": "ana@example.com"})
    await made("POST", "service-accounts", {"name": "robot", "project": "tills"})
    token = await made("POST", "service-accounts/robot/tokens", {})
    await made("POST", "roles", {"role": "developer", "service_account": "robot", "project": "tills"})
    ask = {"kind": "model_access", "reason": "better answers", "terms": {"project": "tills", "models": ["small"]}}
    approval = await made("POST", "approvals", ask)
    known = {
        "business_unit": ["shops", "default"],
        "project": ["tills", "carts"],
        "provider": ["sim"],
        "credential": ["main"],
        "model": ["small"],
        "models": ["small", "*"],
        "key": [key["key"]["id"]],
        "subject": ["project:tills", "organisation", "business_unit:shops", f"key:{key['key']['id']}"],
        "increase": [increase["id"]],
        "channel": [channel["id"], "hook"],
        "user": ["ana@example.com"],
        "binding": [binding["id"]],
        "service_account": ["robot"],
        "approval": [approval["id"]],
        "kind": ["credit", "project", "limit"],
    }
    return known, token["secret"]


def replaced(value: Any, known: dict[str, list[str]], name: str, rng: random.Random) -> Any:
    """A generated value with some of its names being of what there is."""
    if isinstance(value, dict):
        return {field: replaced(item, known, field, rng) for field, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, known, name, rng) for item in value]
    return rng.choice(known[name]) if isinstance(value, str) and name in known and rng.random() < 0.7 else value


@dataclass
class Campaign:
    """Calls of every operation with one token. `statuses` counts answers, `problems` are what should not have been."""

    base: str
    token: str
    known: dict[str, list[str]]
    statuses: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def run(self, round_: int, until: float) -> None:
        """Calls every operation with generated arguments, right and wrong ones; ends early at `until`."""
        schema = schemathesis.openapi.from_dict(document())
        with requests.Session() as session:
            for found in schema.get_all_operations():
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    if time.monotonic() < until:
                        self._operation(found.ok(), mode, round_, session)

    def _operation(self, operation: Any, mode: GenerationMode, round_: int, session: requests.Session) -> None:
        @seeded(round_)
        @settings(
            max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=HEALTH
        )
        @given(case=operation.as_strategy(generation_mode=mode), rng=st.randoms(use_true_random=False))
        def called(case: Any, rng: random.Random) -> None:
            if mode is GenerationMode.POSITIVE:
                for part in ("path_parameters", "query", "body"):
                    held = getattr(case, part)
                    if isinstance(held, dict):
                        setattr(case, part, replaced(held, self.known, "", rng))
            self._call(case, session)

        called()

    def _call(self, case: Any, session: requests.Session) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = case.call(base_url=self.base, session=session, headers=headers, timeout=30)
        self.statuses[answer.status_code] += 1
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as group:
            said = "; ".join(f"{type(one).__name__}: {one}" for one in group.exceptions)
            sent = json.dumps(
                [case.path_parameters, case.query, repr(case.body), dict(case.headers or {})], default=str
            )
            self.problems.append(f"{case.method} {case.operation.path} {sent[:1500]} -> {answer.status_code} {said}")


async def test_no_generated_call_fails_or_is_answered_otherwise_than_documented(api: Any) -> None:
    known, developer = await furnish(api)
    runs = [Campaign(api.base, token, known) for token in ("admin-token-canary-4711", developer)]
    first = random.SystemRandom().randrange(1 << 32) if SECONDS else 0
    ends, round_ = time.monotonic() + SECONDS, 0
    while not round_ or time.monotonic() < ends:
        for campaign in runs:
            await asyncio.to_thread(campaign.run, first + round_, ends if round_ else float("inf"))
        round_ += 1
    for campaign in runs:
        print(round_, "rounds from seed", first, dict(campaign.statuses))
        assert not campaign.problems, "\n".join(campaign.problems[:MAX_SHOWN])
        assert campaign.statuses[200] > 20
        assert campaign.statuses[400] > 100
