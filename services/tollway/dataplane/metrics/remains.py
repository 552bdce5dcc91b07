"""What a dead process has counted goes into one file for all that are dead, so that no total falls and no file stays.

Runs in the supervisor alone, in one step of its event loop: no scrape can see a half-moved total.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from prometheus_client import multiprocess
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from tollway.dataplane.metrics.series import Labels, Room
from tollway.runtime import log

_log = log.get(__name__)
KINDS = ("counter", "histogram")
DEAD = "dead"
BUCKET = "le"


def bury(folder: Path, pid: int, most: int) -> None:
    """Merges what process `pid` has counted and removes its files; `most` bounds the label combinations of a metric."""
    for kind in KINDS:
        left = folder / f"{kind}_{pid}.db"
        if left.exists():
            try:
                _merge(left, folder / f"{kind}_{DEAD}.db", most)
            except (RuntimeError, ValueError, OSError, struct.error) as error:  # it died in mid-write
                _log.warning("the counts of a dead process are lost", pid=pid, kind=kind, reason=str(error))
            left.unlink(missing_ok=True)
    multiprocess.mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]


def _merge(left: Path, into: Path, most: int) -> None:
    counted = [
        (key, value)
        for key, value, _time, _place in MmapedDict.read_all_values_from_file(str(left))  # type: ignore[no-untyped-call]
    ]
    total = MmapedDict(str(into))  # type: ignore[no-untyped-call]
    try:
        rooms: dict[tuple[str, Labels], Room] = {}
        for key, _value, _time in list(total.read_all_values()):  # type: ignore[no-untyped-call]
            _place(key, rooms, most)
        for key, value in counted:
            place = _place(key, rooms, most)
            total.write_value(place, total.read_value(place)[0] + value, 0.0)  # type: ignore[no-untyped-call]
    finally:
        total.close()  # type: ignore[no-untyped-call]


def _place(key: str, rooms: dict[tuple[str, Labels], Room], most: int) -> str:
    """The key of the series that this one is counted as."""
    metric, name, labels, text = json.loads(key)
    names = tuple(label for label in labels if label != BUCKET)
    room = rooms.get((metric, names))
    if room is None:
        room = rooms[metric, names] = Room(names, most)
    labels.update(zip(names, room.of(tuple(labels[label] for label in names)), strict=True))
    return str(mmap_key(metric, name, list(labels), list(labels.values()), text))
