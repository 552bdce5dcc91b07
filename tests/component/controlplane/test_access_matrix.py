"""Every method of the contract x role x scope: who gets through the dispatcher, and who is refused.

The expectation is written here by permission and by a rule in a few lines; the code that is tested has a table of its
own. Handlers are replaced by one that says that it was reached: what is tested is the way to it, on real rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from uuid_utils.compat import uuid7

from tollway.controlplane.access.model import Identity
from tollway.controlplane.access.service import principal_of
from tollway.controlplane.api.dispatcher import CallContext, Dispatcher
from tollway.controlplane.app import ControlPlane
from tollway.controlplane.call import ApiCode, ApiError, Call, Method, Principal
from tollway.wire.codec import ContractViolation
from tollway.wire.contract import METHODS, PUBLIC, MethodContract
from tollway.wire.validation import check

ROLES = ("auditor", "unit_manager", "project_owner", "developer", "service_account")
EXPECTED = {
    # s: in their scope; o: what is their own in their scope; *: on the whole platform, wherever the role is; -: never.
    "-----": """
        users.create users.disable users.enable users.unbind business_units.create business_units.archive models.create
        models.update models.archive prices.set prices.end prices.import prices.rerate providers.create
        providers.update providers.archive providers.check credentials.create credentials.update credentials.rotate
        credentials.remove configuration.apply ledger.retain reconciliation.upload secrets.rotate policies.update""",
    "s----": """
        users.read providers.read ledger.verify reconciliation.read audit.read system.read secrets.read policies.read
        policies.dry_run""",
    "-s---": "business_units.update projects.create projects.archive requestlog.delete",
    "-ss--": """
        service_accounts.create service_accounts.disable service_accounts.enable service_accounts.archive
        service_accounts.issue service_accounts.revoke roles.grant roles.revoke projects.update budgets.update
        budgets.remove budgets.increase limits.update alerts.create_channel alerts.update_channel
        alerts.delete_channel alerts.test_channel alerts.acknowledge""",
    "sss--": "service_accounts.read roles.read business_units.read alerts.read",
    "sssss": "projects.read",
    "-ssos": "keys.create keys.update keys.rotate keys.revoke",
    "sssos": "keys.read budgets.read limits.read usage.read requests.read requestlog.read",
    "ssso-": "requestlog.read_bodies",
    "*****": "models.read prices.read",
}
EVERYONE = {
    "caller.read", "approvals.create", "approvals.read", "approvals.comment", "approvals.cancel", "approvals.decide",
    "approvals.revoke", "delegations.create", "delegations.read", "delegations.revoke",
}  # fmt: skip
"""What whoever has signed in may call; of requests, the handler knows whose they are and who decides."""
READ_BY_EVERYONE = {"caller.read", "approvals.read", "delegations.read"}
"""What of it changes nothing, and is left to who has the role of the auditor alone."""
ABOVE = {"budgets.update", "budgets.remove", "budgets.increase", "limits.update"}
"""Rules are set from above: nobody sets those that hold them."""
LISTS = {
    "ListBusinessUnits", "ListProjects", "ListKeys", "ListBudgets", "ListLimits", "QueryUsage", "ListRequests",
    "SearchRequestLog", "ListAlertChannels", "ListAlerts", "ListAlertDeliveries", "ListServiceAccounts", "ListRoles",
}  # fmt: skip
"""What shows whoever may see anything the part that they may see."""
UNIT_OF = {"project": "unit", "sibling": "unit", "foreign": "other_unit"}
COVERED = {
    "platform": {"platform", "unit", "other_unit", "project", "sibling", "foreign", "nowhere"},
    "unit": {"unit", "project", "sibling"},
    "project": {"project"},
}
ME, OTHER = "me@example.com", "other@example.com"
HOLDERS = [
    ("platform_admin", "platform"),
    *((role, where) for role in ("auditor", "developer", "service_account") for where in COVERED),
    ("unit_manager", "unit"),
    ("project_owner", "project"),
    ("", "platform"),
]


@dataclass(frozen=True)
class Target:
    """What a call is about: (place, owner) of each thing it touches, nothing where it names none; and its fields."""

    things: tuple[tuple[str, str], ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)


def letter(role: str, permission: str) -> str:
    """What the table above says."""
    found = [pattern for pattern, names in EXPECTED.items() if permission in names.split()]
    assert len(found) == 1, f"{permission} has {len(found)} rows here"
    return found[0][ROLES.index(role)]


def above(place: str) -> str:
    return UNIT_OF.get(place, "platform")


def expected(role: str, where: str, contract: MethodContract, target: Target) -> bool:
    """Whether the call shall get through."""
    permission, verb = contract.permission, contract.name.rpartition("/")[2]
    if permission in EVERYONE:
        return role != "auditor" or permission in READ_BY_EVERYONE
    if role in ("", "platform_admin"):
        return bool(role)
    how = letter(role, permission)
    if how in "*-":
        return how == "*"
    if not target.things:
        return verb in LISTS or (how == "s" and where == "platform")
    for place, owner in target.things:
        covered = place in COVERED[where]
        if how == "s" and not covered:
            return False
        mine = owner == ME or (verb in LISTS and place != "platform")
        if how == "o" and not (mine and (covered or place == "nowhere" or where == "platform")):
            return False
    return True


class World:
    """Rows of every kind in every place."""

    def __init__(self, db: AsyncConnection[Any]) -> None:
        self._db = db
        self.ids: dict[str, UUID] = {}
        self.names = {"unit": "own-unit", "other_unit": "other-unit", "project": "own", "sibling": "sibling"}
        self.names["foreign"] = "foreign"

    async def run(self, query: str, *values: Any) -> None:
        await self._db.execute(query.encode(), values)

    async def make(self) -> None:
        organisation = await (await self._db.execute("SELECT id FROM organisations")).fetchone()
        assert organisation is not None
        for place, name in self.names.items():
            self.ids[place] = uuid7()
            if place in UNIT_OF:
                unit = self.ids[UNIT_OF[place]]
                await self.run(
                    "INSERT INTO projects (id, business_unit_id, name) VALUES (%s, %s, %s)", self.ids[place], unit, name
                )
            else:
                await self.run(
                    "INSERT INTO business_units (id, organisation_id, name) VALUES (%s, %s, %s)",
                    self.ids[place], organisation[0], name,
                )  # fmt: skip
        for place in ("platform", *self.names):
            await self._make_in(place)
        for place in UNIT_OF:
            for owner in (ME, OTHER):
                await self._make_key(place, owner)

    async def _make_in(self, place: str) -> None:
        project = self.ids.get(place) if place in UNIT_OF else None
        unit = self.ids.get(place) if place not in UNIT_OF else None
        self.ids |= {f"{kind}@{place}": uuid7() for kind in ("account", "binding", "channel", "alert")}
        await self.run(
            "INSERT INTO service_accounts (id, name, unit_id, project_id) VALUES (%s, %s, %s, %s)",
            self.ids[f"account@{place}"], f"in-{place.replace('_', '-')}", unit, project,
        )  # fmt: skip
        await self.run(
            "INSERT INTO role_bindings (id, role, group_name, unit_id, project_id) VALUES (%s, 'auditor', 'g', %s, %s)",
            self.ids[f"binding@{place}"], unit, project,
        )  # fmt: skip
        scope = "project" if project else "business_unit" if unit else "all"
        name = self.names.get(place, "")
        await self.run(
            "INSERT INTO alert_channels (id, name, kind, scope, subject) VALUES (%s, %s, 'email', %s, %s)",
            self.ids[f"channel@{place}"], f"to-{place}", scope, name,
        )  # fmt: skip
        await self.run(
            "INSERT INTO alerts (id, crossing, kind, severity, business_unit, project, summary, fired_at, last_at) "
            "VALUES (%s, %s, 'k', 'info', %s, %s, '', now(), now())",
            self.ids[f"alert@{place}"], place, name if unit else "", name if project else "",
        )  # fmt: skip

    async def _make_key(self, place: str, owner: str) -> None:
        key, request = uuid7(), uuid7()
        self.ids |= {f"key@{place}/{owner}": key, f"request@{place}/{owner}": request}
        await self.run(
            "INSERT INTO keys (id, project_id, lookup, public_id, imported, name, user_name) "
            "VALUES (%s, %s, %s, %s, false, %s, %s)",
            key, self.ids[place], key.hex[-20:], key.hex[-8:], f"of-{owner.partition('@')[0]}", owner,
        )  # fmt: skip
        day = datetime.fromtimestamp((request.int >> 80) / 1000, UTC).date()
        texts = ("organisation", "business_unit", "key_public_id", "client_user", "endpoint", "model", "provider",
                 "outcome", "error_code", "client_request_id", "client_address", "user_agent")  # fmt: skip
        numbers = ("status", "duration_ms", "plain_bytes", "stored_bytes")
        await self.run(
            f"INSERT INTO request_log (id, day, retention_days, project, key_id, tags, stream, masked, truncated, "
            f"started_at, {', '.join(texts)}, {', '.join(numbers)}) VALUES (%s, %s, 30, %s, %s, '{{}}', false, false, "
            f"false, now(), {', '.join(repr('') for _ in texts)}, {', '.join('0' for _ in numbers)})",
            request, day, str(self.ids[place]), str(key),
        )  # fmt: skip

    def targets(self, contract: MethodContract) -> Iterator[Target]:
        """What a method can be called about."""
        verb, scope = contract.name.rpartition("/")[2], contract.scope_field
        yield from self._special(verb)
        if verb in ("CreateAlertChannel", "CreateServiceAccount", "GrantRole"):
            return
        if scope in ("", "provider", "model") or (verb in LISTS and scope == "project"):
            named = scope in ("provider", "model")
            yield Target((("platform", ""),), {scope: "x"}) if named else Target()
        if scope == "business_unit":
            for place in ("unit", "other_unit"):
                yield Target(((place, ""),), {scope: self.names[place]})
        elif scope == "project":
            for place in UNIT_OF:
                yield Target(((place, ME if verb == "CreateKey" else ""),), {scope: self.names[place]})
        elif scope in ("channel", "alert", "service_account", "binding"):
            kind = "account" if scope == "service_account" else scope
            for place in ("platform", *self.names):
                yield Target(((place, ""),), {scope: str(self.ids[f"{kind}@{place}"])})
        elif scope in ("key", "request_id"):
            kind = "key" if scope == "key" else "request"
            for place in UNIT_OF:
                for owner in (ME, OTHER):
                    yield Target(((place, owner),), {scope: str(self.ids[f"{kind}@{place}/{owner}"])})
        elif scope == "subject":
            yield from self._subjects(contract)

    def _subjects(self, contract: MethodContract) -> Iterator[Target]:
        up = contract.permission in ABOVE
        for place, name in self.names.items():
            kind = "project" if place in UNIT_OF else "business_unit"
            yield Target(((above(place) if up else place, ""),), {"subject": f"{kind}:{name}"})
        for place in UNIT_OF:
            for owner in (ME, OTHER):
                subject = f"key:{self.names[place]}/of-{owner.partition('@')[0]}"
                yield Target(((place, "" if up else owner),), {"subject": subject})
        yield Target((("platform" if up else "nowhere", ME),), {"subject": f"user:{ME}"})
        yield Target((("platform" if up else "nowhere", OTHER),), {"subject": f"user:{OTHER}"})
        yield Target((("platform", ""),), {"subject": "organisation"})

    def _special(self, verb: str) -> Iterator[Target]:
        """Calls that touch more than one thing, or name it otherwise."""
        if verb == "UpdateProject":
            for place in UNIT_OF:
                both = ((place, ""), (above(place), ""))
                yield Target(both, {"project": self.names[place], "models": ["m"]})
                yield Target((*both, ("other_unit", "")), {"project": self.names[place], "business_unit": "other-unit"})
        if verb in ("CreateKey", "UpdateKey"):
            for place in UNIT_OF:
                named = {"project": self.names[place]} if verb == "CreateKey" else {}
                named = named or {"key": str(self.ids[f"key@{place}/{ME}"])}
                yield Target(((place, OTHER),), {**named, "user": OTHER})
        if verb in ("CreateServiceAccount", "GrantRole"):
            yield Target((("platform", ""),))
            for place, name in self.names.items():
                yield Target(((place, ""),), {"project" if place in UNIT_OF else "business_unit": name})
        if verb in ("CreateAlertChannel", "UpdateAlertChannel"):
            here = {"channel": str(self.ids["channel@project"])} if verb == "UpdateAlertChannel" else {}
            first = (("project", ""),) if here else ()
            for place, name in self.names.items():
                kind = "project" if place in UNIT_OF else "business_unit"
                yield Target((*first, (place, "")), {**here, "scope": kind, "subject": name})
            yield Target((*first, ("platform", "")), {**here, "scope": "all"})


LATER = datetime(2100, 1, 1, tzinfo=UTC)
REQUIRED: dict[str, dict[str, Any]] = {
    "CreateProvider": {"kind": "vllm", "base_url": "http://x"},
    "CreateModel": {"targets": [{"provider": "p", "model": "m"}]},
    "CreateAlertChannel": {"kind": "email"},
    "GrantRole": {"role": "developer"},
}
"""Fields that a call about a target cannot do without, though its rules allow it."""


def guess(contract: MethodContract, name: str) -> Any:
    """A valid value for a required field, from its rules."""
    described = contract.fields[name]
    if described.message_type is not None:
        return LATER if described.message_type.name == "Timestamp" else {}
    rules = next(value for option, value in described.GetOptions().ListFields() if option.name == "field")
    if described.type == described.TYPE_STRING:
        allowed = [value for value in getattr(rules.string, "in") if value]
        if allowed:
            return allowed[0]
        return "a@example.com" if "@" in rules.string.pattern else "1" * max(rules.string.min_len, 1)
    return max(rules.int32.gte, rules.int64.gte) if described.type != described.TYPE_BYTES else b"1"


class Reached(ApiError):
    """The call got to its handler."""


async def reached(_call: Call, _request: Any) -> Any:
    raise Reached(ApiCode.FAILED_PRECONDITION, "reached")


def message(contract: MethodContract, target: Target) -> Any:
    """A request that is valid, about the target."""
    verb = contract.name.rpartition("/")[2]
    fields = REQUIRED.get(verb, {}) | target.fields
    while (violation := broken_rule(made := contract.request(**fields))) is not None:
        if violation not in contract.fields or violation in fields:
            raise AssertionError(f"no valid {verb} from {fields}: add {violation} to REQUIRED")
        fields = fields | {violation: guess(contract, violation)}
    return made


def broken_rule(made: Any) -> str | None:
    """The first field whose rule is broken."""
    try:
        check(made)
    except ContractViolation as violation:
        return violation.field
    return None


async def principals(world: World, db: AsyncConnection[Any]) -> dict[tuple[str, str], Principal]:
    """The same user in every role and scope, one after the other."""
    found = {}
    now = datetime.now(UTC)
    who = Identity(issuer="https://issuer", subject="me", email=ME, email_verified=True)
    nobody = await principal_of(db, who, now)
    for role, where in HOLDERS:
        if role:
            await world.run(
                "INSERT INTO role_bindings (id, role, user_id, unit_id, project_id) VALUES (%s, %s, %s, %s, %s)",
                uuid7(), role, nobody.user_id, world.ids["unit"] if where == "unit" else None,
                world.ids["project"] if where == "project" else None,
            )  # fmt: skip
        found[role, where] = await principal_of(db, who, now)
        await world.run("DELETE FROM role_bindings WHERE user_id = %s", nobody.user_id)
    return found


async def test_every_method_and_role_and_scope(plane: ControlPlane) -> None:
    async with plane.pool.connection() as db, db.transaction():
        world = World(db)
        await world.make()
        holders = await principals(world, db)
    stubs = {name: Method(m.request, reached, filters=m.filters) for name, m in plane.dispatcher._methods.items()}
    dispatcher = Dispatcher(plane.pool, stubs, plane.clock, plane.vault, plane.telemetry)
    context = CallContext(request_id="r")
    wrong, cases, let_through = [], 0, 0
    for contract in METHODS.values():
        if contract.permission == PUBLIC:
            continue
        targets = [(target, message(contract, target)) for target in world.targets(contract)]
        assert targets, contract.name
        for (role, where), principal in holders.items():
            for target, request in targets:
                with pytest.raises(ApiError) as failed:
                    await dispatcher.invoke(principal, contract, request, context)
                assert failed.value.code in (ApiCode.FAILED_PRECONDITION, ApiCode.PERMISSION_DENIED), failed.value
                got = isinstance(failed.value, Reached)
                cases, let_through = cases + 1, let_through + got
                if got is not expected(role, where, contract, target):
                    wrong.append(
                        (contract.name.rpartition(".")[2], role, where, target, "through" if got else "refused")
                    )
    assert not wrong, "\n".join(map(str, wrong))
    assert cases > 4000
    assert 500 < let_through < cases
