"""People and machines that call the management API: users, groups, service accounts, roles and what these may do."""
