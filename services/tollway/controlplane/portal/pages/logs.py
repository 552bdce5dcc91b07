"""The request log, and the exact words of one request for those who may read them; that reading is recorded."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from aiohttp import web

from tollway.controlplane.portal import forms
from tollway.controlplane.portal.visit import Visit

PAGE = 50
MAX_SHOWN = 200_000
"""Characters of a body that a page shows."""
HOURS = {"1": "the last hour", "24": "the last day", "168": "the last 7 days", "720": "the last 30 days"}
FILTERS = ("project", "key", "model", "user", "outcome", "request_id")


async def listing(visit: Visit) -> web.Response:
    """Requests, newest first, without their words."""
    hours = visit.asked("hours") if visit.asked("hours") in HOURS else "24"
    asked: dict[str, Any] = {name: visit.asked(name) for name in FILTERS}
    asked |= {"page_size": PAGE, "page_token": visit.asked("page")}
    if not asked["page_token"]:
        asked["from"] = forms.stamp(visit.now - timedelta(hours=int(hours)))
    else:
        asked["from"] = visit.asked("from")
    found = await visit.call("RequestLogService/SearchRequestLog", asked)
    standing = await visit.standing()
    readable = {
        one.request_id
        for one in found.requests
        if standing.may("requestlog.read_bodies", project=one.project, owner=one.user)
    }
    return visit.page(
        "logs.html",
        requests=list(found.requests),
        readable=readable,
        following=found.next_page_token,
        since=asked["from"],
        typed={name: visit.asked(name) for name in FILTERS},
        hours=hours,
        choices=HOURS,
    )


async def read(visit: Visit) -> web.Response:
    """The exact words of one request and of its answer."""
    asked = {"request_id": visit.named("request")}
    found = await visit.call("RequestLogService/GetLoggedRequest", asked, reason=visit.form.get("reason", "").strip())
    return visit.page(
        "log.html", log=found.metadata, messages=[_shown("Request", found.request), _shown("Answer", found.response)]
    )


def _shown(title: str, message: Any) -> dict[str, Any]:
    body = message.body
    try:
        body = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        body = message.body  # no JSON: as it is
    return {
        "title": title,
        "body": body[:MAX_SHOWN],
        "cut": len(body) > MAX_SHOWN,
        "binary": bool(message.body_base64),
        "headers": sorted(message.headers.items()),
        "streamed": message.streamed,
    }
