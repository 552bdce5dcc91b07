"""Refusals of the state machine as errors that show where the request stands, so that the loser of a race knows."""

from __future__ import annotations

from collections.abc import Sequence

from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.workflows.rows import ApprovalRow, VoteRow
from tollway.core.approvals.machine import Refusal, Refused


def error(refused: Refused, row: ApprovalRow, votes: Sequence[VoteRow]) -> ApiError:
    """What the caller is told."""
    code = ApiCode.FAILED_PRECONDITION
    match refused.refusal:
        case Refusal.OVERDUE:
            return ApiError(code, "the request has expired; ask again")
        case Refusal.OWN_REQUEST:
            return ApiError(ApiCode.PERMISSION_DENIED, "nobody decides their own request")
        case Refusal.NOT_APPROVER:
            return ApiError(ApiCode.PERMISSION_DENIED, "you are not among those who decide this step of the request")
        case Refusal.DECIDED_BEFORE:
            return ApiError(code, "you have decided otherwise before; a vote is not changed")
        case Refusal.NOT_REQUESTER:
            return ApiError(ApiCode.PERMISSION_DENIED, "only who made a request can cancel it")
        case Refusal.NOT_GRANTED:
            return ApiError(code, f"the request is {row.state}: it gave nothing that could be taken back")
        case Refusal.ENDED:
            return ApiError(code, f"the request is {row.state} already{_by(row, votes)}")


def _by(row: ApprovalRow, votes: Sequence[VoteRow]) -> str:
    by = row.ended_by or (votes[-1].actor if votes else "")
    at = "" if row.ended_at is None else f" at {row.ended_at:%Y-%m-%d %H:%M:%S} UTC"
    return f", by {by}{at}" if by else at
