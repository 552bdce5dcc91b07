"""Where bodies go when not into the database: the settings of an S3-compatible object store. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tollway.core.netguard import Guard, url_refusal

_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9!_.*'()/-]*))?")


@dataclass(frozen=True)
class Place:
    """A part of an object store: `prefix` is empty or ends with a slash."""

    bucket: str
    prefix: str


def parse_place(text: str) -> Place:
    """`s3://bucket/prefix`. Raises ValueError."""
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError("must look like s3://bucket or s3://bucket/prefix")
    prefix = (found[2] or "").strip("/")
    return Place(found[1], f"{prefix}/" if prefix else "")


def parse_endpoint(text: str) -> str:
    """The URL of an S3-compatible server. Raises ValueError."""
    if refusal := url_refusal(text, Guard.OPERATOR):
        raise ValueError(refusal)
    return text.rstrip("/")
