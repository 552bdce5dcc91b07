"""The header by which a client says what it wants of the cache."""

from __future__ import annotations

import pytest

from tollway.core.caching.control import Control, read_control
from tollway.core.errors import Code, TollwayError


@pytest.mark.parametrize(
    ("text", "control"),
    [
        ("off", Control(read=False, write=False)),
        (" OFF ", Control(read=False, write=False)),
        ("refresh", Control(read=False)),
        ("ttl=60", Control(seconds=60)),
        ("TTL=1", Control(seconds=1)),
        ("ttl=31536000", Control(seconds=31_536_000)),
    ],
)
def test_what_can_be_asked(text: str, control: Control) -> None:
    assert read_control(text) == control


WRONG = ["", "on", "60", "ttl", "ttl=", "ttl=0", "ttl=-1", "ttl=1.5", "ttl=60s", "ttl=31536001", "ttl= 6", "ttl=ttl=6"]


@pytest.mark.parametrize("text", [*WRONG, "off,refresh", "ttl=" + "9" * 5000, "ttl=٦", "ttl=¹"])
def test_anything_else_is_refused_with_the_headers_name(text: str) -> None:
    with pytest.raises(TollwayError, match="x-tollway-cache must be") as caught:
        read_control(text)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, "x-tollway-cache")
