"""How a target is chosen, when it is left alone, and what happens after a failure: arithmetic over values.

Owns no state of a process and no clock: times are arguments in seconds (of any clock that only goes forward), chance is
an argument that returns numbers in [0, 1). What is kept for each target lives in `tollway.dataplane.routing`.
"""
