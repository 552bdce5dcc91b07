"""The headers of an answer: kept as the bytes that came, read as text when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class Headers(Mapping[str, str]):
    """Names in any case. `found` has lower-case names; text is UTF-8, other bytes as surrogates (RFC 9110, 5.5)."""

    __slots__ = ("_found",)

    def __init__(self, found: dict[bytes, bytes]) -> None:
        self._found = found

    def __getitem__(self, name: str) -> str:
        return self._found[name.lower().encode("utf-8", "surrogateescape")].decode("utf-8", "surrogateescape")

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """The value, or `default`. Most of what is asked for is not there: no exception is made for it."""
        value = self._found.get(name.lower().encode("utf-8", "surrogateescape"))
        return default if value is None else value.decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("ascii") for name in self._found)

    def __len__(self) -> int:
        return len(self._found)
