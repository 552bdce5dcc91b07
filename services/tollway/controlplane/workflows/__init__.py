"""Requests of people for what they may not give themselves, the policies that decide them, and what is given."""
