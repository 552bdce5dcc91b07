"""Headers that every answer with a page carries, and what the browser's own headers say of where a call comes from."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # without a referrer browsers send forms with `Origin: null` (Fetch, 3.2)
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
STRICT_TRANSPORT = "max-age=31536000"


class Origin:
    """Where browsers find this control plane: `public_url`, else what the request says. Secure means HTTPS."""

    def __init__(self, public_url: str, *, tls: bool) -> None:
        self._public = public_url.rstrip("/")
        self.secure = self._public.startswith("https://") if self._public else tls

    def of(self, request: web.Request) -> str:
        """The origin ("https://host:port"), without a slash at its end."""
        return self._public or f"{'https' if self.secure else 'http'}://{request.host}"

    def foreign(self, request: web.Request) -> bool:
        """Whether the browser says that a call was made by another site. Silence is left to the CSRF token."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return True
        said = request.headers.get("Origin")
        return said is not None and said != self.of(request)

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """A signal of the application: adds the headers to every page, and asks for HTTPS where it is served."""
        del request
        if response.content_type == "text/html":
            for name, value in PAGE_HEADERS.items():
                response.headers.setdefault(name, value)
        if self.secure:
            response.headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT)


def parse_public_url(text: str) -> str:
    """The setting: an origin without a path. Raises ValueError."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must look like https://tollway.example.com")
    return f"{parts.scheme}://{parts.netloc.lower()}"
