"""The methods of `UserService`, `ServiceAccountService` and `RoleService`."""

from __future__ import annotations

from tollway.controlplane.access import accounts, bindings, model, users
from tollway.controlplane.call import Method

_USERS = "tollway.control.v1.UserService"
_ACCOUNTS = "tollway.control.v1.ServiceAccountService"
_ROLES = "tollway.control.v1.RoleService"

METHODS: dict[str, Method] = {
    f"{_USERS}/CreateUser": Method(model.CreateUserRequest, users.create_user),
    f"{_USERS}/GetUser": Method(model.GetUserRequest, users.get_user),
    f"{_USERS}/ListUsers": Method(model.ListUsersRequest, users.list_users),
    f"{_USERS}/DisableUser": Method(model.UserRequest, users.disable_user),
    f"{_USERS}/EnableUser": Method(model.UserRequest, users.enable_user),
    f"{_USERS}/UnbindUser": Method(model.UserRequest, users.unbind_user),
    f"{_USERS}/GetCaller": Method(model.GetCallerRequest, users.get_caller),
    f"{_ACCOUNTS}/CreateServiceAccount": Method(model.CreateServiceAccountRequest, accounts.create_account),
    f"{_ACCOUNTS}/GetServiceAccount": Method(model.GetServiceAccountRequest, accounts.get_account),
    f"{_ACCOUNTS}/ListServiceAccounts": Method(model.ListServiceAccountsRequest, accounts.list_accounts, filters=True),
    f"{_ACCOUNTS}/DisableServiceAccount": Method(model.ServiceAccountRequest, accounts.disable_account),
    f"{_ACCOUNTS}/EnableServiceAccount": Method(model.ServiceAccountRequest, accounts.enable_account),
    f"{_ACCOUNTS}/ArchiveServiceAccount": Method(model.ServiceAccountRequest, accounts.archive_account),
    f"{_ACCOUNTS}/CreateServiceAccountToken": Method(model.CreateServiceAccountTokenRequest, accounts.create_token),
    f"{_ACCOUNTS}/RotateServiceAccountToken": Method(model.RotateServiceAccountTokenRequest, accounts.rotate_token),
    f"{_ACCOUNTS}/RevokeServiceAccountToken": Method(model.RevokeServiceAccountTokenRequest, accounts.revoke_token),
    f"{_ROLES}/GrantRole": Method(model.GrantRoleRequest, bindings.grant_role),
    f"{_ROLES}/RevokeRole": Method(model.RevokeRoleRequest, bindings.revoke_role),
    f"{_ROLES}/ListRoles": Method(model.ListRolesRequest, bindings.list_roles, filters=True),
}
