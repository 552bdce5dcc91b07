"""Balances between the generated messages and plain values."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from tollway.wire.gen.tollway.usage.v1 import balances_pb2 as pb


class BalanceQuery(NamedTuple):
    """One count; see the message of that name. Times are Unix milliseconds; `end_ms` None: no end."""

    measure: str
    scope: str
    subject: str
    model: str
    start_ms: int
    end_ms: int | None = None


class BalancesAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A request. `cut_us` None: count what is there now."""

    replica: str
    organisation: str
    epoch: str
    queries: tuple[BalanceQuery, ...]
    cut_us: int | None = None


class BalancesRead(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: one amount for each query, who follows the configuration, and the cut in Unix microseconds."""

    used: tuple[int, ...]
    replicas: tuple[str, ...]
    cut_us: int


def encode_balances_request(asked: BalancesAsked) -> pb.BalancesRequest:
    """A request as it is sent."""
    queries = [pb.BalanceQuery(**query._asdict()) for query in asked.queries]
    return pb.BalancesRequest(
        replica=asked.replica,
        organisation=asked.organisation,
        epoch=asked.epoch,
        queries=queries,
        cut_us=asked.cut_us,
    )


def decode_balances_request(message: Any) -> BalancesAsked:
    """A request; nothing is checked here."""
    queries = tuple(
        BalanceQuery(q.measure, q.scope, q.subject, q.model, q.start_ms, q.end_ms if q.HasField("end_ms") else None)
        for q in message.queries
    )
    cut = message.cut_us if message.HasField("cut_us") else None
    return BalancesAsked(
        replica=message.replica, organisation=message.organisation, epoch=message.epoch, queries=queries, cut_us=cut
    )


def encode_balances(read: BalancesRead) -> pb.BalancesResponse:
    """An answer as it is sent."""
    return pb.BalancesResponse(used=read.used, replicas=read.replicas, cut_us=read.cut_us)


def decode_balances(message: Any) -> BalancesRead:
    """An answer."""
    return BalancesRead(used=tuple(message.used), replicas=tuple(message.replicas), cut_us=message.cut_us)
