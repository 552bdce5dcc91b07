"""`roles:`, `users[].roles` and `business_units[].managers` of the configuration file."""

from __future__ import annotations

from typing import Any

from tollway.cli.document.kinds import Field, Items, Object, Text

PEOPLE = ("platform_admin", "auditor", "unit_manager", "project_owner", "developer")
_EMAIL = Text(pattern=r"[^@\s]+@[^@\s]+", says="must be an e-mail address such as ana@example.com", maximum=254)
_PLACE: dict[str, Any] = {
    "business_unit": Field(Text(minimum=1, maximum=100), doc="where; with neither: on the whole platform"),
    "project": Field(Text(minimum=1, maximum=100)),
}
ROLE = Object(
    {
        "role": Field(Text(choices=(*PEOPLE, "service_account")), required=True),
        "user": Field(_EMAIL, doc="bound at the first sign-in with this verified address"),
        "group": Field(Text(minimum=1, maximum=200), doc="as the issuer names it in its tokens"),
        "issuer": Field(Text(minimum=1, maximum=500), doc="of the group; absent: any issuer"),
        "service_account": Field(Text(minimum=1, maximum=100)),
        **_PLACE,
    }
)
ROLES = Field(Items(ROLE), doc="who may do what: one of user, group and service_account, and where")
USER_ROLES = Field(
    Items(Object({"role": Field(Text(choices=PEOPLE), required=True), **_PLACE}), maximum=100),
    doc="the name must be an e-mail address then",
)
MANAGERS = Field(Items(_EMAIL, maximum=100), doc="e-mail addresses of who has the role unit_manager here")
