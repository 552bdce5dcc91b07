"""The one way into the management API: permission, validation, transaction, idempotency, handler, audit, publication.

REST, gRPC and portal call `answer` or `invoke` and nothing else, so no transport can go around any of it. A call that
changes something is one transaction: the record of its idempotency key, the change, its audit entries and, last, its
version commit together or not at all. What has to be asked of others is asked before, with no connection held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import PoolTimeout

from tollway.controlplane.access import scopes
from tollway.controlplane.api import idempotency
from tollway.controlplane.api.telemetry import CallTelemetry
from tollway.controlplane.audit import service as audit
from tollway.controlplane.call import ApiCode, ApiError, Call, Method, Principal
from tollway.controlplane.credentials.vault import Vault, VaultError
from tollway.controlplane.db.pool import OUTAGE, WAIT_SECONDS, Pool
from tollway.controlplane.db.versions import publish
from tollway.controlplane.prices import published as prices
from tollway.controlplane.resources import from_ms
from tollway.core.proxies import Proxies
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.wire.codec import ContractViolation, decode, encode, mask_of
from tollway.wire.contract import PUBLIC, MethodContract
from tollway.wire.validation import check

_log = log.get(__name__)
ATTEMPTS = 2
OUTAGE_WAIT_SECONDS = 0.5
"""How long calls wait for a connection while the last one waited in vain: an outage must not pile them up."""
MAX_OUTSIDE = 16
OUTSIDE_WAIT_SECONDS = 10.0
"""How many calls ask others at the same time, and how long the next one waits for its turn."""
_DONE_BEFORE = object()
"""In place of what was prepared: the record of the idempotency key was there already."""
_ONE_STATE = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_LOST_RACES = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
"""Another transaction was in the way; the same call may succeed now."""


@dataclass(frozen=True)
class CallContext:
    """What a transport knows of a call: its id, where it comes from and by what, and the caller's own words on why.

    With an `idempotency_key`, `stands_for` is what must be the same on the second time, where that is not the request.
    """

    request_id: str
    source: str = ""
    reason: str = ""
    agent: str = ""
    transport: str = ""
    idempotency_key: str = ""
    stands_for: bytes = b""


@dataclass(frozen=True)
class Answered:
    """The response message; `replayed`: it was given before, and nothing was done this time."""

    message: Any
    replayed: bool = False


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
        proxies: Proxies = Proxies(),  # noqa: B008 - a constant
    ) -> None:
        self._pool = pool
        self._methods = methods
        self._clock = clock
        self._vault = vault
        self._telemetry = telemetry
        self._networks = networks
        self._proxies = proxies
        self._wait = WAIT_SECONDS
        self._turns = idempotency.Turns()
        self._outside = asyncio.Semaphore(MAX_OUTSIDE)

    async def invoke(self, principal: Principal, contract: MethodContract, message: Any, context: CallContext) -> Any:
        """The response message of a method. Raises ApiError; anything else is a defect."""
        return (await self.answer(principal, contract, message, context)).message

    async def answer(
        self, principal: Principal, contract: MethodContract, message: Any, context: CallContext
    ) -> Answered:
        """The same, and whether it is what an earlier call with the idempotency key was answered."""
        started = self._clock.monotonic()
        code = "internal"
        replayed = False
        try:
            answer = await self._invoke(principal, contract, message, context)
            code, replayed = "ok", answer.replayed
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
                replayed=replayed,
                seconds=round(seconds, 4),
            )

    async def _invoke(
        self, principal: Principal, contract: MethodContract, message: Any, context: CallContext
    ) -> Answered:
        self._permit(principal, contract)
        method = self._methods[contract.name]
        try:
            check(message)
            request: Any = decode(message, method.request)
        except ContractViolation as violation:
            raise ApiError(ApiCode.INVALID, violation.message, field=violation.field) from None
        try:
            if not context.idempotency_key or not idempotency.applies(contract):
                context = replace(context, idempotency_key="")
                return await self._attempt(principal, contract, method, request, message, context)
            async with self._turns.turn(idempotency.owner_of(principal), contract.name, context.idempotency_key):
                return await self._attempt(principal, contract, method, request, message, context)
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
    ) -> Answered:
        prepared = await self._prepare(principal, contract, method, request, message, context)
        for left in reversed(range(ATTEMPTS)):
            try:
                async with self._pool.connection(self._wait) as db, db.transaction():
                    self._wait = WAIT_SECONDS
                    call = self._call(db, principal, contract, message, context, prepared)
                    if context.idempotency_key:
                        return await self._once(call, contract, method, request, message, context)
                    return Answered(await self._transact(call, contract, method, request))
            except _LOST_RACES as error:
                if not left:
                    raise ApiError(ApiCode.UNAVAILABLE, "another change was in the way; try again") from error
        raise AssertionError("unreachable")

    def _call(
        self,
        db: AsyncConnection[Any],
        principal: Principal,
        contract: MethodContract,
        message: Any,
        context: CallContext,
        prepared: Any = None,
    ) -> Call:
        return Call(
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
            proxies=self._proxies,
            prepared=prepared,
        )

    async def _prepare(
        self,
        principal: Principal,
        contract: MethodContract,
        method: Method,
        request: Any,
        message: Any,
        context: CallContext,
    ) -> Any:
        """What the method finds out of others, with no connection held while they take their time."""
        if method.prepare is None:
            return None
        async with self._pool.connection(self._wait) as db, db.transaction():
            self._wait = WAIT_SECONDS
            await db.execute(_ONE_STATE)
            call = self._call(db, principal, contract, message, context)
            if context.idempotency_key and await idempotency.known(call, context.idempotency_key):
                return _DONE_BEFORE
            await scopes.check(call, contract, request, filters=method.filters)
            outside = await method.prepare(call, request)
        if outside is None:
            return None
        try:
            async with asyncio.timeout(OUTSIDE_WAIT_SECONDS):
                await self._outside.acquire()
        except TimeoutError:
            busy = "too many calls are waiting for the answers of others, as providers; try again"
            raise ApiError(ApiCode.UNAVAILABLE, busy) from None
        try:
            return await outside()
        finally:
            self._outside.release()

    async def _once(
        self,
        call: Call,
        contract: MethodContract,
        method: Method,
        request: Any,
        message: Any,
        context: CallContext,
    ) -> Answered:
        """Does the call, or finds that it was done.

        Who gets an answer again has had it before, so where the thing lies is not looked at: it may be gone by now.
        """
        claim = await idempotency.claim(call, context.idempotency_key, message, context.stands_for)
        if claim.answer is not None:
            return Answered(contract.response.FromString(claim.answer), replayed=True)
        if call.prepared is _DONE_BEFORE:
            raise ApiError(ApiCode.UNAVAILABLE, "the record of this idempotency key has just ended; send it again")
        return Answered(await self._transact(call, contract, method, request, claim))

    async def _transact(
        self,
        call: Call,
        contract: MethodContract,
        method: Method,
        request: Any,
        claim: idempotency.Claim | None = None,
    ) -> Any:
        if contract.read_only:
            # One state of the database for all that the answer says, and no way to change it.
            await call.db.execute(_ONE_STATE)
            await scopes.check(call, contract, request, filters=method.filters)
            return encode(await method.handler(call, request), contract.response)
        await scopes.check(call, contract, request, filters=method.filters)
        response = encode(await method.handler(call, request), contract.response)
        if call.catalog_changed:
            await prices.record(call.db, from_ms(self._clock.now_ms()))
        if claim is not None:
            await idempotency.keep(call, claim.id, response)
        await audit.write(call)
        await publish(call.db, catalog=call.catalog_changed, keys=call.changed_keys)
        return response


def _reason(error: BaseException) -> str:
    if isinstance(error, PoolTimeout):
        return "no connection in time"
    sqlstate = getattr(error, "sqlstate", None)
    return f"{type(error).__name__} {sqlstate or ''}".strip()
