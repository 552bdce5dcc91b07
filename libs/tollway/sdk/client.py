"""The two clients of the management API: `Client` blocks, `AsyncClient` has the same methods as coroutines.

    from tollway.sdk.client import Client

    with Client("http://127.0.0.1:8081", token) as tollway:
        tollway.projects.create("retail-bot")
        made = tollway.keys.create("retail-bot", "web")
        print(made.secret)

Nothing here reads the environment; proxies are not used.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from tollway.sdk.access import AsyncRoles, AsyncServiceAccounts, AsyncUsers, Roles, ServiceAccounts, Users
from tollway.sdk.alerts import Alerts, AsyncAlerts
from tollway.sdk.approvals import (
    Approvals,
    AsyncApprovals,
    AsyncDelegations,
    AsyncPolicies,
    Delegations,
    Policies,
)
from tollway.sdk.audit import AsyncAuditLog, AuditLog
from tollway.sdk.catalog import Models, Providers
from tollway.sdk.identity import BusinessUnits, Keys, Projects
from tollway.sdk.ledger import Ledger
from tollway.sdk.prices import Prices, Reconciliations
from tollway.sdk.reports import Reports
from tollway.sdk.requestlog import RequestLog
from tollway.sdk.rules import AsyncBudgets, AsyncLimitSets, Budgets, LimitSets
from tollway.sdk.secrets import AsyncSecrets, Secrets
from tollway.sdk.threads import aiterable, awaitable
from tollway.sdk.transport import Transport


class Client(Reports):
    """`base_url` is the control plane's (TOLLWAY_CONTROL_URL), `token` an administrator's. May be shared by threads.

    `reason` goes into the audit log with every change; `agent` says what kind of client it is.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout_seconds: float = 30.0,
        ca_file: str | None = None,
        reason: str = "",
        agent: str = "tollway-sdk",
    ) -> None:
        transport = Transport(
            base_url, token, timeout_seconds=timeout_seconds, ca_file=ca_file, reason=reason, agent=agent
        )
        super().__init__(transport)
        self.base_url = base_url
        self.business_units = BusinessUnits(self._transport)
        self.projects = Projects(self._transport)
        self.keys = Keys(self._transport)
        self.providers = Providers(self._transport)
        self.models = Models(self._transport)
        self.ledger = Ledger(self._transport)
        self.request_log = RequestLog(self._transport)
        self.prices = Prices(self._transport)
        self.reconciliations = Reconciliations(self._transport)
        self.budgets = Budgets(self._transport)
        self.limits = LimitSets(self._transport)
        self.alerts = Alerts(self._transport)
        self.approvals = Approvals(self._transport)
        self.policies = Policies(self._transport)
        self.delegations = Delegations(self._transport)
        self.users = Users(self._transport)
        self.service_accounts = ServiceAccounts(self._transport)
        self.roles = Roles(self._transport)
        self.secrets = Secrets(self._transport)
        self.audit_log = AuditLog(self._transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Units:
    def __init__(self, sync: BusinessUnits) -> None:
        self.create = awaitable(sync.create)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)
        self.update = awaitable(sync.update)
        self.archive = awaitable(sync.archive)


class _Projects:
    def __init__(self, sync: Projects) -> None:
        self.create = awaitable(sync.create)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)
        self.update = awaitable(sync.update)
        self.archive = awaitable(sync.archive)


class _Keys:
    def __init__(self, sync: Keys) -> None:
        self.create = awaitable(sync.create)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)
        self.update = awaitable(sync.update)
        self.rotate = awaitable(sync.rotate)
        self.end_grace = awaitable(sync.end_grace)
        self.revoke = awaitable(sync.revoke)


class _Providers:
    def __init__(self, sync: Providers) -> None:
        self.create = awaitable(sync.create)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)
        self.update = awaitable(sync.update)
        self.archive = awaitable(sync.archive)
        self.check = awaitable(sync.check)
        self.add_credential = awaitable(sync.add_credential)
        self.update_credential = awaitable(sync.update_credential)
        self.rotate_credential = awaitable(sync.rotate_credential)
        self.remove_credential = awaitable(sync.remove_credential)


class _Ledger:
    def __init__(self, sync: Ledger) -> None:
        self.verify = aiterable(sync.verify)
        self.retain = awaitable(sync.retain)


class _Models:
    def __init__(self, sync: Models) -> None:
        self.create = awaitable(sync.create)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)
        self.update = awaitable(sync.update)
        self.archive = awaitable(sync.archive)


class _Prices:
    def __init__(self, sync: Prices) -> None:
        self.list = aiterable(sync.list)
        self.get = awaitable(sync.get)
        self.set = awaitable(sync.set)
        self.end = awaitable(sync.end)
        self.take_over = awaitable(sync.take_over)
        self.rerate = aiterable(sync.rerate)


class _Reconciliations:
    def __init__(self, sync: Reconciliations) -> None:
        self.upload = awaitable(sync.upload)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)


class _RequestLog:
    def __init__(self, sync: RequestLog) -> None:
        self.search = aiterable(sync.search)
        self.read = awaitable(sync.read)
        self.delete = awaitable(sync.delete)


class AsyncClient:
    """`Client` for asyncio. The blocking calls run in threads, so that the standard library is all it needs."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout_seconds: float = 30.0,
        ca_file: str | None = None,
        reason: str = "",
    ) -> None:
        self._sync = sync = Client(base_url, token, timeout_seconds=timeout_seconds, ca_file=ca_file, reason=reason)
        self.base_url = base_url
        self.business_units = _Units(sync.business_units)
        self.projects = _Projects(sync.projects)
        self.keys = _Keys(sync.keys)
        self.providers = _Providers(sync.providers)
        self.models = _Models(sync.models)
        self.ledger = _Ledger(sync.ledger)
        self.request_log = _RequestLog(sync.request_log)
        self.prices = _Prices(sync.prices)
        self.reconciliations = _Reconciliations(sync.reconciliations)
        self.budgets = AsyncBudgets(sync.budgets)
        self.limits = AsyncLimitSets(sync.limits)
        self.alerts = AsyncAlerts(sync.alerts)
        self.approvals = AsyncApprovals(sync.approvals)
        self.policies = AsyncPolicies(sync.policies)
        self.delegations = AsyncDelegations(sync.delegations)
        self.users = AsyncUsers(sync.users)
        self.service_accounts = AsyncServiceAccounts(sync.service_accounts)
        self.roles = AsyncRoles(sync.roles)
        self.secrets = AsyncSecrets(sync.secrets)
        self.audit_log = AsyncAuditLog(sync.audit_log)
        self.apply = awaitable(sync.apply)
        self.usage = awaitable(sync.usage)
        self.requests = aiterable(sync.requests)
        self.audit = aiterable(sync.audit)
        self.status = awaitable(sync.status)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    async def close(self) -> None:
        """Closes the connections."""
        await asyncio.to_thread(self._sync.close)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
