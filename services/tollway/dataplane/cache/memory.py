"""Answers at hand in this process: the least recently used go first, and their bytes are bounded."""

from __future__ import annotations

from collections import OrderedDict

from tollway.dataplane.cache.entry import Answer


class AnswerMemory:
    """Kept answers by key, at most `capacity` bytes of them."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()
        self.held_bytes = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: bytes, now_ms: int) -> Answer | None:
        """The answer of a key, unless its time is over."""
        answer = self._answers.get(key)
        if answer is None:
            return None
        if now_ms >= answer.stored_ms + answer.seconds * 1000:
            self._remove(key)
            return None
        self._answers.move_to_end(key)
        return answer

    def put(self, key: bytes, answer: Answer) -> None:
        """Keeps an answer in place of what the key had; one that would take more than everything is not kept."""
        self._remove(key)
        if answer.size > self._capacity:
            return
        self._answers[key] = answer
        self.held_bytes += answer.size
        while self.held_bytes > self._capacity:
            _, old = self._answers.popitem(last=False)
            self.held_bytes -= old.size
            self.evicted += 1

    def _remove(self, key: bytes) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None:
            self.held_bytes -= answer.size
