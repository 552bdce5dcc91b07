"""Generated calls of every operation of the OpenAPI document: no 5xx, and every answer is as the document says.

Calls that keep to the document and calls that break it, many of their names being of what there is, as platform
administrator and as developer. `TOLLWAY_OPENAPI_SECONDS` makes it a long run with other calls each time.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks as openapi

from tollway.wire.openapi import document

ADMIN = "admin-token-canary-4711"
SECONDS = float(os.environ.get("TOLLWAY_OPENAPI_SECONDS", "0"))
EXAMPLES = 10 if SECONDS else 2
MAX_SHOWN = 20
MAX_URL = 8000
"""Longer ones are refused by the HTTP server itself, in plain text."""
CHECKS = [
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_schema_conformance,
    openapi.response_headers_conformance,
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
    increase = await made("POST", "budgets/project:tills/increases", {"amount": "1", "ends_at": "2099-01-01T00:00:00Z"})
    hook = {"name": "hook", "kind": "webhook", "url": "https://hooks.example.com/x", "secret": "0123456789abcdef"}
    channel = await made("POST", "alert-channels", hook)
    await made("POST", "users", {"email": "ana@example.com"})
    binding = await made("POST", "roles", {"role": "auditor", "user": "ana@example.com"})
    for name in ("robot", "helper"):  # the calls have the token of the first one and end the second
        await made("POST", "service-accounts", {"name": name})
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
        "service_account": ["helper"],
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


def smaller(schema: Any) -> Any:
    """A schema with short texts and lists: what fits it fits the given one, and is made sooner."""
    if isinstance(schema, list):
        return [smaller(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: smaller(item) for name, item in schema.items()}
    if made.get("type") == "array":
        made["maxItems"] = min(made.get("maxItems", 2), max(made.get("minItems", 0), 2))
    if made.get("type") == "string" and not made.keys() & {"pattern", "enum", "format"}:
        made["maxLength"] = min(made.get("maxLength", 40), max(made.get("minLength", 0), 40))
    return made


def operations(schema: dict[str, Any]) -> list[Any]:
    """What a document describes."""
    found: Any = schemathesis.openapi.from_dict(schema).get_all_operations()
    return [operation.ok() for operation in found]


def lenient(case: Any) -> bool:
    """Whether something is null or, in the query, empty: that is as good as not given, whatever its type."""
    query = case.query if isinstance(case.query, dict) else {}
    return "None" in repr(case.body) or any(value in ("", [], None) for value in query.values())


@dataclass
class Campaign:
    """Calls of every operation with each token. `statuses` counts answers, `problems` are what should not have been."""

    base: str
    tokens: tuple[str, ...]
    known: dict[str, list[str]]
    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Every call has a token: what becomes of others is shown elsewhere.
        described = {**document(), "security": []}
        self._right, self._described = (
            sorted(operations(one), key=_ends_something) for one in (smaller(described), described)
        )

    def run(self, seed: int, until: float) -> None:
        """Calls every operation with generated arguments, right and wrong ones; ends early at `until`."""
        with requests.Session() as session:
            for number, (right, described) in enumerate(zip(self._right, self._described, strict=True)):
                if time.monotonic() < until:
                    self._operation(right, described, GenerationMode.POSITIVE, seed, session)
                    if (number + seed) % 3 == 0:  # wrong calls are dear to make
                        with suppress(Unsatisfiable):  # nothing of what some take can be wrong
                            self._operation(described, described, GenerationMode.NEGATIVE, seed, session)

    def _operation(
        self, made_from: Any, described: Any, mode: GenerationMode, seed: int, session: requests.Session
    ) -> None:
        @seeded(seed)
        @settings(
            max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=HEALTH
        )
        @given(case=made_from.as_strategy(generation_mode=mode), rng=st.randoms(use_true_random=False))
        def called(case: Any, rng: random.Random) -> None:
            case.operation = described
            if mode is GenerationMode.POSITIVE:
                for part in ("path_parameters", "query", "body"):
                    held = getattr(case, part)
                    if isinstance(held, dict):
                        setattr(case, part, replaced(held, self.known, "", rng))
            for token in self.tokens:
                self._call(case, token, session)

        called()

    def _call(self, case: Any, token: str, session: requests.Session) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        answer = case.call(base_url=self.base, session=session, headers=headers, timeout=30)
        self.statuses[token][answer.status_code] += 1
        if answer.status_code == 400 and len(answer.request.url) > MAX_URL:
            return
        try:
            case.validate_response(answer, checks=CHECKS + ([] if lenient(case) else [openapi.negative_data_rejection]))
        except FailureGroup as group:
            said = "; ".join(f"{type(one).__name__}: {one}" for one in group.exceptions)
            sent = ascii([case.path_parameters, case.query, case.body, dict(case.headers or {})])
            self.problems.append(f"{case.method} {case.operation.path} {sent[:1500]} -> {answer.status_code} {said}")


def _ends_something(operation: Any) -> bool:
    """Whether others of the operations find less after it."""
    ends = (":disable", ":revoke", ":rotate", ":unbind", ":cancel", ":decide")
    return bool(operation.method.upper() == "DELETE" or operation.path.endswith(ends))


async def test_no_generated_call_fails_or_is_answered_otherwise_than_documented(api: Any) -> None:
    known, developer = await furnish(api)
    campaign = Campaign(api.base, (ADMIN, developer), known)
    first = random.SystemRandom().randrange(1 << 32) if SECONDS else 0
    ends, rounds = time.monotonic() + SECONDS, 0
    while not rounds or time.monotonic() < ends:
        await asyncio.to_thread(campaign.run, first + rounds, ends if rounds else float("inf"))
        rounds += 1
    for token, statuses in campaign.statuses.items():
        print(f"{rounds} rounds from {first}, administrator {token == ADMIN}: {dict(statuses)}")
    assert not campaign.problems, "\n".join(campaign.problems[:MAX_SHOWN])
    assert campaign.statuses[ADMIN][200] > 60
    assert campaign.statuses[developer][200] > 8
