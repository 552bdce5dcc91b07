"""The pure heart of Tollway: values and decisions, without IO, clock, randomness or logging.

Time and randomness come in as arguments. Nothing here may import asyncio, sockets, os or a driver.
"""
