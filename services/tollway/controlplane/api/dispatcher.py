"""The one way in: every method, whatever transport it came by, is checked, run, audited and published here.

Order: permission, field rules, decode, one transaction { handler, audit entries, publication }. A method that only reads
runs in a read-only transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
import protovalidate
from google.protobuf.message import Message

from tollway.controlplane.audit import service as audit
from tollway.controlplane.auth import authorize
from tollway.controlplane.call import ApiCode, ApiError, Call, Method, Principal
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.db.pool import OUTAGE, Pool
from tollway.controlplane.db.versions import publish
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.wire.codec import decode, encode, to_plain
from tollway.wire.contract import MethodContract

_log = log.get(__name__)
CALL_SECONDS = 60.0
RETRIES = 3
_AGAIN = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)


@dataclass(frozen=True)
class Context:
    """What a transport knows of a call besides its message."""

    request_id: str
    source: str
    reason: str = ""


class Dispatcher:
    """Runs methods. `counts` holds finished calls by method and code, for the metrics."""

    def __init__(self, pool: Pool, methods: Mapping[str, Method], vault: Vault, clock: Clock) -> None:
        self._pool = pool
        self._methods = methods
        self._vault = vault
        self._clock = clock
        self._validator = protovalidate.Validator()
        self.counts: dict[tuple[str, str], int] = {}

    async def invoke(
        self, principal: Principal, contract: MethodContract, message: Message, context: Context
    ) -> Message:
        """The response message. Raises ApiError for everything that can be said to the caller."""
        code = "ok"
        try:
            return await self._invoke(principal, contract, message, context)
        except ApiError as error:
            code = error.code.value
            raise
        except BaseException:
            code = "internal"
            raise
        finally:
            key = (contract.permission, code)
            self.counts[key] = self.counts.get(key, 0) + 1

    async def _invoke(
        self, principal: Principal, contract: MethodContract, message: Message, context: Context
    ) -> Message:
        authorize(principal, contract.permission)
        self._validate(message)
        method = self._methods[contract.name]
        request = decode(message, method.request)
        mask = frozenset(to_plain(message).get("update_mask", ()))
        for attempt in range(RETRIES + 1):
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    answer = await self._transact(principal, contract, method, request, mask, context)
                return encode(answer, contract.response)
            except _AGAIN:
                if attempt == RETRIES:
                    raise ApiError(ApiCode.UNAVAILABLE, "too many changes at the same time; please retry") from None
            except TimeoutError:
                raise ApiError(ApiCode.UNAVAILABLE, "the call took too long and was undone; please retry") from None
            except OUTAGE as error:
                _log.warning("the database does not answer", request_id=context.request_id, reason=str(error))
                raise ApiError(ApiCode.UNAVAILABLE, "the database does not answer; please retry") from None
        raise AssertionError("unreachable")

    async def _transact(
        self,
        principal: Principal,
        contract: MethodContract,
        method: Method,
        request: object,
        mask: frozenset[str],
        context: Context,
    ) -> object:
        async with self._pool.connection() as db, db.transaction():
            if contract.read_only:
                await db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            call = Call(
                principal=principal,
                db=db,
                clock=self._clock,
                permission=contract.permission,
                request_id=context.request_id,
                source=context.source,
                reason=context.reason,
                update_mask=mask,
                sealing=self._vault,
            )
            answer = await method.handler(call, request)
            await audit.write(call)
            if call.catalog_changed or call.changed_keys:
                await publish(db, catalog=call.catalog_changed, keys=call.changed_keys)
            return answer

    def _validate(self, message: Message) -> None:
        try:
            self._validator.validate(message)
        except protovalidate.ValidationError as error:
            violation = error.violations[0].proto
            path = ""
            for element in violation.field.elements:
                path += f".{element.field_name}" if path else element.field_name
                if element.HasField("index"):
                    path += f"[{element.index}]"
            raise ApiError(ApiCode.INVALID, f"{path}: {violation.message}", field=path or None) from None
