import datetime

from tollway.wire.gen.buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tollway.wire.gen.tollway.control.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeyStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KEY_STATUS_UNSPECIFIED: _ClassVar[KeyStatus]
    KEY_STATUS_ACTIVE: _ClassVar[KeyStatus]
    KEY_STATUS_EXPIRED: _ClassVar[KeyStatus]
    KEY_STATUS_REVOKED: _ClassVar[KeyStatus]
KEY_STATUS_UNSPECIFIED: KeyStatus
KEY_STATUS_ACTIVE: KeyStatus
KEY_STATUS_EXPIRED: KeyStatus
KEY_STATUS_REVOKED: KeyStatus

class BusinessUnit(_message.Message):
    __slots__ = ("id", "name", "description", "created_at", "updated_at", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    description: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class CreateBusinessUnitRequest(_message.Message):
    __slots__ = ("name", "description")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class GetBusinessUnitRequest(_message.Message):
    __slots__ = ("business_unit",)
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    business_unit: str
    def __init__(self, business_unit: _Optional[str] = ...) -> None: ...

class ListBusinessUnitsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBusinessUnitsResponse(_message.Message):
    __slots__ = ("business_units", "next_page_token")
    BUSINESS_UNITS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    business_units: _containers.RepeatedCompositeFieldContainer[BusinessUnit]
    next_page_token: str
    def __init__(self, business_units: _Optional[_Iterable[_Union[BusinessUnit, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateBusinessUnitRequest(_message.Message):
    __slots__ = ("business_unit", "description", "update_mask", "etag")
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    business_unit: str
    description: str
    update_mask: _field_mask_pb2.FieldMask
    etag: str
    def __init__(self, business_unit: _Optional[str] = ..., description: _Optional[str] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class ArchiveBusinessUnitRequest(_message.Message):
    __slots__ = ("business_unit", "etag")
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    business_unit: str
    etag: str
    def __init__(self, business_unit: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class Project(_message.Message):
    __slots__ = ("id", "name", "description", "business_unit", "models", "created_at", "updated_at", "etag", "dialect_policy", "log_bodies", "log_retention_days", "cache_enabled", "cache_ttl_seconds", "cache_scope", "cache_similarity", "priority", "key_lifetime_days", "max_keys", "max_keys_per_user")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    DIALECT_POLICY_FIELD_NUMBER: _ClassVar[int]
    LOG_BODIES_FIELD_NUMBER: _ClassVar[int]
    LOG_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    CACHE_ENABLED_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CACHE_SCOPE_FIELD_NUMBER: _ClassVar[int]
    CACHE_SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    KEY_LIFETIME_DAYS_FIELD_NUMBER: _ClassVar[int]
    MAX_KEYS_FIELD_NUMBER: _ClassVar[int]
    MAX_KEYS_PER_USER_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    description: str
    business_unit: str
    models: _containers.RepeatedScalarFieldContainer[str]
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    etag: str
    dialect_policy: str
    log_bodies: str
    log_retention_days: int
    cache_enabled: bool
    cache_ttl_seconds: int
    cache_scope: str
    cache_similarity: float
    priority: str
    key_lifetime_days: int
    max_keys: int
    max_keys_per_user: int
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., business_unit: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., dialect_policy: _Optional[str] = ..., log_bodies: _Optional[str] = ..., log_retention_days: _Optional[int] = ..., cache_enabled: _Optional[bool] = ..., cache_ttl_seconds: _Optional[int] = ..., cache_scope: _Optional[str] = ..., cache_similarity: _Optional[float] = ..., priority: _Optional[str] = ..., key_lifetime_days: _Optional[int] = ..., max_keys: _Optional[int] = ..., max_keys_per_user: _Optional[int] = ...) -> None: ...

class CreateProjectRequest(_message.Message):
    __slots__ = ("name", "description", "business_unit", "models", "dialect_policy", "log_bodies", "log_retention_days", "cache_enabled", "cache_ttl_seconds", "cache_scope", "cache_similarity", "priority", "key_lifetime_days", "max_keys", "max_keys_per_user")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    DIALECT_POLICY_FIELD_NUMBER: _ClassVar[int]
    LOG_BODIES_FIELD_NUMBER: _ClassVar[int]
    LOG_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    CACHE_ENABLED_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CACHE_SCOPE_FIELD_NUMBER: _ClassVar[int]
    CACHE_SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    KEY_LIFETIME_DAYS_FIELD_NUMBER: _ClassVar[int]
    MAX_KEYS_FIELD_NUMBER: _ClassVar[int]
    MAX_KEYS_PER_USER_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    business_unit: str
    models: _containers.RepeatedScalarFieldContainer[str]
    dialect_policy: str
    log_bodies: str
    log_retention_days: int
    cache_enabled: bool
    cache_ttl_seconds: int
    cache_scope: str
    cache_similarity: float
    priority: str
    key_lifetime_days: int
    max_keys: int
    max_keys_per_user: int
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., business_unit: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., dialect_policy: _Optional[str] = ..., log_bodies: _Optional[str] = ..., log_retention_days: _Optional[int] = ..., cache_enabled: _Optional[bool] = ..., cache_ttl_seconds: _Optional[int] = ..., cache_scope: _Optional[str] = ..., cache_similarity: _Optional[float] = ..., priority: _Optional[str] = ..., key_lifetime_days: _Optional[int] = ..., max_keys: _Optional[int] = ..., max_keys_per_user: _Optional[int] = ...) -> None: ...

class GetProjectRequest(_message.Message):
    __slots__ = ("project",)
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    project: str
    def __init__(self, project: _Optional[str] = ...) -> None: ...

class ListProjectsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "business_unit")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    business_unit: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., business_unit: _Optional[str] = ...) -> None: ...

class ListProjectsResponse(_message.Message):
    __slots__ = ("projects", "next_page_token")
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    projects: _containers.RepeatedCompositeFieldContainer[Project]
    next_page_token: str
    def __init__(self, projects: _Optional[_Iterable[_Union[Project, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateProjectRequest(_message.Message):
    __slots__ = ("project", "description", "business_unit", "models", "update_mask", "etag", "dialect_policy", "log_bodies", "log_retention_days", "cache_enabled", "cache_ttl_seconds", "cache_scope", "cache_similarity", "priority", "key_lifetime_days", "max_keys", "max_keys_per_user")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    DIALECT_POLICY_FIELD_NUMBER: _ClassVar[int]
    LOG_BODIES_FIELD_NUMBER: _ClassVar[int]
    LOG_RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    CACHE_ENABLED_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CACHE_SCOPE_FIELD_NUMBER: _ClassVar[int]
    CACHE_SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    KEY_LIFETIME_DAYS_FIELD_NUMBER: _ClassVar[int]
    MAX_KEYS_FIELD_NUMBER: _ClassVar[int]
    MAX_KEYS_PER_USER_FIELD_NUMBER: _ClassVar[int]
    project: str
    description: str
    business_unit: str
    models: _containers.RepeatedScalarFieldContainer[str]
    update_mask: _field_mask_pb2.FieldMask
    etag: str
    dialect_policy: str
    log_bodies: str
    log_retention_days: int
    cache_enabled: bool
    cache_ttl_seconds: int
    cache_scope: str
    cache_similarity: float
    priority: str
    key_lifetime_days: int
    max_keys: int
    max_keys_per_user: int
    def __init__(self, project: _Optional[str] = ..., description: _Optional[str] = ..., business_unit: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., dialect_policy: _Optional[str] = ..., log_bodies: _Optional[str] = ..., log_retention_days: _Optional[int] = ..., cache_enabled: _Optional[bool] = ..., cache_ttl_seconds: _Optional[int] = ..., cache_scope: _Optional[str] = ..., cache_similarity: _Optional[float] = ..., priority: _Optional[str] = ..., key_lifetime_days: _Optional[int] = ..., max_keys: _Optional[int] = ..., max_keys_per_user: _Optional[int] = ...) -> None: ...

class ArchiveProjectRequest(_message.Message):
    __slots__ = ("project", "etag")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    project: str
    etag: str
    def __init__(self, project: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class Key(_message.Message):
    __slots__ = ("id", "public_id", "name", "project", "models", "tags", "status", "created_at", "updated_at", "expires_at", "revoked_at", "previous_secret_valid_until", "etag", "user")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_SECRET_VALID_UNTIL_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    id: str
    public_id: str
    name: str
    project: str
    models: _containers.RepeatedScalarFieldContainer[str]
    tags: _containers.ScalarMap[str, str]
    status: KeyStatus
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    revoked_at: _timestamp_pb2.Timestamp
    previous_secret_valid_until: _timestamp_pb2.Timestamp
    etag: str
    user: str
    def __init__(self, id: _Optional[str] = ..., public_id: _Optional[str] = ..., name: _Optional[str] = ..., project: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., tags: _Optional[_Mapping[str, str]] = ..., status: _Optional[_Union[KeyStatus, str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revoked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., previous_secret_valid_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., user: _Optional[str] = ...) -> None: ...

class KeyWithSecret(_message.Message):
    __slots__ = ("key", "secret")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    key: Key
    secret: str
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., secret: _Optional[str] = ...) -> None: ...

class CreateKeyRequest(_message.Message):
    __slots__ = ("project", "name", "models", "tags", "expires_at", "value", "user")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    project: str
    name: str
    models: _containers.RepeatedScalarFieldContainer[str]
    tags: _containers.ScalarMap[str, str]
    expires_at: _timestamp_pb2.Timestamp
    value: str
    user: str
    def __init__(self, project: _Optional[str] = ..., name: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., tags: _Optional[_Mapping[str, str]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[str] = ..., user: _Optional[str] = ...) -> None: ...

class GetKeyRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    def __init__(self, key: _Optional[str] = ...) -> None: ...

class ListKeysRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "project", "include_revoked")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_REVOKED_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    project: str
    include_revoked: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., project: _Optional[str] = ..., include_revoked: _Optional[bool] = ...) -> None: ...

class ListKeysResponse(_message.Message):
    __slots__ = ("keys", "next_page_token")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    next_page_token: str
    def __init__(self, keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateKeyRequest(_message.Message):
    __slots__ = ("key", "models", "tags", "expires_at", "update_mask", "etag", "user")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    key: str
    models: _containers.RepeatedScalarFieldContainer[str]
    tags: _containers.ScalarMap[str, str]
    expires_at: _timestamp_pb2.Timestamp
    update_mask: _field_mask_pb2.FieldMask
    etag: str
    user: str
    def __init__(self, key: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., tags: _Optional[_Mapping[str, str]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., user: _Optional[str] = ...) -> None: ...

class RotateKeyRequest(_message.Message):
    __slots__ = ("key", "grace_seconds", "etag")
    KEY_FIELD_NUMBER: _ClassVar[int]
    GRACE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    key: str
    grace_seconds: int
    etag: str
    def __init__(self, key: _Optional[str] = ..., grace_seconds: _Optional[int] = ..., etag: _Optional[str] = ...) -> None: ...

class EndKeyGraceRequest(_message.Message):
    __slots__ = ("key", "etag")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    key: str
    etag: str
    def __init__(self, key: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class RevokeKeyRequest(_message.Message):
    __slots__ = ("key", "etag")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    key: str
    etag: str
    def __init__(self, key: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...
