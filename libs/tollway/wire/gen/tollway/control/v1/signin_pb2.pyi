from tollway.wire.gen.buf.validate import validate_pb2 as _validate_pb2
from tollway.wire.gen.tollway.control.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IssuerSpec(_message.Message):
    __slots__ = ("name", "issuer", "client_id", "client_secret", "cli_client_id", "audiences", "scopes", "algorithms", "groups_claim", "email_claim", "name_claim", "trust_email", "refresh_seconds", "data_plane", "claims")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_SECRET_FIELD_NUMBER: _ClassVar[int]
    CLI_CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    AUDIENCES_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ALGORITHMS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_CLAIM_FIELD_NUMBER: _ClassVar[int]
    EMAIL_CLAIM_FIELD_NUMBER: _ClassVar[int]
    NAME_CLAIM_FIELD_NUMBER: _ClassVar[int]
    TRUST_EMAIL_FIELD_NUMBER: _ClassVar[int]
    REFRESH_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DATA_PLANE_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    name: str
    issuer: str
    client_id: str
    client_secret: str
    cli_client_id: str
    audiences: _containers.RepeatedScalarFieldContainer[str]
    scopes: _containers.RepeatedScalarFieldContainer[str]
    algorithms: _containers.RepeatedScalarFieldContainer[str]
    groups_claim: str
    email_claim: str
    name_claim: str
    trust_email: bool
    refresh_seconds: int
    data_plane: DataPlaneSpec
    claims: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., issuer: _Optional[str] = ..., client_id: _Optional[str] = ..., client_secret: _Optional[str] = ..., cli_client_id: _Optional[str] = ..., audiences: _Optional[_Iterable[str]] = ..., scopes: _Optional[_Iterable[str]] = ..., algorithms: _Optional[_Iterable[str]] = ..., groups_claim: _Optional[str] = ..., email_claim: _Optional[str] = ..., name_claim: _Optional[str] = ..., trust_email: _Optional[bool] = ..., refresh_seconds: _Optional[int] = ..., data_plane: _Optional[_Union[DataPlaneSpec, _Mapping]] = ..., claims: _Optional[_Iterable[str]] = ...) -> None: ...

class DataPlaneSpec(_message.Message):
    __slots__ = ("audiences", "tags")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    AUDIENCES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    audiences: _containers.RepeatedScalarFieldContainer[str]
    tags: _containers.ScalarMap[str, str]
    def __init__(self, audiences: _Optional[_Iterable[str]] = ..., tags: _Optional[_Mapping[str, str]] = ...) -> None: ...

class IdentitySpec(_message.Message):
    __slots__ = ("issuers",)
    ISSUERS_FIELD_NUMBER: _ClassVar[int]
    issuers: _containers.RepeatedCompositeFieldContainer[IssuerSpec]
    def __init__(self, issuers: _Optional[_Iterable[_Union[IssuerSpec, _Mapping]]] = ...) -> None: ...
