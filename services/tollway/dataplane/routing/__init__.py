"""Which target and credential a call uses, by how they have been doing in this process; see `router`.

Owns what one process knows of targets: calls under way, latencies, breakers, cool-downs, quotas, limits. Never waits
and never makes a call of a client; nothing in it is shared between processes or replicas.
"""
