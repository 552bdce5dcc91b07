"""The asynchronous face of blocking methods: same arguments, same results, run in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_END = object()


def awaitable(method: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """`method` as a coroutine function."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, *args, **kwargs)

    return call


def aiterable(method: Callable[P, Iterator[T]]) -> Callable[P, AsyncIterator[T]]:
    """`method`, which returns an iterator, as an asynchronous generator function."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        items = method(*args, **kwargs)
        while True:
            item = await asyncio.to_thread(next, items, _END)
            if item is _END:
                return
            yield item  # type: ignore[misc]

    return call
