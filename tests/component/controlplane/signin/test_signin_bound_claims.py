"""Roles by other claims than the groups: bindings see their values as groups that nobody can make."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_claim_gives_a_role_and_takes_it_away(rig: Any, issuer_specs: Any) -> None:
    corp, other = issuer_specs(rig.corp, rig.other)
    listed = corp | {"claims": ["department", "org.level"]}
    document = {"configuration": {"identity": {"issuers": [listed, other]}}}
    assert (await rig.api.call("POST", "configuration:apply", document)).status == 200
    rig.clock.wait(3)
    for group in ("department=finance", "org.level=3"):
        granted = await rig.api.call("POST", "roles", {"role": "auditor", "group": group, "issuer": rig.corp.url})
        assert granted.status == 200, granted.body

    async def status(issuer: Any = rig.corp, *, sub: str = "fin", **claims: Any) -> int:
        found: int = (await rig.call(issuer.token({"sub": sub, "groups": [], **claims}), "users")).status
        return found

    assert await status() == 403
    assert await status(department="finance") == 200
    assert await status(department="legal") == 403, "at the next token the role is gone"
    assert await status(department=["legal", "finance"]) == 200
    assert await status(sub="lead", org={"level": 3}) == 200
    assert await status(sub="eve", groups=["department=finance"]) == 403, "a group of that name gives nothing"
    assert await status(sub="eve", groups=["department=finance"], department="legal") == 403
    assert await status(rig.other, sub="far", department="finance") == 403, "that issuer lists no such claim"
    assert await status(groups=None, department="finance") == 200, "an issuer may name the claims alone"
    wrong = document | {"configuration": {"identity": {"issuers": [corp | {"claims": ["a=b"]}, other]}}}
    refused = await rig.api.call("POST", "configuration:apply", wrong)
    assert (refused.status, refused.error["field"]) == (400, "configuration.identity.issuers[0].claims[0]")
    audited = await rig.api.sql("SELECT after->'groups' FROM audit_events WHERE after->'groups' ? 'department=finance'")
    assert audited, "what the claims say is in the audit log"
