"""`alert_channels:` of the configuration file."""

from __future__ import annotations

from tollway.cli.document.kinds import Field, Items, Object, Text

CHANNEL = Object(
    {
        "name": Field(
            Text(
                pattern=r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
                says="must be 1 to 63 lower-case letters, digits or hyphens, not beginning or ending with a hyphen",
            ),
            required=True,
        ),
        "kind": Field(Text(choices=("webhook", "slack", "email")), required=True),
        "url": Field(
            Text(maximum=2000, pattern=r"https?://.+", says="must begin with http:// or https://"),
            doc="of webhook and slack; write ${NAME} and keep the value in the environment",
        ),
        "secret": Field(Text(minimum=16, maximum=512), doc="of webhook: the key of its signatures; write ${NAME}"),
        "recipients": Field(Items(Text(minimum=3, maximum=254), maximum=50), doc="of email"),
        "scope": Field(
            Text(choices=("all", "organisation", "business_unit", "project")), doc="whose alerts; default: all"
        ),
        "subject": Field(Text(minimum=1, maximum=100), doc="the name of what the scope is about"),
        "alerts": Field(Items(Text(minimum=1, maximum=40), maximum=20), doc="kinds of alerts; absent: all"),
    }
)
