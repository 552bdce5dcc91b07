"""The one way into the management API: permission, validation, transaction, handler, audit, publication.

REST and gRPC call `invoke` and nothing else, so no transport can go around any of it. A call that changes something is
one transaction: the change, its audit entries and, last, its version commit together or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout

from tollway.controlplane.access import scopes
from tollway.controlplane.api.telemetry import CallTelemetry
from tollway.controlplane.audit import service as audit
from tollway.controlplane.call import ApiCode, ApiError, Call, Method, Principal
from tollway.controlplane.credentials.vault import Vault, VaultError
from tollway.controlplane.db.pool import OUTAGE, WAIT_SECONDS, Pool
from tollway.controlplane.db.versions import publish
from tollway.controlplane.prices import published as prices
from tollway.controlplane.resources import from_ms
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.wire.codec import ContractViolation, decode, encode, mask_of
from tollway.wire.contract import PUBLIC, MethodContract
from tollway.wire.validation import check

_log = log.get(__name__)
ATTEMPTS = 2
OUTAGE_WAIT_SECONDS = 0.5
"""How long calls wait for a connection while the last one waited in vain: an outage must not pile them up."""
_LOST_RACES = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
"""Another transaction was in the way; the same call may succeed now."""


@dataclass(frozen=True)
class CallContext:
    """What a transport knows of a call: its id, where it comes from and by what, and the caller's own words on why."""

    request_id: str
    source: str = ""
    reason: str = ""
    agent: str = ""
    transport: str = ""


class Dispatcher:
    """Runs the methods of the contract. One for a process."""

    def __init__(
        self,
        pool: Pool,
        methods: Mapping[str, Method],
        clock: Clock,
        vault: Vault,
        telemetry: CallTelemetry,
        *,
        networks: tuple[IPv4Network | IPv6Network, ...] = (),
    ) -> None:
        self._pool = pool
        self._methods = methods
        self._clock = clock
        self._vault = vault
        self._telemetry = telemetry
        self._networks = networks
        self._wait = WAIT_SECONDS

    async def invoke(self, principal: Principal, contract: MethodContract, message: Any, context: CallContext) -> Any:
        """The response message of a method. Raises ApiError; anything else is a defect."""
        started = self._clock.monotonic()
        code = "internal"
        try:
            answer = await self._invoke(principal, contract, message, context)
            code = "ok"
            return answer
        except ApiError as error:
            code = error.code.value
            raise
        finally:
            seconds = self._clock.monotonic() - started
            self._telemetry.call(contract.name, code, seconds)
            note = _log.debug if contract.read_only and code == "ok" else _log.info
            note(
                "management call",
                request_id=context.request_id,
                method=contract.name,
                actor=principal.name,
                source=context.source,
                code=code,
                seconds=round(seconds, 4),
            )

    async def _invoke(self, principal: Principal, contract: MethodContract, message: Any, context: CallContext) -> Any:
        self._permit(principal, contract)
        method = self._methods[contract.name]
        try:
            check(message)
            request: Any = decode(message, method.request)
        except ContractViolation as violation:
            raise ApiError(ApiCode.INVALID, violation.message, field=violation.field) from None
        try:
            response = await self._attempt(principal, contract, method, request, message, context)
        except psycopg.errors.UniqueViolation as error:
            _log.warning(
                "two calls made the same thing", request_id=context.request_id, constraint=error.diag.constraint_name
            )
            raise ApiError(ApiCode.ALREADY_EXISTS, "it was made by another call at the same moment") from error
        except VaultError as error:
            _log.error("stored secrets cannot be used", request_id=context.request_id, reason=str(error))
            raise ApiError(ApiCode.UNAVAILABLE, str(error)) from error
        except psycopg.errors.QueryCanceled as error:
            raise ApiError(ApiCode.UNAVAILABLE, "the database took too long; try again") from error
        except OUTAGE as error:
            if isinstance(error, PoolTimeout):
                self._wait = OUTAGE_WAIT_SECONDS
            _log.warning("the database failed a call", request_id=context.request_id, reason=_reason(error))
            raise ApiError(ApiCode.UNAVAILABLE, "the database does not answer; try again") from error
        return encode(response, contract.response)

    def _permit(self, principal: Principal, contract: MethodContract) -> None:
        """Refuses who has the permission nowhere; where exactly it holds is checked once the request is understood."""
        if contract.permission != PUBLIC and not principal.anywhere(contract.permission):
            raise ApiError(ApiCode.PERMISSION_DENIED, f"this needs the permission {contract.permission}")

    async def _attempt(
        self,
        principal: Principal,
        contract: MethodContract,
        method: Method,
        request: Any,
        message: Any,
        context: CallContext,
    ) -> Any:
        for left in reversed(range(ATTEMPTS)):
            try:
                async with self._pool.connection(self._wait) as db, db.transaction():
                    self._wait = WAIT_SECONDS
                    call = Call(
                        principal=principal,
                        db=db,
                        clock=self._clock,
                        permission=contract.permission,
                        method=contract.name,
                        request_id=context.request_id,
                        source=context.source,
                        agent=context.agent,
                        transport=context.transport,
                        reason=context.reason,
                        update_mask=mask_of(message),
                        sealing=self._vault,
                        networks=self._networks,
                    )
                    return await self._transact(call, contract, method, request)
            except _LOST_RACES as error:
                if not left:
                    raise ApiError(ApiCode.UNAVAILABLE, "another change was in the way; try again") from error
        raise AssertionError("unreachable")

    async def _transact(self, call: Call, contract: MethodContract, method: Method, request: Any) -> Any:
        if contract.read_only:
            # One state of the database for all that the answer says, and no way to change it.
            await call.db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            await scopes.check(call, contract, request, filters=method.filters)
            return await method.handler(call, request)
        await scopes.check(call, contract, request, filters=method.filters)
        response = await method.handler(call, request)
        if call.catalog_changed:
            await prices.record(call.db, from_ms(self._clock.now_ms()))
        await audit.write(call)
        await publish(call.db, catalog=call.catalog_changed, keys=call.changed_keys)
        return response


def _reason(error: BaseException) -> str:
    if isinstance(error, PoolTimeout):
        return "no connection in time"
    sqlstate = getattr(error, "sqlstate", None)
    return f"{type(error).__name__} {sqlstate or ''}".strip()
