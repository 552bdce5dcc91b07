"""Which client calls the providers: the setting decides."""

from __future__ import annotations

from tollway.core.proxies import Proxies
from tollway.dataplane.settings import AIOHTTP, Settings
from tollway.dataplane.upstream.aiohttp_client import AiohttpClient
from tollway.dataplane.upstream.native import NativeClient
from tollway.dataplane.upstream.pool import Limits
from tollway.dataplane.upstream.port import UpstreamClient


def client_of(settings: Settings) -> UpstreamClient:
    """The client that TOLLWAY_UPSTREAM_CLIENT names, with its limits."""
    if settings.upstream_client == AIOHTTP:
        return AiohttpClient()
    limits = Limits(settings.upstream_connections, settings.upstream_host_connections, settings.upstream_idle)
    return NativeClient(limits, Proxies(settings.http_proxy, settings.https_proxy, settings.no_proxy))
