"""The configuration that both planes share: what a data plane must know to serve.

The control plane builds a `Catalog` from its database and pushes it whole; a data plane swaps it in one assignment.
Frozen values only. Keys are not in it: they are many, and travel one by one as `DirectoryEntry`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tollway.core.pricing import Price
from tollway.core.rules import Rules


class ProviderKind(StrEnum):
    """Which dialect and habits a provider has; each has one file in `tollway.dataplane.providers`."""

    OPENAI = "openai"
    AZURE_OPENAI = "azure_openai"
    ANTHROPIC = "anthropic"
    HUGGINGFACE = "huggingface"
    VLLM = "vllm"
    OPENAI_COMPATIBLE = "openai_compatible"
    SIMULATOR = "simulator"


FREE_KINDS = frozenset({ProviderKind.VLLM, ProviderKind.SIMULATOR})
"""Servers of one's own: a call costs nothing there unless a price says otherwise."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds; each is its own limit and is named in the error when it fires."""

    connect: float = 5.0
    first_byte: float = 60.0
    between_chunks: float = 60.0
    total: float = 600.0


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider allows one credential, as the operator knows it. None: not bounded here."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """One provider key, in the clear: exists only in memory and inside a sealed snapshot."""

    id: str
    name: str
    api_key: str
    weight: int = 1
    quota: Quota = Quota()

    def __repr__(self) -> str:
        return f"Credential(id={self.id!r}, name={self.name!r})"


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A place to send requests. `base_url` has no trailing slash; `hangup`: what to do when a client leaves.

    `probe_seconds`: how often a target that fails is asked whether it is back; 0: requests alone find out.
    """

    id: str
    name: str
    kind: ProviderKind
    base_url: str
    api_version: str = ""
    timeouts: Timeouts = Timeouts()
    credentials: tuple[Credential, ...] = ()
    hangup: str = "close"
    probe_seconds: float = 0.0


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's model behind a model name. `model` is the provider's own name (Azure: the deployment)."""

    provider: str
    model: str
    weight: int = 1
    priority: int = 0


class Strategy(StrEnum):
    """How a target is chosen among several."""

    WEIGHTED = "weighted"
    """At random, by weight."""
    PRIORITY = "priority"
    """The lowest number first; by weight among equals."""
    LEAST_BUSY = "least_busy"
    """The fewest requests under way for its weight."""
    LATENCY = "latency"
    """The quicker of two drawn at random, by a moving average that rises at once and falls slowly."""
    COST = "cost"
    """The cheapest by its price first."""
    AFFINITY = "affinity"
    """The same target for the same session or beginning of a prompt, while it is not overloaded."""


class Affinity(StrEnum):
    """What stays together under `Strategy.AFFINITY`."""

    SESSION = "session"
    """Requests of one conversation: `x-tollway-session`, `prompt_cache_key`, `user`; else the beginning."""
    PREFIX = "prefix"
    """Requests whose prompts begin alike."""


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """Further tries after the first, before anything was sent to the client. `budget`: their share of requests."""

    attempts: int = 2
    budget: float = 0.1


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a target that keeps failing is left alone for a while."""

    enabled: bool = True


class Hedge(msgspec.Struct, frozen=True, kw_only=True):
    """A second call to another target when the first is slower than this share of calls lately, and `least_seconds`."""

    percentile: float = 0.95
    least_seconds: float = 0.5


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a model can do, as shown by `GET /v1/models`. None: not known."""

    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    tools: bool | None = None
    streaming: bool | None = True


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What clients ask for by name. `price` None: not known, which is not free. `created` is Unix seconds.

    `fallbacks` are models that are asked when every target of this one failed; `context_fallbacks` when the prompt is
    too long for it, `filter_fallbacks` when its content filter refuses. `hedge` None: never.
    """

    id: str
    name: str
    targets: tuple[Target, ...]
    aliases: tuple[str, ...] = ()
    strategy: Strategy = Strategy.WEIGHTED
    affinity: Affinity = Affinity.SESSION
    fallbacks: tuple[str, ...] = ()
    context_fallbacks: tuple[str, ...] = ()
    filter_fallbacks: tuple[str, ...] = ()
    retries: Retries = Retries()
    breaker: Breaker = Breaker()
    hedge: Hedge | None = None
    price: Price | None = None
    capabilities: Capabilities = Capabilities()
    created: int = 0


class DialectPolicy(StrEnum):
    """What becomes of a tuning field that a request's provider cannot be told."""

    LENIENT = "lenient"
    """It is left out, and named in the answer's `x-tollway-dropped`."""
    STRICT = "strict"
    """The request is refused."""


class Bodies(StrEnum):
    """How much of requests and answers the request log keeps."""

    FULL = "full"
    MASKED = "masked"
    """Personal data and secrets are replaced when the body is written."""
    NONE = "none"


class Logging(msgspec.Struct, frozen=True, kw_only=True):
    """What the request log keeps of a project, and for how many days (1, 7, 30, 90 or 365)."""

    bodies: Bodies = Bodies.FULL
    retention_days: int = 30


class CacheScope(StrEnum):
    """Whose answers a project may be given from the cache."""

    PROJECT = "project"
    """Its own alone."""
    ORGANISATION = "organisation"
    """Those of every project of the organisation that chose the same."""


class Caching(msgspec.Struct, frozen=True, kw_only=True):
    """Whether answers are kept and given again. `similarity` None: only to the very same request."""

    enabled: bool = False
    ttl_seconds: int = 3600
    scope: CacheScope = CacheScope.PROJECT
    similarity: float | None = None


class Priority(StrEnum):
    """Who waits when there is more than can be done."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """Whose money it is. `models` are globs of allowed model names."""

    id: str
    name: str
    organisation: str
    business_unit: str
    models: tuple[str, ...] = ("*",)
    dialect_policy: DialectPolicy = DialectPolicy.LENIENT
    logging: Logging = Logging()
    caching: Caching = Caching()
    priority: Priority = Priority.INTERACTIVE
    business_unit_id: str = ""


class TokenIssuer(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer whose tokens are taken in place of a virtual key. `keys` are public JWKs; `tags` are its requests'.

    `ended` are digests of its sessions that were signed out and of which nobody knows whose they were; tokens that name
    a session and were issued before `sessions_not_before_ms` are void. `groups_claim` and `claims` are where its tokens
    name groups (`tollway.core.claims`).
    """

    name: str
    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    keys: tuple[dict[str, str], ...] = ()
    tags: dict[str, str] = {}
    ended: tuple[str, ...] = ()
    sessions_not_before_ms: int | None = None
    groups_claim: str = ""
    claims: tuple[str, ...] = ()


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """One consistent state of the configuration at (`epoch`, `version`).

    `peppers` maps a pepper's id to its 32 bytes, `index_pepper` finds imported keys. Projects are by id, providers by
    id; models are by name. `rules` are by subject: "organisation", "business_unit:<name>", "project:<id>",
    "user:<name>", "model:<name>"; those of a key are in its entry. `issuers` are by URL, as tokens have it in `iss`.
    """

    epoch: str
    version: int
    organisation: str = "default"
    providers: dict[str, Provider] = {}
    models: dict[str, Model] = {}
    projects: dict[str, Project] = {}
    peppers: dict[str, bytes] = {}
    index_pepper: bytes = b""
    rules: dict[str, Rules] = {}
    issuers: dict[str, TokenIssuer] = {}


class ProjectGrant(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody may call models: one project, all of a business unit (both by id), or every one (neither).

    `group` is the group of its issuer that gives it, empty for a grant by name.
    """

    project: str = ""
    business_unit: str = ""
    not_after_ms: int | None = None
    group: str = ""

    def covers(self, project: Project) -> bool:
        """Whether a project is among those."""
        if self.project:
            return self.project == project.id
        return not self.business_unit or self.business_unit == project.business_unit_id


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted secret of a key. `not_after_ms` (Unix milliseconds) ends a rotation's grace; None: no end."""

    digest: bytes
    pepper: str
    not_after_ms: int | None = None


class DirectoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a data plane knows of one virtual key. `public_id` may be logged; there is no secret in it, only digests.

    `user` is who the key belongs to, as people name them (an e-mail address, say); empty: nobody in particular.

    An entry with `grants` None is a key's. Else it is that of an identity, whose tokens come from an issuer: it has
    neither secrets nor a project, `key_id` is its own id, and tokens that were issued before `not_before_ms` are void.
    Of those that name no session the same holds for `sessionless_not_before_ms`, and those of a session in `ended` (a
    digest) are void whenever they were issued.
    """

    lookup: str
    public_id: str
    key_id: str
    name: str
    project: str
    version: int
    secrets: tuple[Secret, ...]
    models: tuple[str, ...] = ("*",)
    expires_ms: int | None = None
    revoked: bool = False
    tags: dict[str, str] = {}
    user: str = ""
    rules: Rules | None = None
    grants: tuple[ProjectGrant, ...] | None = None
    not_before_ms: int | None = None
    sessionless_not_before_ms: int | None = None
    ended: tuple[str, ...] = ()


def encode(value: Catalog | DirectoryEntry) -> bytes:
    """The wire form of a catalog or an entry (MessagePack), before sealing."""
    return msgspec.msgpack.encode(value)


def decode_catalog(raw: bytes) -> Catalog:
    """A catalog from its wire form. Fields that a newer control plane added are ignored."""
    return msgspec.msgpack.decode(raw, type=Catalog)


def decode_entry(raw: bytes) -> DirectoryEntry:
    """A directory entry from its wire form."""
    return msgspec.msgpack.decode(raw, type=DirectoryEntry)


def glob_match(pattern: str, name: str) -> bool:
    """Whether `name` matches a glob in which `*` stands for any characters and everything else for itself."""
    head, star, rest = pattern.partition("*")
    if not star:
        return pattern == name
    if not name.startswith(head):
        return False
    position = len(head)
    *middle, tail = rest.split("*")
    for part in middle:
        found = name.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return len(name) - len(tail) >= position and name.endswith(tail)
