"""Messages to and from structs, by field name."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
import pytest

from tollway.wire.codec import ContractViolation, decode, encode, mask_of
from tollway.wire.contract import METHODS

CREATE_KEY = METHODS["tollway.control.v1.KeyService/CreateKey"].request
UPDATE_KEY = METHODS["tollway.control.v1.KeyService/UpdateKey"].request
KEY = METHODS["tollway.control.v1.KeyService/GetKey"].response
CREATE_PROVIDER = METHODS["tollway.control.v1.ProviderService/CreateProvider"].request
QUERY_USAGE = METHODS["tollway.control.v1.UsageService/QueryUsage"].request
STATUS = METHODS["tollway.control.v1.SystemService/GetStatus"].response
AT = datetime(2026, 1, 31, 23, 59, 59, 123456, UTC)


class NewKey(msgspec.Struct, kw_only=True):
    project: str
    name: str
    models: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    expires_at: datetime | None = None
    value: str = ""
    user: str = ""


class Timeouts(msgspec.Struct, kw_only=True):
    connect_seconds: float | None = None
    first_byte_seconds: float = 60.0
    between_chunks_seconds: float | None = None
    total_seconds: float | None = None


class Quota(msgspec.Struct, kw_only=True):
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None


class NewCredential(msgspec.Struct, kw_only=True):
    name: str
    api_key: str
    weight: int = 0
    quota: Quota | None = None


class NewProvider(msgspec.Struct, kw_only=True):
    name: str
    kind: str
    base_url: str
    api_version: str
    timeouts: Timeouts | None = None
    credentials: list[NewCredential] = []
    hangup: str
    probe_seconds: float = 0.0
    verify: bool = False


class Period(msgspec.Struct, kw_only=True):
    by: str
    from_: datetime | None = msgspec.field(default=None, name="from")
    to: datetime | None = None
    project: str = ""
    key: str = ""
    model: str = ""
    business_unit: str = ""
    limit: int | None = None
    projects: list[str] = []


class KeyState(StrEnum):
    UNSPECIFIED = "KEY_STATUS_UNSPECIFIED"
    ACTIVE = "KEY_STATUS_ACTIVE"
    EXPIRED = "KEY_STATUS_EXPIRED"
    REVOKED = "KEY_STATUS_REVOKED"


class Key(msgspec.Struct, kw_only=True):
    id: str
    public_id: str = ""
    name: str = ""
    project: str = ""
    models: list[str] = []
    tags: dict[str, str] = {}
    status: KeyState = KeyState.UNSPECIFIED
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    previous_secret_valid_until: datetime | None = None
    etag: str = ""
    user: str = ""


def test_scalars_lists_maps_and_times() -> None:
    message: Any = CREATE_KEY(project="p", name="k", models=["a", "b"], tags={"team": "web"})
    message.expires_at.FromDatetime(AT)
    assert decode(message, NewKey) == NewKey(
        project="p", name="k", models=("a", "b"), tags={"team": "web"}, expires_at=AT
    )


def test_absent_fields_are_none_where_allowed_else_the_default() -> None:
    assert decode(CREATE_KEY(project="p", name="k"), NewKey).expires_at is None
    assert decode(CREATE_PROVIDER(name="x"), NewProvider).timeouts is None
    message: Any = CREATE_PROVIDER(name="x")
    message.timeouts.connect_seconds = 0
    assert decode(message, NewProvider).timeouts == Timeouts(connect_seconds=0.0, first_byte_seconds=60.0)


def test_a_field_may_have_another_name_in_python() -> None:
    message: Any = QUERY_USAGE(by="day")
    getattr(message, "from").FromDatetime(AT)
    found = decode(message, Period)
    assert (found.by, found.from_, found.to) == ("day", AT, None)
    assert encode(found, QUERY_USAGE) == message


def test_what_is_encoded_decodes_to_the_same() -> None:
    key = Key(
        id="1", models=["*"], tags={"a": "b"}, status=KeyState.REVOKED, created_at=AT, etag="e", revoked_at=AT
    )  # fmt: skip
    message: Any = encode(key, KEY)
    assert (message.status, message.HasField("expires_at")) == (3, False)
    assert decode(message, Key) == key


def test_64_bit_integers_survive() -> None:
    class Platform(msgspec.Struct):
        config_version: int
        quarantined_rows: int

    message: Any = encode(Platform(2**63 - 1, 2**53 + 1), STATUS)
    assert (message.config_version, message.quarantined_rows) == (2**63 - 1, 2**53 + 1)


def test_the_update_mask_stands_beside_the_request() -> None:
    message: Any = UPDATE_KEY(key="k")
    assert mask_of(message) == frozenset()
    message.update_mask.paths.extend(["tags", "models"])
    assert mask_of(message) == {"tags", "models"}
    assert mask_of(CREATE_KEY()) == frozenset()


def test_a_value_that_cannot_be_held_is_refused_with_its_path() -> None:
    message: Any = CREATE_PROVIDER(name="x")
    message.credentials.add(name="ok", api_key="ok")
    message.credentials.add(name="bad\0", api_key="ok")
    with pytest.raises(ContractViolation) as failed:
        decode(message, NewProvider)
    assert failed.value.field == "credentials[1].name"
    late: Any = CREATE_KEY(project="p", name="k")
    late.expires_at.seconds = 2**60
    with pytest.raises(ContractViolation, match="expires_at is not a time"):
        decode(late, NewKey)
    with pytest.raises(ContractViolation) as failed:
        decode(CREATE_KEY(tags={"a": "b\0"}), NewKey)
    assert failed.value.field == "tags['a']"


def test_a_struct_that_does_not_mirror_its_message_is_a_programming_error() -> None:
    class Short(msgspec.Struct):
        project: str

    class Long(msgspec.Struct):
        colour: str

    with pytest.raises(TypeError, match="Short does not mirror"):
        decode(CREATE_KEY(), Short)
    with pytest.raises(TypeError, match="no field 'colour'"):
        encode(Long("red"), KEY)
