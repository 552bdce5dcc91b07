"""The configuration file, declared once: parser and JSON Schema both come from here.

What a later version will bring is declared as unsupported, so that it is refused instead of silently ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tollway.cli.document.access import MANAGERS, ROLES
from tollway.cli.document.alerts import CHANNEL
from tollway.cli.document.identity import IDENTITY
from tollway.cli.document.kinds import (
    INVALID,
    UNSUPPORTED,
    Boolean,
    Dollars,
    Duration,
    Field,
    Items,
    Labels,
    Number,
    Object,
    Retention,
    Text,
)
from tollway.cli.document.policies import POLICY
from tollway.cli.document.routing import CACHE, PRIORITY, PROBE, QUOTA, routing
from tollway.cli.document.rules import MODEL_LIMITS, RULES, USER, USER_NAME, Organisations

SLUG = Text(
    pattern=r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
    says="must be 1 to 63 lower-case letters, digits or hyphens, not beginning or ending with a hyphen",
)
LABEL = Text(
    pattern=r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?",
    says="must be 1 to 63 letters, digits, dots, hyphens or underscores, beginning and ending with a letter or digit",
)
MODEL_NAME = Text(
    pattern=r"[A-Za-z0-9]([A-Za-z0-9._:/@-]{0,198}[A-Za-z0-9])?",
    says="must be 1 to 200 letters, digits or . _ : / @ -, beginning and ending with a letter or digit",
)
GLOBS = Items(Text(minimum=1, maximum=200), maximum=500)
PROVIDER_KINDS = ("openai", "azure_openai", "anthropic", "huggingface", "vllm", "openai_compatible", "simulator")

CREDENTIAL = Object(
    {
        "name": Field(LABEL, required=True),
        "api_key": Field(Text(minimum=1), required=True, doc="write ${NAME} and keep the value in the environment"),
        "weight": Field(Number(0, 10_000)),
        "quota": QUOTA,
    }
)
TIMEOUTS = Object(
    {
        "connect": Field(Duration(300), to="connect_seconds"),
        "first_byte": Field(Duration(3600), to="first_byte_seconds"),
        "between_chunks": Field(Duration(3600), to="between_chunks_seconds"),
        "total": Field(Duration(86400), to="total_seconds"),
    }
)
PROVIDER = Object(
    {
        "name": Field(SLUG, required=True),
        "kind": Field(Text(choices=PROVIDER_KINDS), required=True),
        "base_url": Field(Text(maximum=2000, pattern=r"https?://.+", says="must begin with http:// or https://")),
        "api_version": Field(Text(maximum=100)),
        "credentials": Field(Items(CREDENTIAL, maximum=100)),
        "timeouts": Field(TIMEOUTS),
        "hangup": Field(Text(choices=("close", "drain")), doc="what to do with a call whose client has left"),
        "probe": PROBE,
        "limits": UNSUPPORTED,
    }
)
TARGET = Object(
    {
        "provider": Field(Text(minimum=1, maximum=100), required=True),
        "model": Field(Text(minimum=1, maximum=300), required=True, doc="the provider's name; Azure: the deployment"),
        "weight": Field(Number(0, 10_000)),
        "priority": Field(Number(0, 1000)),
        "limits": UNSUPPORTED,
    }
)
TOKEN_PRICES = {
    name: Field(Dollars())
    for name in (
        "input",
        "output",
        "cached_input",
        "cache_write_5m",
        "cache_write_1h",
        "audio_input",
        "audio_output",
        "image_input",
        "image_output",
        "reasoning",
        "prediction_accepted",
        "prediction_rejected",
    )
}
TIER = Object(
    {
        "above": Field(Number(1, 1 << 40), required=True, doc="input tokens; requests with more pay these prices"),
        **TOKEN_PRICES,
    }
)
PRICES = Object(
    {
        **TOKEN_PRICES,
        "image": Field(Dollars(), doc="per image made"),
        "audio_minute": Field(Dollars(), doc="per minute of sound heard"),
        "audio_hour": Field(Dollars(), doc="per hour of sound heard, instead of audio_minute"),
        "characters": Field(Dollars(), doc="per million characters spoken"),
        "search": Field(Dollars(), doc="per thousand searches"),
        "request": Field(Dollars(), doc="per call that used anything"),
        "tiers": Field(Items(TIER, maximum=20), doc="prices of long requests, for the whole of the request"),
    }
)


@dataclass(frozen=True)
class Price:
    """`free`, or US dollars: per million tokens, and per other units for what is sold by them."""

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """The API's price."""
        if value == "free":
            return {"free": True}
        if isinstance(value, str):
            problems.append(f'{path}: must be `free` or a mapping such as {{input: "0.15", output: "0.60"}}')
            return INVALID
        if value == {}:
            problems.append(f"{path}: names no price; write `free` for none")
            return INVALID
        return PRICES.read(value, path, problems)

    def schema(self) -> dict[str, Any]:
        """Either form."""
        return {"anyOf": [{"const": "free"}, PRICES.schema()]}


CAPABILITIES = Object(
    {
        "input_modalities": Field(Items(Text(minimum=1, maximum=30), maximum=10)),
        "output_modalities": Field(Items(Text(minimum=1, maximum=30), maximum=10)),
        "context_tokens": Field(Number(1, 1 << 40)),
        "max_output_tokens": Field(Number(1, 1 << 40)),
        "tools": Field(Boolean()),
        "streaming": Field(Boolean()),
    }
)
MODEL = Object(
    {
        "name": Field(MODEL_NAME, required=True, doc="what clients ask for"),
        "aliases": Field(Items(MODEL_NAME, maximum=50)),
        "targets": Field(Items(TARGET, minimum=1, maximum=100), required=True),
        "price": Field(
            Price(), doc="US dollars, per million tokens where nothing else is said, or `free`; default: the book's"
        ),
        "capabilities": Field(CAPABILITIES),
        **routing(MODEL_NAME),
        "limits": MODEL_LIMITS,
        "cache": UNSUPPORTED,
    }
)
BUSINESS_UNIT = Object(
    {
        "name": Field(SLUG, required=True),
        "description": Field(Text(maximum=1000)),
        "managers": MANAGERS,
        **RULES,
    }
)
KEY = Object(
    {
        "name": Field(LABEL, required=True),
        "value": Field(
            Text(minimum=22, maximum=512), doc="an existing value, for tests and migrations; absent: generated"
        ),
        "models": Field(GLOBS),
        "expires": Field(
            Duration(315_360_000, whole=True), to="expires_seconds", doc="counts from the key's creation; absent: never"
        ),
        "tags": Field(Labels()),
        "user": Field(USER_NAME, doc="who the key belongs to, for example an e-mail address"),
        **RULES,
    }
)
LOGGING = Object(
    {
        "bodies": Field(
            Text(choices=("full", "masked", "none")),
            doc="requests and answers whole, with personal data and secrets replaced, or not at all",
        ),
        "retention": Field(Retention(), to="retention_days"),
    }
)
KEY_POLICY = Object(
    {
        "lifetime_days": Field(Number(1, 3650), doc="within how many days a key must expire"),
        "max_keys": Field(Number(1, 1_000_000), doc="how many may be active at a time"),
        "max_keys_per_user": Field(Number(1, 1_000_000), doc="how many of one person"),
    }
)
PROJECT = Object(
    {
        "name": Field(SLUG, required=True),
        "description": Field(Text(maximum=1000)),
        "business_unit": Field(Text(minimum=1, maximum=100)),
        "models": Field(GLOBS, doc="allow-list of globs; absent: all models"),
        "dialect_policy": Field(
            Text(choices=("lenient", "strict")),
            doc="what becomes of a tuning field that a provider cannot be told: left out and named, or refused",
        ),
        "keys": Field(Items(KEY)),
        **RULES,
        "logging": Field(LOGGING, doc="what the request log keeps; default: everything, for 30 days"),
        "cache": CACHE,
        "priority": PRIORITY,
        "key_policy": Field(KEY_POLICY, doc="what is asked of keys; absent: nothing"),
    }
)


@dataclass(frozen=True)
class Version:
    """The version of the file's format."""

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """Only 1 exists."""
        if value != 1 or isinstance(value, bool):
            problems.append(f"{path}: must be 1, the only version of the format that this version knows")
        return INVALID

    def schema(self) -> dict[str, Any]:
        """A constant."""
        return {"const": 1}


DOCUMENT = Object(
    {
        "version": Field(Version(), required=True),
        "organisations": Field(Organisations()),
        "providers": Field(Items(PROVIDER, maximum=1000)),
        "models": Field(Items(MODEL)),
        "business_units": Field(Items(BUSINESS_UNIT, maximum=1000)),
        "projects": Field(Items(PROJECT)),
        "identity": Field(IDENTITY, doc="who may sign in"),
        "roles": ROLES,
        "users": Field(Items(USER)),
        "prices": UNSUPPORTED,
        "policies": Field(Items(POLICY, maximum=5), doc="how requests of people are decided"),
        "alert_channels": Field(Items(CHANNEL, maximum=1000)),
        "defaults": UNSUPPORTED,
    }
)
