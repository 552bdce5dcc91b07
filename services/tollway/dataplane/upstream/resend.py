"""Calls that bill nothing and change nothing, such as counting tokens or fetching one to sign in with.

They need no record of each attempt, and may therefore be sent again right here.
"""

from __future__ import annotations

from collections.abc import Callable

from tollway.dataplane.providers.port import Outgoing
from tollway.dataplane.upstream.port import Response, UnsentError, UpstreamClient, cut


async def send_unbilled(
    upstream: UpstreamClient, outgoing: Outgoing, before_send: Callable[[bool], None] = lambda _: None
) -> Response:
    """As `UpstreamClient.send`, and once more where a reused connection turns out to be closed.

    `before_send` runs before each. Raises ProviderFault; never UnsentError.
    """
    reused = False

    def noted(again: bool) -> None:
        nonlocal reused
        reused = again
        before_send(again)

    try:
        try:
            return await upstream.send(outgoing, noted)
        except UnsentError:
            if not reused:
                raise
            return await upstream.send(outgoing, noted)
    except UnsentError as error:
        raise cut() from error
