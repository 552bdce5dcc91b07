"""People get mail about requests at their own addresses: who may decide them, who stands in, and who asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tollway.controlplane.access.permissions import Role
from tollway.controlplane.alerts.sending import Mailer, SmtpServer
from tollway.testkit.alerting import MAIL_PASSWORD, MAIL_USER, MailReceiver, alerts_of, mail_receiver
from tollway.testkit.approvals import Office, furnished, office
from tollway.testkit.servers import PostgresServer


def told(server: MailReceiver) -> list[tuple[list[str], str]]:
    """Who was told what since the last time, in the order in which it was sent."""
    found = [(sorted(to), content.split(b"Subject: ")[1].splitlines()[0].decode()) for to, content in server.seen]
    server.seen.clear()
    return found


async def furnish(made: Office) -> dict[str, Any]:
    """Two managers, one of them away, a disabled one, one of another unit by group, and a developer."""
    await made.policy(steps=[{"approvers": {"role": "unit_manager"}}, {"approvers": {"people": ["cfo@x", "nobody@x"]}}])
    people = {
        name: await made.person(f"{name}@x", role, "unit")
        for name, role in (("boss", Role.UNIT_MANAGER), ("away", Role.UNIT_MANAGER), ("gone", Role.UNIT_MANAGER))
    }
    people |= {name: await made.person(f"{name}@x") for name in ("cfo", "bob", "lea", "stranger")}
    people["dev"] = await made.person("dev@x", Role.DEVELOPER)
    await made.sql("UPDATE users SET disabled_at = now() WHERE email = 'gone@x'")
    await made.sql(
        "UPDATE users SET groups = '{leads}', issuer = 'https://id.x', subject = email WHERE email = 'lea@x'"
    )
    await made.sql(
        "INSERT INTO role_bindings (id, role, group_name, unit_id)"
        " VALUES (gen_random_uuid(), 'unit_manager', 'leads', %s)",
        made.unit,
    )
    ends = {"delegate": "bob@x", "ends_at": "2099-01-01T00:00:00Z"}
    await made.sql(
        "INSERT INTO approval_delegations (id, delegator, user_id, delegate, starts_at, ends_at, reason, created_by,"
        " created_at) VALUES (gen_random_uuid(), 'away@x', %s, %s, now(), %s, '', 'away@x', now())",
        people["away"].user_id, ends["delegate"], ends["ends_at"],
    )  # fmt: skip
    return people


@pytest.fixture(scope="module")
def template(postgres: PostgresServer, migrated: str) -> str:
    """A furnished database that every test copies."""
    return furnished(postgres, migrated)


async def test_who_may_decide_and_who_asked_get_mail(postgres: PostgresServer, template: str, tmp_path: Path) -> None:
    async with office(postgres, template) as made, mail_receiver(tmp_path) as server:
        people = await furnish(made)
        smtp = SmtpServer("127.0.0.1", server.port, "starttls", MAIL_USER, MAIL_PASSWORD)
        mailer = Mailer(smtp, "tollway@example.com", tls=server.client_tls, public_url="https://tollway.example.com/")
        async with alerts_of(made.database_url, mailer=mailer) as alerts:
            asked = await made.request(people["dev"])
            assert await alerts.deliverer.deliver_due() == 1
            lines = server.seen[0][1].decode().splitlines()
            assert lines.count(f"https://tollway.example.com/approvals/{asked['id']}") == 1, "the page to decide on"
            assert told(server) == [
                (["away@x", "bob@x", "boss@x", "lea@x"], "[Tollway] info: dev@x asks for credit: requested")
            ]
            await made.decide(people["boss"], asked["id"])
            assert await alerts.deliverer.deliver_due() == 1
            ((to, subject),) = told(server)
            assert (to, "by boss@x" in subject) == (["cfo@x"], True)
            await made.decide(people["cfo"], asked["id"])
            assert await alerts.deliverer.deliver_due() == 1
            ((to, subject),) = told(server)
            assert (to, "approved by cfo@x" in subject) == (["dev@x"], True)
            own = await made.request(people["dev"])
            await made.ask(people["dev"], "ApprovalService/CancelApproval", approval=own["id"])
            assert await alerts.deliverer.deliver_due() == 1, "nobody is told what they did themselves"
            server.seen.clear()
            mailer.public_url = ""
            await made.request(people["dev"])
            assert await alerts.deliverer.deliver_due() == 1
            assert b"/approvals/" not in server.seen[0][1], "no link while nobody says where the portal is"


async def test_without_a_mail_server_nothing_waits(postgres: PostgresServer, template: str) -> None:
    async with office(postgres, template) as made:
        people = await furnish(made)
        await made.request(people["dev"])
        count = "SELECT count(*) FROM alert_deliveries"
        assert await made.sql(count) == [(1,)]
        async with alerts_of(made.database_url) as alerts:
            assert await alerts.deliverer.deliver_due() == 1
            assert await made.sql(count) == [(0,)]
            listed = await made.sql("SELECT count(*) FROM alerts")
            assert listed == [(1,)], "the event itself stays"
