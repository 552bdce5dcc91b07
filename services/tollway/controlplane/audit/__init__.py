"""The audit log: who changed what, when, why and from where, as a chain that proves itself."""
