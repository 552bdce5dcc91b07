"""How the most that a request can use is found in the request: the proven bounds of hard budgets."""
