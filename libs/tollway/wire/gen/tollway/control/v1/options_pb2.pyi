from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor
POLICY_FIELD_NUMBER: _ClassVar[int]
policy: _descriptor.FieldDescriptor
SENSITIVE_FIELD_NUMBER: _ClassVar[int]
sensitive: _descriptor.FieldDescriptor

class MethodPolicy(_message.Message):
    __slots__ = ("permission", "scope_field", "read_only")
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    permission: str
    scope_field: str
    read_only: bool
    def __init__(self, permission: _Optional[str] = ..., scope_field: _Optional[str] = ..., read_only: _Optional[bool] = ...) -> None: ...
