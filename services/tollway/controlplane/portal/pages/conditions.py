"""What the form of a policy tells of conditions: their variables, and examples for each kind of request. Data alone."""

from __future__ import annotations

VARIABLES = (
    ("requester.email, requester.name", "who asks"),
    ("requester.groups, requester.roles", "lists of their groups, and of their roles where the request applies"),
    ("requester.open", "how many of their requests wait"),
    ("subject, project.name, project.business_unit, project.models", "where it applies"),
    ("amount, permanent, days", "US dollars; whether credit stays; for how many days"),
    ("budgeted", "whether an amount is named"),
    ("granted.month", "US dollars of credit that requests gave this subject in the last 30 days"),
    (
        "budget.limit, budget.used, budget.remaining, budget.share",
        "of credit: the budget now; its share from 0 to 1",
    ),
    ("models, role", "what is asked for"),
    ("measure, window, model, limit, limit_now", "the limit: what it is to be, and what it is"),
    ("kind, now", "the kind of the request and its time"),
)
EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "platform_access": (
        ('role == "developer" && subject.startsWith("project:")', "a developer in one project"),
        ('"engineering" in requester.groups', "a group of the identity provider"),
        ('role == "platform_admin"', "the role that may do everything"),
    ),
    "project": (
        ("budgeted && amount <= 100", "a project with a small budget"),
        ('models.all(m, m.startsWith("gpt-4o-mini"))', "cheap models alone"),
        ("!budgeted", "a project that nothing limits"),
    ),
    "model_access": (
        ('models.all(m, m.startsWith("gpt-"))', "models of one family"),
        ('project.business_unit == "research"', "projects of one business unit"),
        ('models.exists(m, m == "*")', "all models at once"),
    ),
    "credit": (
        (
            "amount <= 50 && !permanent && days <= 31 && granted.month + amount <= 100.0",
            "small, for a while, and not again and again",
        ),
        ("amount > 1000", "large amounts"),
        ("budget.share < 0.8", "most of the budget is not used yet"),
    ),
    "limit": (
        ("limit <= limit_now * 2.0", "at most twice the present limit"),
        ('measure == "requests" && window == "minute" && limit <= 600', "a moderate limit of requests"),
        ('now.getDayOfWeek("UTC") == 0', "on Sundays"),
    ),
}
