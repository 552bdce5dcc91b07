"""`identity:` of the configuration file: the OpenID Connect issuers that people and machines sign in with."""

from __future__ import annotations

from tollway.cli.document.kinds import Boolean, Duration, Field, Items, Labels, Object, Text

_CLAIM = Text(minimum=1, maximum=200)
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_DATA_PLANE = Object(
    {
        "audiences": Field(
            Items(Text(minimum=1, maximum=500), minimum=1, maximum=20),
            required=True,
            doc="`aud` of tokens that are taken in place of a virtual key",
        ),
        "tags": Field(Labels(), doc="tags of the requests that come with them"),
    }
)
_ISSUER = Object(
    {
        "name": Field(
            Text(
                pattern=r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
                says="must be 1 to 63 lower-case letters, digits or hyphens, not beginning or ending with a hyphen",
            ),
            required=True,
        ),
        "issuer": Field(
            Text(maximum=1000, pattern=r"https?://.+", says="must begin with https:// (http:// on this machine alone)"),
            required=True,
            doc="as its tokens have it in `iss`",
        ),
        "client_id": Field(Text(minimum=1, maximum=255), required=True, doc="the client of the portal"),
        "client_secret": Field(
            Text(minimum=1, maximum=512), doc="write ${NAME} and keep the value in the environment; absent: none"
        ),
        "cli_client_id": Field(Text(minimum=1, maximum=255), doc="the public client of the command line"),
        "audiences": Field(
            Items(Text(minimum=1, maximum=500), maximum=20), doc="`aud` of bearer tokens of the management API"
        ),
        "scopes": Field(
            Items(Text(minimum=1, maximum=100), maximum=30), doc="default: openid, profile, email, offline_access"
        ),
        "algorithms": Field(
            Items(Text(choices=_ALGORITHMS), minimum=1, maximum=10), doc="default: RS256, PS256, ES256, EdDSA"
        ),
        "groups_claim": Field(_CLAIM, doc="a claim, or a path with dots such as realm_access.roles; default: groups"),
        "claims": Field(
            Items(Text(minimum=1, maximum=100), maximum=20),
            doc="further claims whose values roles may name as groups: department gives department=finance",
        ),
        "email_claim": Field(_CLAIM, doc="default: email"),
        "name_claim": Field(_CLAIM, doc="default: name"),
        "trust_email": Field(Boolean(), doc="addresses without email_verified count as verified; default: false"),
        "refresh": Field(
            Duration(86_400, whole=True),
            to="refresh_seconds",
            doc="how often the issuer is asked whether a session is still good, at least 60s; default: 15m",
        ),
        "data_plane": Field(_DATA_PLANE, doc="its tokens in place of virtual keys; absent: none"),
    }
)
IDENTITY = Object({"issuers": Field(Items(_ISSUER, maximum=100))})
