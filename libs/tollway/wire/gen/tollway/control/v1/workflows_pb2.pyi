import datetime

from tollway.wire.gen.buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tollway.wire.gen.tollway.control.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ApprovalTerms(_message.Message):
    __slots__ = ("subject", "amount", "until", "project", "business_unit", "models", "role", "measure", "window", "model", "limit", "description")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    subject: str
    amount: str
    until: _timestamp_pb2.Timestamp
    project: str
    business_unit: str
    models: _containers.RepeatedScalarFieldContainer[str]
    role: str
    measure: str
    window: str
    model: str
    limit: int
    description: str
    def __init__(self, subject: _Optional[str] = ..., amount: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., project: _Optional[str] = ..., business_unit: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., role: _Optional[str] = ..., measure: _Optional[str] = ..., window: _Optional[str] = ..., model: _Optional[str] = ..., limit: _Optional[int] = ..., description: _Optional[str] = ...) -> None: ...

class Approvers(_message.Message):
    __slots__ = ("people", "role")
    PEOPLE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    people: _containers.RepeatedScalarFieldContainer[str]
    role: str
    def __init__(self, people: _Optional[_Iterable[str]] = ..., role: _Optional[str] = ...) -> None: ...

class ApprovalStep(_message.Message):
    __slots__ = ("approvers", "quorum")
    APPROVERS_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    approvers: Approvers
    quorum: int
    def __init__(self, approvers: _Optional[_Union[Approvers, _Mapping]] = ..., quorum: _Optional[int] = ...) -> None: ...

class ApprovalTiming(_message.Message):
    __slots__ = ("remind_seconds", "escalate_seconds", "escalate_to", "expire_seconds")
    REMIND_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ESCALATE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ESCALATE_TO_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    remind_seconds: int
    escalate_seconds: int
    escalate_to: Approvers
    expire_seconds: int
    def __init__(self, remind_seconds: _Optional[int] = ..., escalate_seconds: _Optional[int] = ..., escalate_to: _Optional[_Union[Approvers, _Mapping]] = ..., expire_seconds: _Optional[int] = ...) -> None: ...

class ApprovalVote(_message.Message):
    __slots__ = ("step", "actor", "on_behalf_of", "verdict", "reason", "at")
    STEP_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    step: int
    actor: str
    on_behalf_of: str
    verdict: str
    reason: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, step: _Optional[int] = ..., actor: _Optional[str] = ..., on_behalf_of: _Optional[str] = ..., verdict: _Optional[str] = ..., reason: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ApprovalComment(_message.Message):
    __slots__ = ("id", "author", "text", "at")
    ID_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    author: str
    text: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., author: _Optional[str] = ..., text: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("id", "kind", "state", "requester", "reason", "terms", "policy_version", "rule", "outcome", "outcome_reason", "steps", "step", "votes", "comments", "escalated", "created_at", "updated_at", "expires_at", "ended_at", "ended_by", "granted", "decidable", "revocable")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_REASON_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    COMMENTS_FIELD_NUMBER: _ClassVar[int]
    ESCALATED_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_BY_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    DECIDABLE_FIELD_NUMBER: _ClassVar[int]
    REVOCABLE_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: str
    state: str
    requester: str
    reason: str
    terms: ApprovalTerms
    policy_version: int
    rule: str
    outcome: str
    outcome_reason: str
    steps: _containers.RepeatedCompositeFieldContainer[ApprovalStep]
    step: int
    votes: _containers.RepeatedCompositeFieldContainer[ApprovalVote]
    comments: _containers.RepeatedCompositeFieldContainer[ApprovalComment]
    escalated: bool
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    ended_by: str
    granted: str
    decidable: bool
    revocable: bool
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[str] = ..., requester: _Optional[str] = ..., reason: _Optional[str] = ..., terms: _Optional[_Union[ApprovalTerms, _Mapping]] = ..., policy_version: _Optional[int] = ..., rule: _Optional[str] = ..., outcome: _Optional[str] = ..., outcome_reason: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[ApprovalStep, _Mapping]]] = ..., step: _Optional[int] = ..., votes: _Optional[_Iterable[_Union[ApprovalVote, _Mapping]]] = ..., comments: _Optional[_Iterable[_Union[ApprovalComment, _Mapping]]] = ..., escalated: _Optional[bool] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_by: _Optional[str] = ..., granted: _Optional[str] = ..., decidable: _Optional[bool] = ..., revocable: _Optional[bool] = ...) -> None: ...

class CreateApprovalRequest(_message.Message):
    __slots__ = ("kind", "terms", "reason")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    kind: str
    terms: ApprovalTerms
    reason: str
    def __init__(self, kind: _Optional[str] = ..., terms: _Optional[_Union[ApprovalTerms, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class GetApprovalRequest(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: str
    def __init__(self, approval: _Optional[str] = ...) -> None: ...

class ListApprovalsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "state", "kind", "requester", "decidable")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    DECIDABLE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    state: str
    kind: str
    requester: str
    decidable: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., state: _Optional[str] = ..., kind: _Optional[str] = ..., requester: _Optional[str] = ..., decidable: _Optional[bool] = ...) -> None: ...

class ListApprovalsResponse(_message.Message):
    __slots__ = ("approvals", "next_page_token")
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    next_page_token: str
    def __init__(self, approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DecideApprovalRequest(_message.Message):
    __slots__ = ("approval", "verdict", "reason")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    approval: str
    verdict: str
    reason: str
    def __init__(self, approval: _Optional[str] = ..., verdict: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CommentApprovalRequest(_message.Message):
    __slots__ = ("approval", "text")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    approval: str
    text: str
    def __init__(self, approval: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class CancelApprovalRequest(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: str
    def __init__(self, approval: _Optional[str] = ...) -> None: ...

class RevokeApprovalRequest(_message.Message):
    __slots__ = ("approval", "reason")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    approval: str
    reason: str
    def __init__(self, approval: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PolicyRule(_message.Message):
    __slots__ = ("name", "when", "effect", "reason", "steps")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    name: str
    when: str
    effect: str
    reason: str
    steps: _containers.RepeatedCompositeFieldContainer[ApprovalStep]
    def __init__(self, name: _Optional[str] = ..., when: _Optional[str] = ..., effect: _Optional[str] = ..., reason: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[ApprovalStep, _Mapping]]] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("kind", "version", "rules", "steps", "timing", "note", "created_by", "created_at")
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    version: int
    rules: _containers.RepeatedCompositeFieldContainer[PolicyRule]
    steps: _containers.RepeatedCompositeFieldContainer[ApprovalStep]
    timing: ApprovalTiming
    note: str
    created_by: str
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[str] = ..., version: _Optional[int] = ..., rules: _Optional[_Iterable[_Union[PolicyRule, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[ApprovalStep, _Mapping]]] = ..., timing: _Optional[_Union[ApprovalTiming, _Mapping]] = ..., note: _Optional[str] = ..., created_by: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListPoliciesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPoliciesResponse(_message.Message):
    __slots__ = ("policies",)
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[Policy]
    def __init__(self, policies: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ...) -> None: ...

class GetPolicyRequest(_message.Message):
    __slots__ = ("kind", "version")
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    version: int
    def __init__(self, kind: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class PolicySpec(_message.Message):
    __slots__ = ("kind", "rules", "steps", "timing", "note")
    KIND_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    rules: _containers.RepeatedCompositeFieldContainer[PolicyRule]
    steps: _containers.RepeatedCompositeFieldContainer[ApprovalStep]
    timing: ApprovalTiming
    note: str
    def __init__(self, kind: _Optional[str] = ..., rules: _Optional[_Iterable[_Union[PolicyRule, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[ApprovalStep, _Mapping]]] = ..., timing: _Optional[_Union[ApprovalTiming, _Mapping]] = ..., note: _Optional[str] = ...) -> None: ...

class SetPolicyRequest(_message.Message):
    __slots__ = ("kind", "rules", "steps", "timing", "note", "version")
    KIND_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    rules: _containers.RepeatedCompositeFieldContainer[PolicyRule]
    steps: _containers.RepeatedCompositeFieldContainer[ApprovalStep]
    timing: ApprovalTiming
    note: str
    version: int
    def __init__(self, kind: _Optional[str] = ..., rules: _Optional[_Iterable[_Union[PolicyRule, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[ApprovalStep, _Mapping]]] = ..., timing: _Optional[_Union[ApprovalTiming, _Mapping]] = ..., note: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class DryRunPolicyRequest(_message.Message):
    __slots__ = ("kind", "rules", "steps", "limit")
    KIND_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    rules: _containers.RepeatedCompositeFieldContainer[PolicyRule]
    steps: _containers.RepeatedCompositeFieldContainer[ApprovalStep]
    limit: int
    def __init__(self, kind: _Optional[str] = ..., rules: _Optional[_Iterable[_Union[PolicyRule, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[ApprovalStep, _Mapping]]] = ..., limit: _Optional[int] = ...) -> None: ...

class PolicyTrial(_message.Message):
    __slots__ = ("approval", "requester", "created_at", "outcome_then", "rule_then", "state", "outcome", "rule", "problem")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_THEN_FIELD_NUMBER: _ClassVar[int]
    RULE_THEN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    approval: str
    requester: str
    created_at: _timestamp_pb2.Timestamp
    outcome_then: str
    rule_then: str
    state: str
    outcome: str
    rule: str
    problem: str
    def __init__(self, approval: _Optional[str] = ..., requester: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., outcome_then: _Optional[str] = ..., rule_then: _Optional[str] = ..., state: _Optional[str] = ..., outcome: _Optional[str] = ..., rule: _Optional[str] = ..., problem: _Optional[str] = ...) -> None: ...

class DryRunPolicyResponse(_message.Message):
    __slots__ = ("trials", "approved", "required", "rejected", "changed", "incomplete")
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    APPROVED_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    trials: _containers.RepeatedCompositeFieldContainer[PolicyTrial]
    approved: int
    required: int
    rejected: int
    changed: int
    incomplete: bool
    def __init__(self, trials: _Optional[_Iterable[_Union[PolicyTrial, _Mapping]]] = ..., approved: _Optional[int] = ..., required: _Optional[int] = ..., rejected: _Optional[int] = ..., changed: _Optional[int] = ..., incomplete: _Optional[bool] = ...) -> None: ...

class Delegation(_message.Message):
    __slots__ = ("id", "delegator", "delegate", "starts_at", "ends_at", "reason", "created_by", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    DELEGATE_FIELD_NUMBER: _ClassVar[int]
    STARTS_AT_FIELD_NUMBER: _ClassVar[int]
    ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    delegator: str
    delegate: str
    starts_at: _timestamp_pb2.Timestamp
    ends_at: _timestamp_pb2.Timestamp
    reason: str
    created_by: str
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., delegator: _Optional[str] = ..., delegate: _Optional[str] = ..., starts_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., created_by: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateDelegationRequest(_message.Message):
    __slots__ = ("delegate", "starts_at", "ends_at", "reason")
    DELEGATE_FIELD_NUMBER: _ClassVar[int]
    STARTS_AT_FIELD_NUMBER: _ClassVar[int]
    ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    delegate: str
    starts_at: _timestamp_pb2.Timestamp
    ends_at: _timestamp_pb2.Timestamp
    reason: str
    def __init__(self, delegate: _Optional[str] = ..., starts_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class ListDelegationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDelegationsResponse(_message.Message):
    __slots__ = ("delegations",)
    DELEGATIONS_FIELD_NUMBER: _ClassVar[int]
    delegations: _containers.RepeatedCompositeFieldContainer[Delegation]
    def __init__(self, delegations: _Optional[_Iterable[_Union[Delegation, _Mapping]]] = ...) -> None: ...

class RevokeDelegationRequest(_message.Message):
    __slots__ = ("delegation",)
    DELEGATION_FIELD_NUMBER: _ClassVar[int]
    delegation: str
    def __init__(self, delegation: _Optional[str] = ...) -> None: ...
