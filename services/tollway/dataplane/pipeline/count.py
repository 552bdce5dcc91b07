"""Counts the tokens of a request without generating: by the first target whose provider counts, else by estimate.

Nothing is billed, so nothing is written to the journal.
"""

from __future__ import annotations

from aiohttp import web

from tollway.dataplane.config.holder import Candidate
from tollway.dataplane.endpoints.count_tokens import estimated_count
from tollway.dataplane.endpoints.outgoing import outgoing
from tollway.dataplane.endpoints.port import JSON
from tollway.dataplane.http.errors import SERVER
from tollway.dataplane.pipeline.call import ERROR_BODY_LIMIT, ERROR_STATUS, timeouts_of
from tollway.dataplane.pipeline.candidates import target_for
from tollway.dataplane.pipeline.exchange import Exchange
from tollway.dataplane.providers.faults import fault_of
from tollway.dataplane.upstream.port import read_whole
from tollway.dataplane.upstream.resend import send_unbilled


async def count(exchange: Exchange) -> None:
    """Answers with the number of input tokens."""
    shown = exchange.shown_id  # as `request-id` for Anthropic's SDKs
    headers = {"x-request-id": shown, "request-id": shown, "x-tollway-model": exchange.route.name, "Server": SERVER}
    headers["x-tollway-cache"] = "off"
    for candidate in exchange.route.candidates:
        body = await _asked(exchange, candidate)
        if body is not None:
            headers["x-tollway-provider"] = candidate.provider.name
            break
    else:
        body = estimated_count(exchange.asked(None))
        headers["x-tollway-estimated"] = "true"
    exchange.status = 200
    exchange.response = web.Response(body=body, content_type=JSON, headers=headers)


async def _asked(exchange: Exchange, candidate: Candidate) -> bytes | None:
    """What the candidate's provider counts; None when it does not. Raises ProviderFault."""
    services, provider = exchange.services, candidate.provider
    adapter = services.providers[provider.kind]
    target = target_for(exchange, exchange.route, candidate)
    if target is None:
        return None
    codec = exchange.endpoint.codec(exchange.asked(None), target)
    credential = services.router.spare(candidate, 0, services.loop_time())
    request = outgoing(codec.payload(), adapter, target, credential, exchange.id)
    watchdog = timeouts_of(exchange, provider)
    with watchdog:
        response = await send_unbilled(services.upstream, request, lambda _reused: watchdog.sent())
        body = await read_whole(response, ERROR_BODY_LIMIT, watchdog.beat)
    if response.status >= ERROR_STATUS:
        raise fault_of(response.status, response.headers, body, now=services.clock.now_ms() / 1000)
    return codec.finish(response.headers, body).body
