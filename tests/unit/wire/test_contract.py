"""What the descriptors declare, and that too little of it cannot be loaded."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from tollway.wire.contract import METHODS, SENSITIVE_NAMES, ContractError, read_method, redact


def test_methods_carry_their_policy_and_their_path() -> None:
    rotate = METHODS["tollway.control.v1.KeyService/RotateKey"]
    assert (rotate.permission, rotate.scope_field, rotate.read_only) == ("keys.rotate", "key", False)
    assert (rotate.http.verb, rotate.http.template, rotate.http.body) == ("POST", "/api/v1/keys/{key}:rotate", "*")
    assert METHODS["tollway.control.v1.KeyService/ListKeys"].read_only
    assert len(METHODS) > 30


def test_a_method_without_a_permission_cannot_be_loaded() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="bare.proto", package="bare")
    file.message_type.add(name="M")
    service = file.service.add(name="S")
    service.method.add(name="Do", input_type=".bare.M", output_type=".bare.M")
    pool: Any = descriptor_pool.DescriptorPool()
    pool.Add(file)
    with pytest.raises(ContractError, match=r"bare\.S\.Do has no permission"):
        read_method(pool.FindServiceByName("bare.S").methods[0])


def test_secrets_are_redacted_at_any_depth() -> None:
    assert {"secret", "api_key", "value"} <= SENSITIVE_NAMES
    given = {"a": [{"api_key": "x", "name": "n"}], "secret": "", "b": {"secret": {"deep": 1}}}
    assert redact(given) == {
        "a": [{"api_key": "********", "name": "n"}],
        "secret": "",
        "b": {"secret": "********"},
    }
    assert redact(None) is None
