"""A browser small enough for tests without one: cookies, redirects, and forms that are sent as they stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import TracebackType
from urllib.parse import urljoin, urlsplit

import aiohttp

MAX_STEPS = 20


class _Form(HTMLParser):
    """The first form of a page: where it goes, how, and what its fields hold."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.method = "get"
        self.fields: dict[str, str] = {}
        self._done = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action, self.method = found.get("action", ""), found.get("method", "get").lower()
        elif tag in ("input", "button") and self.action is not None and not self._done and found.get("name"):
            self.fields[found["name"]] = found.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._done = True


@dataclass
class Page:
    """What the browser shows: the last answer."""

    url: str
    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)
    cookies: list[str] = field(default_factory=list)
    """The `Set-Cookie` headers of the last answer."""
    way: list[str] = field(default_factory=list)
    """Every address that was asked on the way here, the last one included."""

    @property
    def path(self) -> str:
        """The path of its address."""
        return urlsplit(self.url).path


class Browser:
    """Cookies of its own. Like a browser's they belong to a host, whatever the port."""

    def __init__(self) -> None:
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    def cookie(self, name: str) -> str:
        """The value of a cookie; empty when there is none such."""
        return next((morsel.value for morsel in self.session.cookie_jar if morsel.key == name), "")

    def set_cookie(self, url: str, name: str, value: str) -> None:
        """Puts a cookie there, as somebody who has seen one could."""
        from yarl import URL

        self.session.cookie_jar.update_cookies({name: value}, URL(url))

    async def open(self, url: str, *, stop: str = "", headers: dict[str, str] | None = None) -> Page:
        """Goes to an address and wherever that redirects, but not to one that has `stop` in it."""
        return await self._go("GET", url, None, stop, headers)

    async def submit(self, page: Page, *, stop: str = "", headers: dict[str, str] | None = None, **fields: str) -> Page:
        """Sends the first form of a page with other values in some fields."""
        form = _Form()
        form.feed(page.text)
        assert form.action is not None, page.text
        url = urljoin(page.url, form.action) if form.action else page.url
        return await self._go(form.method.upper(), url, form.fields | fields, stop, headers)

    async def post(self, url: str, *, headers: dict[str, str] | None = None, **fields: str) -> Page:
        """Sends a form to an address."""
        return await self._go("POST", url, fields, "", headers)

    async def _go(
        self, verb: str, url: str, fields: dict[str, str] | None, stop: str, headers: dict[str, str] | None
    ) -> Page:
        way = []
        for _ in range(MAX_STEPS):
            way.append(url)
            sent = {"params": fields} if verb == "GET" else {"data": fields}
            async with self.session.request(verb, url, allow_redirects=False, headers=headers, **sent) as answer:  # type: ignore[arg-type]
                text = await answer.text()
                shown = {name.lower(): value for name, value in answer.headers.items()}
                page = Page(url, answer.status, text, shown, answer.headers.getall("Set-Cookie", []), way)
            following = shown.get("location", "") if page.status in (301, 302, 303, 307, 308) else ""
            if not following:
                return page
            url, verb, fields = urljoin(url, following), "GET", None
            if stop and stop in url:
                page.url = url
                return page
        raise AssertionError(f"redirected in a circle: {way}")
