"""`policies:` of the configuration file: how requests of people are decided."""

from __future__ import annotations

from typing import Any

from tollway.cli.document.kinds import Duration, Field, Items, Number, Object, Text

_YEAR = 31_536_000
_APPROVERS = Object(
    {
        "people": Field(Items(Text(minimum=1, maximum=200), maximum=50), doc="as the audit log names them"),
        "role": Field(Text(minimum=1, maximum=60), doc="whoever has it where the request applies"),
    }
)
_STEPS = Items(
    Object({"approvers": Field(_APPROVERS, required=True), "quorum": Field(Number(1, 20), doc="default: 1")}),
    maximum=5,
)
_RULE = Object(
    {
        "name": Field(
            Text(
                pattern=r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
                says="must be 1 to 63 lower-case letters, digits or hyphens, not beginning or ending with a hyphen",
            ),
            required=True,
        ),
        "when": Field(Text(minimum=1, maximum=1000), doc="a condition in CEL; absent: always"),
        "effect": Field(Text(choices=("approve", "require", "reject")), required=True),
        "reason": Field(Text(minimum=1, maximum=500), doc="of reject: what whoever asks is told"),
        "steps": Field(_STEPS, doc="of require; absent: those of the policy"),
    }
)


def _after(name: str, doc: str) -> dict[str, Any]:
    return {name: Field(Duration(_YEAR, whole=True), to=f"{name}_seconds", doc=doc)}


_TIMING = Object(
    {
        **_after("remind", "how long after the request, and after each reminder; absent: never"),
        **_after("escalate", "how long after the request `escalate_to` may decide too; absent: never"),
        "escalate_to": Field(_APPROVERS),
        **_after("expire", "how long after the request it ends undecided; default: 30d"),
    }
)
POLICY = Object(
    {
        "kind": Field(
            Text(choices=("platform_access", "project", "model_access", "credit", "limit")),
            required=True,
            doc="the kind of requests; each has one policy",
        ),
        "rules": Field(Items(_RULE, maximum=50), doc="the first that holds decides"),
        "steps": Field(_STEPS, doc="when no rule holds; default: one platform administrator"),
        "timing": Field(_TIMING),
        "note": Field(Text(maximum=500), doc="why it is so; kept with the version that it makes"),
    }
)
