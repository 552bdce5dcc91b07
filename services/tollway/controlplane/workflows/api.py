"""The methods of requests, policies and delegations."""

from __future__ import annotations

from tollway.controlplane.call import Method
from tollway.controlplane.workflows import delegations, model, policies, requests

_APPROVALS = "tollway.control.v1.ApprovalService"
_POLICIES = "tollway.control.v1.PolicyService"
_DELEGATIONS = "tollway.control.v1.DelegationService"

METHODS: dict[str, Method] = {
    f"{_APPROVALS}/CreateApproval": Method(model.CreateApprovalRequest, requests.create),
    f"{_APPROVALS}/GetApproval": Method(model.GetApprovalRequest, requests.get),
    f"{_APPROVALS}/ListApprovals": Method(model.ListApprovalsRequest, requests.list_),
    f"{_APPROVALS}/DecideApproval": Method(model.DecideApprovalRequest, requests.decide),
    f"{_APPROVALS}/CommentApproval": Method(model.CommentApprovalRequest, requests.comment),
    f"{_APPROVALS}/CancelApproval": Method(model.CancelApprovalRequest, requests.cancel),
    f"{_APPROVALS}/RevokeApproval": Method(model.RevokeApprovalRequest, requests.revoke),
    f"{_POLICIES}/ListPolicies": Method(model.ListPoliciesRequest, policies.list_policies),
    f"{_POLICIES}/GetPolicy": Method(model.GetPolicyRequest, policies.get_policy),
    f"{_POLICIES}/SetPolicy": Method(model.SetPolicyRequest, policies.set_policy),
    f"{_POLICIES}/DryRunPolicy": Method(model.DryRunPolicyRequest, policies.dry_run),
    f"{_DELEGATIONS}/CreateDelegation": Method(model.CreateDelegationRequest, delegations.create),
    f"{_DELEGATIONS}/ListDelegations": Method(model.ListDelegationsRequest, delegations.list_),
    f"{_DELEGATIONS}/RevokeDelegation": Method(model.RevokeDelegationRequest, delegations.revoke),
}
