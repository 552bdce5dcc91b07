"""Where an answer begins and ends in the bytes of a connection: HTTP/1.1 framing on llhttp's strict parser.

Owns the parser of one connection and what it has read of the answer under way. Pure: it opens and closes nothing.
llhttp refuses what makes the length of an answer doubtful (both or several lengths, folded or malformed headers, wrong
chunk sizes); here come limits, interim answers, encodings of the transfer, and bytes that nobody asked for.
Source: RFC 9112, sections 6 (message body) and 9 (connections).
"""

from __future__ import annotations

import httptools

MAX_BARREN = 1 << 16
"""Bytes without a single one of a body: a head, trailers or chunk extensions longer than that are refused."""
MAX_HEADER = 1 << 14
MAX_HEADERS = 256
MAX_INTERIM = 8
_LINE_ENDS = frozenset(b"\r\n")
_NOT_REPEATED = frozenset((b"transfer-encoding", b"content-encoding"))


class BadAnswerError(Exception):
    """What came is no answer that HTTP allows; the text names the rule."""


class Framing:
    """Reads the answers of one connection, one after another.

    `begin()` before each request, `feed()` for what comes, `end()` at the end of the connection. `head_done` says that
    `status` and `headers` (lower-case names; of a repeated one the first) are there, `complete` that the whole answer
    is, `reusable` then whether another may follow. `parts` is the body read so far, of `size` bytes; the reader takes
    parts from the list and sets the size.
    """

    __slots__ = (
        "_barren",
        "_feed",
        "_interim",
        "_parser",
        "_until_end",
        "begun",
        "complete",
        "head_done",
        "headers",
        "parts",
        "reusable",
        "size",
        "status",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._feed = self._parser.feed_data
        self.complete = True
        self.reusable = True

    def begin(self) -> None:
        """From now on an answer is expected."""
        self.headers: dict[bytes, bytes] = {}
        self.parts: list[bytes] = []
        self.status = self.size = self._barren = self._interim = 0
        self.begun = self.head_done = self.complete = self.reusable = self._until_end = False

    def feed(self, data: bytes) -> bool:
        """Reads on, and says whether the answer is whole now. Raises BadAnswerError; bytes after the answer make the
        connection not reusable, and are no error of the answer.
        """
        self._barren += len(data)
        self.begun = True
        try:
            if data[-1] in _LINE_ENDS and len(data) > 1:
                # The parser passes over line ends behind an answer: the last one may be a byte that nobody asked for.
                self._feed(data[:-1])
                if self.complete:
                    self.reusable = False
                    return True
                data = data[-1:]
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.reusable = False
            if self.complete:
                return True
            raise BadAnswerError(_reason(error)) from error
        if self._barren > MAX_BARREN and not self.complete:
            raise BadAnswerError("headers or trailers are too large")
        return self.complete

    def end(self) -> bool:
        """The connection has ended in order. Whether that was the end of the answer as well."""
        if self._until_end:
            self.complete = True
        self.reusable = False
        return self.complete

    def give_up(self) -> None:
        """Lets the parser go, which holds this object in turn."""
        del self._feed, self._parser
        self.reusable = False

    def on_message_begin(self) -> None:
        """llhttp: the first byte of a head. After a whole answer nobody has asked for it."""
        if self.complete:
            raise BadAnswerError("bytes after the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """llhttp: a header, or, after the body, a trailer, which is dropped."""
        if self.head_done:
            return
        name = name.lower()
        headers = self.headers
        if name in headers:
            if name in _NOT_REPEATED:
                raise BadAnswerError(f"repeated {name.decode('ascii')}")
            return
        if len(value) > MAX_HEADER or len(headers) >= MAX_HEADERS:
            raise BadAnswerError("headers are too large or too many")
        headers[name] = value

    def on_headers_complete(self) -> None:
        """llhttp: the head is whole. An interim answer is left out, a transfer is chunked or not encoded at all."""
        status = self._parser.get_status_code()
        if status < 100:
            raise BadAnswerError(f"unknown status {status}")
        if status < 200:
            self._interim += 1
            if status == 101 or self._interim > MAX_INTERIM:
                raise BadAnswerError(f"unexpected interim answer {status}")
            self.headers.clear()
            return
        encoding = self.headers.get(b"transfer-encoding")
        if encoding is None:
            self._until_end = b"content-length" not in self.headers and status not in (204, 304)
        elif encoding.strip().lower() != b"chunked":
            raise BadAnswerError("unknown transfer-encoding")
        self.status = status
        self.head_done = True

    def on_body(self, body: bytes) -> None:
        """llhttp: a part of the body."""
        self.parts.append(body)
        self.size += len(body)
        self._barren = 0

    def on_message_complete(self) -> None:
        """llhttp: the end of an answer, or of an interim one."""
        if self.head_done:
            self.complete = True
            self.reusable = self._parser.should_keep_alive()


def _reason(error: Exception) -> str:
    """In the words of llhttp, or of a rule of our own that was raised inside it."""
    if isinstance(error, httptools.HttpParserUpgrade):
        return "unexpected change of protocol"
    cause = error.__context__
    return str(cause) if isinstance(cause, BadAnswerError) else str(error)
