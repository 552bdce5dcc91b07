"""`policies:` of a configuration file: versions like those made by hand, kept, compared, and set back."""

from __future__ import annotations

from typing import Any

from tollway.cli.document.load import configuration

TEXT = """
version: 1
policies:
  - kind: credit
    rules:
      - {name: small, when: amount <= 50 && !permanent, effect: approve}
      - name: large
        when: amount > 200
        effect: require
        steps: [{approvers: {people: [cfo@example.com, treasurer@example.com]}, quorum: 2}]
    steps: [{approvers: {role: unit_manager}}]
    timing: {remind: 1d, escalate: 3d, escalate_to: {role: platform_admin}, expire: 14d}
    note: small increases need nobody
  - {kind: project, steps: [{approvers: {role: project_owner}}]}
"""


async def apply(api: Any, text: str, **options: Any) -> Any:
    return await api.call("POST", "configuration:apply", {"configuration": configuration(text, {}), **options})


def steps(answer: Any) -> list[tuple[str, str]]:
    assert answer.status == 200, answer.body
    assert {change["kind"] for change in answer.body["changes"]} <= {"policy"}
    return [(change["action"], change["name"]) for change in answer.body["changes"]]


async def version(api: Any, kind: str = "credit") -> str:
    found: str = (await api.call("GET", f"policies/{kind}")).body["version"]
    return found


async def test_policies_are_set_kept_told_apart_and_set_back(api: Any) -> None:
    assert steps(await apply(api, TEXT, dry_run=True)) == [("create", "credit"), ("create", "project")]
    assert await version(api) == "0", "a dry run changes nothing"
    assert steps(await apply(api, TEXT)) == [("create", "credit"), ("create", "project")]
    shown = (await api.call("GET", "policies/credit")).body
    assert [rule["name"] for rule in shown["rules"]] == ["small", "large"]
    assert shown["rules"][1]["steps"][0]["quorum"] == 2
    assert (shown["timing"]["escalate_seconds"], shown["note"]) == ("259200", "small increases need nobody")
    assert (shown["created_by"], shown["version"]) == ("administrator", "1")
    assert steps(await apply(api, TEXT)) == []
    assert steps(await apply(api, TEXT.replace("cfo@example.com", "CFO@Example.com"))) == [], "the same person"
    smaller = TEXT.replace("amount <= 50", "amount <= 20")
    (change,) = (await apply(api, smaller, dry_run=True)).body["changes"]
    assert (change["action"], change["name"], change["details"][0][:6]) == ("update", "credit", "rules:")
    assert steps(await apply(api, smaller)) == [("update", "credit")]
    assert (await version(api), await version(api, "project")) == ("2", "1")
    by_hand = {"steps": [{"approvers": {"role": "platform_admin"}}]}
    assert (await api.call("PUT", "policies/credit", by_hand)).status == 200
    refused = await apply(api, smaller)
    assert (refused.status, "edited elsewhere" in refused.error["message"]) == (409, True)
    assert steps(await apply(api, smaller, force=True)) == [("update", "credit")]
    without = TEXT[: TEXT.index("  - kind: credit")] + TEXT[TEXT.index("  - {kind: project") :]
    assert steps(await apply(api, without)) == []
    assert steps(await apply(api, without, prune=True)) == [("archive", "credit")]
    back = (await api.call("GET", "policies/credit")).body
    assert (back["version"], back["rules"], back["steps"][0]["approvers"]["role"]) == ("5", [], "platform_admin")
    assert steps(await apply(api, without, prune=True)) == []
    assert steps(await apply(api, TEXT)) == [("update", "credit")], "what was set back is free again"
    events = (await api.call("GET", "audit?resource=policy:credit")).body["events"]
    assert len(events) == 6


async def test_what_is_no_policy_is_refused_by_its_path(api: Any) -> None:
    wrong = [
        ("amount > 200", "amont > 200", "policies[0].rules[1].when"),
        ("kind: project", "kind: credit", "policies[1].kind"),
        ("cfo@example.com", "nobody", "policies[0].rules[1].steps[0].approvers.people"),
        ("role: project_owner", "role: auditor", "policies[1].steps[0].approvers.role"),
        ("role: project_owner", "role: king", "policies[1].steps[0].approvers.role"),
        (", escalate_to: {role: platform_admin}", "", "policies[0].timing.escalate_to"),
    ]
    for before, after, field in wrong:
        refused = await apply(api, TEXT.replace(before, after))
        assert (refused.status, refused.error["field"]) == (400, f"configuration.{field}")
    assert await version(api) == "0"
