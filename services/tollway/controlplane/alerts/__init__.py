"""Alerts: what somebody should look at, fired once for each crossing and delivered to channels."""
