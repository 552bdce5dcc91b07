"""Approvals as arithmetic: what a policy says to a request, who may decide it, and what follows. Pure."""
