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

from tollway.sdk.catalog import Models, Providers
from tollway.sdk.identity import BusinessUnits, Keys, Projects
from tollway.sdk.reports import Reports
from tollway.sdk.threads import aiterable, awaitable
from tollway.sdk.transport import Transport


class Client(Reports):
    """`base_url` is the control plane's (TOLLWAY_CONTROL_URL), `token` an administrator's. May be shared by threads."""

    def __init__(self, base_url: str, token: str, *, timeout_seconds: float = 30.0, ca_file: str | None = None) -> None:
        super().__init__(Transport(base_url, token, timeout_seconds=timeout_seconds, ca_file=ca_file))
        self.base_url = base_url
        self.business_units = BusinessUnits(self._transport)
        self.projects = Projects(self._transport)
        self.keys = Keys(self._transport)
        self.providers = Providers(self._transport)
        self.models = Models(self._transport)

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
        self.revoke = awaitable(sync.revoke)


class _Providers:
    def __init__(self, sync: Providers) -> None:
        self.create = awaitable(sync.create)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)
        self.update = awaitable(sync.update)
        self.archive = awaitable(sync.archive)
        self.add_credential = awaitable(sync.add_credential)
        self.rotate_credential = awaitable(sync.rotate_credential)
        self.remove_credential = awaitable(sync.remove_credential)


class _Models:
    def __init__(self, sync: Models) -> None:
        self.create = awaitable(sync.create)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)
        self.update = awaitable(sync.update)
        self.archive = awaitable(sync.archive)


class AsyncClient:
    """`Client` for asyncio. The blocking calls run in threads, so that the standard library is all it needs."""

    def __init__(self, base_url: str, token: str, *, timeout_seconds: float = 30.0, ca_file: str | None = None) -> None:
        self._sync = sync = Client(base_url, token, timeout_seconds=timeout_seconds, ca_file=ca_file)
        self.base_url = base_url
        self.business_units = _Units(sync.business_units)
        self.projects = _Projects(sync.projects)
        self.keys = _Keys(sync.keys)
        self.providers = _Providers(sync.providers)
        self.models = _Models(sync.models)
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
