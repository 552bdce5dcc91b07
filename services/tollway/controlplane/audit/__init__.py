"""The audit log: who changed what, when, why, from where; written in the transaction of the change."""
