"""Business units, projects and virtual keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from tollway.sdk.codec import encode
from tollway.sdk.models import BusinessUnit, Key, KeyWithSecret, Project
from tollway.sdk.paging import pages, typed
from tollway.sdk.transport import Transport


def segment(name: str) -> str:
    """A name or id as one path segment."""
    return quote(name, safe="")


def present(**fields: Any) -> dict[str, Any]:
    """The fields that are not None, JSON-ready: over REST what is absent from an update stays as it is."""
    return {name: encode(value) for name, value in fields.items() if value is not None}


class BusinessUnits:
    """`/api/v1/business-units`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str, *, description: str = "") -> BusinessUnit:
        """A new unit."""
        body = present(name=name, description=description)
        return typed(BusinessUnit, self._transport.call("POST", "/api/v1/business-units", body=body))

    def get(self, business_unit: str) -> BusinessUnit:
        """The unit with this id or name."""
        return typed(BusinessUnit, self._transport.call("GET", f"/api/v1/business-units/{segment(business_unit)}"))

    def list(self, *, limit: int | None = None) -> Iterator[BusinessUnit]:
        """All units."""
        return pages(self._transport, "/api/v1/business-units", "business_units", BusinessUnit, {}, limit)

    def update(self, business_unit: str, *, description: str | None = None, etag: str = "") -> BusinessUnit:
        """Changes what is given; with `etag`, only if nobody changed the unit since."""
        body = present(description=description, etag=etag or None)
        path = f"/api/v1/business-units/{segment(business_unit)}"
        return typed(BusinessUnit, self._transport.call("PATCH", path, body=body))

    def archive(self, business_unit: str, *, etag: str = "") -> BusinessUnit:
        """Archives the unit; refused while it has projects."""
        path = f"/api/v1/business-units/{segment(business_unit)}"
        return typed(BusinessUnit, self._transport.call("DELETE", path, query={"etag": etag}))


class Projects:
    """`/api/v1/projects`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        name: str,
        *,
        description: str = "",
        business_unit: str = "",
        models: Sequence[str] = (),
        dialect_policy: str = "",
        log_bodies: str = "",
        log_retention_days: int = 0,
        cache_enabled: bool = False,
        cache_ttl_seconds: int = 0,
        cache_scope: str = "",
        cache_similarity: float | None = None,
        priority: str = "",
        key_lifetime_days: int | None = None,
        max_keys: int | None = None,
        max_keys_per_user: int | None = None,
    ) -> Project:
        """A new project; without `business_unit` in the unit `default`, without `models` for all models.

        `dialect_policy` is `lenient` (default) or `strict`; `log_bodies` is `full` (default), `masked` or `none`, kept
        for `log_retention_days` (1, 7, 30, 90 or 365; 0: 30). `cache_enabled` keeps answers for `cache_ttl_seconds` (0:
        3600) and gives them again to the same request, or to one that is alike by `cache_similarity` (0.5 to 0.999), of
        the same `project` (default) or `organisation` (`cache_scope`). `priority` is `interactive` or `batch`. Keys
        have to expire within `key_lifetime_days`; `max_keys` of them may be active, `max_keys_per_user` of one person.
        """
        body = present(
            name=name,
            description=description,
            business_unit=business_unit,
            models=list(models),
            dialect_policy=dialect_policy,
            log_bodies=log_bodies,
            log_retention_days=log_retention_days,
            cache_enabled=cache_enabled,
            cache_ttl_seconds=cache_ttl_seconds,
            cache_scope=cache_scope,
            cache_similarity=cache_similarity,
            priority=priority,
            key_lifetime_days=key_lifetime_days,
            max_keys=max_keys,
            max_keys_per_user=max_keys_per_user,
        )
        return typed(Project, self._transport.call("POST", "/api/v1/projects", body=body))

    def get(self, project: str) -> Project:
        """The project with this id or name."""
        return typed(Project, self._transport.call("GET", f"/api/v1/projects/{segment(project)}"))

    def list(self, *, business_unit: str = "", limit: int | None = None) -> Iterator[Project]:
        """All projects, or those of one unit."""
        query = {"business_unit": business_unit}
        return pages(self._transport, "/api/v1/projects", "projects", Project, query, limit)

    def update(
        self,
        project: str,
        *,
        description: str | None = None,
        business_unit: str | None = None,
        models: Sequence[str] | None = None,
        dialect_policy: str | None = None,
        log_bodies: str | None = None,
        log_retention_days: int | None = None,
        cache_enabled: bool | None = None,
        cache_ttl_seconds: int | None = None,
        cache_scope: str | None = None,
        cache_similarity: float | Literal[False] | None = None,
        priority: str | None = None,
        key_lifetime_days: int | Literal[False] | None = None,
        max_keys: int | Literal[False] | None = None,
        max_keys_per_user: int | Literal[False] | None = None,
        etag: str = "",
    ) -> Project:
        """Changes what is given; with `etag`, only if nobody changed the project since.

        `cache_similarity=False`: answers are given again only to the very same request. False for one of the last
        three: it is asked of keys no more.
        """
        policy = {"key_lifetime_days": key_lifetime_days, "max_keys": max_keys, "max_keys_per_user": max_keys_per_user}
        body = present(
            description=description,
            business_unit=business_unit,
            models=models,
            dialect_policy=dialect_policy,
            log_bodies=log_bodies,
            log_retention_days=log_retention_days,
            cache_enabled=cache_enabled,
            cache_ttl_seconds=cache_ttl_seconds,
            cache_scope=cache_scope,
            cache_similarity=None if cache_similarity is False else cache_similarity,
            priority=priority,
            etag=etag or None,
        )
        body |= {name: value or None for name, value in policy.items() if value is not None}
        if cache_similarity is False:
            body["cache_similarity"] = None
        return typed(Project, self._transport.call("PATCH", f"/api/v1/projects/{segment(project)}", body=body))

    def archive(self, project: str, *, etag: str = "") -> Project:
        """Archives the project: its keys are refused from then on, its ledger history stays."""
        path = f"/api/v1/projects/{segment(project)}"
        return typed(Project, self._transport.call("DELETE", path, query={"etag": etag}))


class Keys:
    """`/api/v1/keys`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        project: str,
        name: str,
        *,
        models: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        expires_at: datetime | None = None,
        value: str = "",
        user: str = "",
    ) -> KeyWithSecret:
        """A new key, with its secret; `value` imports an existing secret instead of generating one, `user` is who the
        key belongs to.
        """
        body = present(
            project=project,
            name=name,
            models=list(models),
            tags=dict(tags or {}),
            expires_at=expires_at,
            value=value or None,
            user=user or None,
        )
        return typed(KeyWithSecret, self._transport.call("POST", "/api/v1/keys", body=body))

    def get(self, key: str) -> Key:
        """The key with this id or public id."""
        return typed(Key, self._transport.call("GET", f"/api/v1/keys/{segment(key)}"))

    def list(self, *, project: str = "", include_revoked: bool = False, limit: int | None = None) -> Iterator[Key]:
        """Keys, of one project or of all."""
        query = {"project": project, "include_revoked": include_revoked}
        return pages(self._transport, "/api/v1/keys", "keys", Key, query, limit)

    def update(
        self,
        key: str,
        *,
        models: Sequence[str] | None = None,
        tags: Mapping[str, str] | None = None,
        expires_at: datetime | None = None,
        user: str | None = None,
        etag: str = "",
    ) -> Key:
        """Changes what is given; with `etag`, only if nobody changed the key since. `user` "": nobody's."""
        body = present(models=models, tags=tags, expires_at=expires_at, user=user, etag=etag or None)
        return typed(Key, self._transport.call("PATCH", f"/api/v1/keys/{segment(key)}", body=body))

    def rotate(self, key: str, *, grace_seconds: int = 0, etag: str = "") -> KeyWithSecret:
        """A second secret for the key; the present one stays valid for the grace."""
        body = present(grace_seconds=str(grace_seconds), etag=etag or None)
        return typed(KeyWithSecret, self._transport.call("POST", f"/api/v1/keys/{segment(key)}:rotate", body=body))

    def end_grace(self, key: str, *, etag: str = "") -> Key:
        """Ends the grace of a rotation now: the newest secret alone stays valid."""
        body = present(etag=etag or None)
        return typed(Key, self._transport.call("POST", f"/api/v1/keys/{segment(key)}:endGrace", body=body))

    def revoke(self, key: str, *, etag: str = "") -> Key:
        """Ends the key for good; repeating it changes nothing."""
        body = present(etag=etag or None)
        return typed(Key, self._transport.call("POST", f"/api/v1/keys/{segment(key)}:revoke", body=body))
