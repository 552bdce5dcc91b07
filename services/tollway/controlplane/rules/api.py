"""The methods of budgets and limits."""

from __future__ import annotations

from tollway.controlplane.call import Method
from tollway.controlplane.rules import budgets, limits, model

_BUDGETS = "tollway.control.v1.BudgetService"
_LIMITS = "tollway.control.v1.LimitService"

METHODS: dict[str, Method] = {
    f"{_BUDGETS}/SetBudget": Method(model.SetBudgetRequest, budgets.set_budget),
    f"{_BUDGETS}/GetBudget": Method(model.GetBudgetRequest, budgets.get_budget),
    f"{_BUDGETS}/ListBudgets": Method(model.ListBudgetsRequest, budgets.list_budgets, filters=True),
    f"{_BUDGETS}/RemoveBudget": Method(model.RemoveBudgetRequest, budgets.remove_budget),
    f"{_BUDGETS}/IncreaseBudget": Method(model.IncreaseBudgetRequest, budgets.increase_budget),
    f"{_BUDGETS}/RevokeIncrease": Method(model.RevokeIncreaseRequest, budgets.revoke_increase),
    f"{_LIMITS}/SetLimits": Method(model.SetLimitsRequest, limits.set_limits),
    f"{_LIMITS}/GetLimits": Method(model.GetLimitsRequest, limits.get_limits),
    f"{_LIMITS}/ListLimits": Method(model.ListLimitsRequest, limits.list_limits, filters=True),
}
