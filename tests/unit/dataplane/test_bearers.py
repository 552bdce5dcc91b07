"""Tokens in place of keys: what verifies them, whose they are, and for which project. Nothing else is let through."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tollway.core import ids
from tollway.core.bearer import TYPES, TokenRefused, algorithm_of, choose_key, session_digest, session_of
from tollway.core.catalog import Catalog, DirectoryEntry, Project, ProjectGrant, TokenIssuer, encode
from tollway.core.errors import Code, TollwayError
from tollway.core.rules import Limit, Measure, Rules
from tollway.dataplane.admission.chain import chain_of
from tollway.dataplane.config import bearers
from tollway.dataplane.config.directory import Directory, Principal
from tollway.dataplane.config.holder import CatalogHolder
from tollway.dataplane.pipeline.authenticate import principal_of
from tollway.dataplane.stores.memory_directory import MemoryDirectory
from tollway.dataplane.stores.ports import Change, Marker
from tollway.runtime.seal import Sealer, entry_place

EPOCH = "e1"
PEPPER = b"p" * 32
SEALER = Sealer([b"k" * 32])
ISSUER = "https://login.example.com"
NOW = 1_800_000_000
PROJECTS = {
    "a": Project(id="a", name="alpha", organisation="o", business_unit="retail", business_unit_id="u1"),
    "b": Project(id="b", name="beta", organisation="o", business_unit="retail", business_unit_id="u1"),
    "c": Project(id="c", name="gamma", organisation="o", business_unit="labs", business_unit_id="u2"),
}
LIMIT = Limit(id="l", scope="user", subject="pat", measure=Measure.REQUESTS, amount=1, window_seconds=60)
RULES = {"user:pat@example.com": Rules(limits=(LIMIT,))}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = float(NOW)

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


@cache
def signer(kid: str) -> tuple[Any, str, dict[str, str]]:
    """A private key, its algorithm and its public JWK."""
    if kid.startswith("ed"):
        edwards = Ed25519PrivateKey.generate()
        shown = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(edwards.public_key()))
        return edwards, "EdDSA", {**shown, "kid": kid}
    elliptic = generate_private_key(SECP256R1())
    shown = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(elliptic.public_key()))
    return elliptic, "ES256", {**shown, "kid": kid}


def token(kid: str = "one", **claims: Any) -> str:
    """A token of the issuer; claims that are None are left out."""
    private, algorithm, _ = signer(kid)
    known = {"iss": ISSUER, "aud": "models", "sub": "pat", "iat": NOW, "exp": NOW + 600, **claims}
    said = {name: value for name, value in known.items() if value is not None}
    return jwt.encode(said, private, algorithm=algorithm, headers={"kid": kid})


class Scene:
    """A directory with the user `pat`, who has `grants`."""

    def __init__(self, *grants: ProjectGrant) -> None:
        self.clock = Clock()
        self.store = MemoryDirectory()
        self.holder = CatalogHolder()
        self.directory = Directory(self.store, self.holder, SEALER, self.clock, capacity=10, max_stale_seconds=3600)
        self.swap(1)
        self.directory.begin_epoch(EPOCH)
        self.directory.heard()
        self.grants = grants

    def swap(
        self, version: int, *, kids: Sequence[str] = ("one", "ed-two"), taken: bool = True, **issuer_more: Any
    ) -> None:
        """Another catalog."""
        keys = tuple(signer(kid)[2] for kid in kids)
        issuer = TokenIssuer(
            name="corp",
            issuer=ISSUER,
            audiences=("models",),
            algorithms=("ES256", "EdDSA"),
            keys=keys,
            tags={"t": "1"},
            **issuer_more,
        )
        self.holder.swap(
            Catalog(
                epoch=EPOCH,
                version=version,
                projects=PROJECTS,
                peppers={"a": PEPPER},
                index_pepper=PEPPER,
                rules=RULES,
                issuers={ISSUER: issuer} if taken else {},
            )
        )

    def change(self, version: int, **more: Any) -> Change:
        """The user's entry as it is pushed."""
        lookup = ids.identity_lookup(PEPPER, ISSUER, "pat")
        fields = {"grants": self.grants, "user": "pat@example.com", **more}
        entry = DirectoryEntry(
            lookup=lookup,
            public_id="",
            key_id="identity",
            name="pat",
            project="",
            version=version,
            secrets=(),
            **fields,
        )
        return Change(lookup, version, SEALER.seal(encode(entry), entry_place(EPOCH, lookup, version)))

    async def known(self, **more: Any) -> Scene:
        """The store has the user."""
        await self.store.apply(EPOCH, [self.change(1, **more)])
        await self.store.set_marker(Marker(EPOCH, 1, complete=True))
        return self

    async def ask(self, presented: str, project: str | None = None) -> Principal:
        """Who that is."""
        headers = {"Authorization": f"Bearer {presented}"} | ({"x-tollway-project": project} if project else {})
        found = principal_of(self.directory, headers)
        return found if isinstance(found, Principal) else await found

    async def refusal(self, presented: str, project: str | None = None) -> TollwayError:
        """Why that is refused."""
        with pytest.raises(TollwayError) as caught:
            await self.ask(presented, project)
        return caught.value


ALPHA = ProjectGrant(project="a")


async def test_a_token_is_its_user_in_the_project_with_the_rules_of_both() -> None:
    scene = await Scene(ALPHA).known()
    for presented in (token(), token("ed-two")):
        principal = await scene.ask(presented)
        assert principal.project is PROJECTS["a"]
        assert (principal.entry.key_id, principal.entry.user, principal.entry.tags) == (
            "identity",
            "pat@example.com",
            {"t": "1"},
        )
        assert principal.entry.project == "a"
        assert [limit.id for limit, _ in chain_of(principal).limits] == ["l"]
    assert principal_of(scene.directory, {"x-api-key": token()}) is principal  # at once, and the same one


async def test_a_verified_token_is_checked_against_time_and_user_each_time() -> None:
    scene = await Scene(ALPHA).known()
    presented = token()
    await scene.ask(presented)
    scene.directory.push([scene.change(2, revoked=True)])
    assert (await scene.refusal(presented)).code is Code.KEY_REVOKED
    scene.directory.push([scene.change(3, not_before_ms=NOW * 1000 + 1)])
    assert (await scene.refusal(presented)).code is Code.KEY_REVOKED
    scene.directory.push([scene.change(4, not_before_ms=NOW * 1000)])
    await scene.ask(presented)
    scene.directory.push([scene.change(5, grants=())])
    assert (await scene.refusal(presented)).code is Code.PROJECT_NOT_ALLOWED
    scene.directory.push([scene.change(6)])
    scene.clock.seconds = NOW + 600 + 29
    await scene.ask(presented)
    scene.clock.seconds = NOW + 600 + 30
    assert (await scene.refusal(presented)).code is Code.KEY_EXPIRED
    assert (await scene.refusal(presented)).code is Code.KEY_EXPIRED


async def test_who_signed_out_is_refused_by_session_and_by_time() -> None:
    scene = await Scene(ALPHA).known()
    bare, mine, other = token(), token(sid="s-1"), token(sid="s-2")
    for presented in (bare, mine, other):
        await scene.ask(presented)
    floor = NOW * 1000 + 1
    scene.directory.push([scene.change(2, ended=(session_digest("s-1"),), sessionless_not_before_ms=floor)])
    for presented in (bare, mine):
        refused = await scene.refusal(presented)
        assert (refused.code, "signed out" in refused.message) == (Code.KEY_REVOKED, True)
    await scene.ask(other)
    await scene.ask(token(iat=NOW + 1))
    assert (await scene.refusal(token(sid="s-1", iat=NOW + 1))).code is Code.KEY_REVOKED
    scene.directory.push([scene.change(3, not_before_ms=floor)])
    for presented in (bare, mine, other):
        assert (await scene.refusal(presented)).code is Code.KEY_REVOKED
    await scene.ask(token(sid="s-2", iat=NOW + 1))


async def test_sessions_of_nobody_that_is_known_end_with_their_issuer() -> None:
    scene = await Scene(ALPHA).known()
    mine, other, bare = token(sid="s-1"), token(sid="s-2"), token()
    await scene.ask(mine)
    scene.swap(2, ended=(session_digest("s-1"),))
    assert (await scene.refusal(mine)).code is Code.KEY_REVOKED
    await scene.ask(other)
    await scene.ask(bare)  # it names no session, and so none that has ended
    scene.swap(3, sessions_not_before_ms=NOW * 1000 + 1)
    assert (await scene.refusal(other)).code is Code.KEY_REVOKED
    await scene.ask(bare)
    await scene.ask(token(sid="s-2", iat=NOW + 1))


@pytest.mark.parametrize("sid", [None, 7, ["s"], {"s": 1}, True, "", "s" * 257, "s\0", "\ud800"])
def test_what_is_no_session_names_none(sid: Any) -> None:
    assert session_of({"sid": sid}) == ""
    assert session_digest("") == ""


@pytest.mark.parametrize("kind", [[], ["JWT"], {"a": 1}, 7, True, "secevent+jwt", ""])
def test_a_type_of_any_form_is_refused_and_breaks_nothing(kind: Any) -> None:
    with pytest.raises(TokenRefused, match="another kind"):
        algorithm_of({"alg": "ES256", "typ": kind}, ("ES256",), TYPES)


def test_a_key_whose_verification_takes_long_is_not_used() -> None:
    # Of 16,384 bits; not a product of primes, which nobody looks at before a signature is there.
    modulus = ((1 << 16_383) + 1).to_bytes(2048, "big")
    shown = {"kty": "RSA", "kid": "k", "n": jwt.utils.base64url_encode(modulus).decode(), "e": "AQAB"}
    assert choose_key([shown], "k", "RS256") is None
    shown["n"] = jwt.utils.base64url_encode(((1 << 2047) + 1).to_bytes(256, "big")).decode()
    assert choose_key([shown], "k", "RS256") is not None
    assert choose_key([shown, shown], "k", "RS256") is None  # two of one name


async def test_what_was_verified_is_forgotten_when_issuer_or_keys_change_and_only_then() -> None:
    scene = await Scene(ALPHA).known()
    presented = token()
    await scene.ask(presented)
    scene.swap(2)
    assert len(scene.directory.bearers._verified) == 1
    scene.swap(3, kids=("ed-two",))
    assert "key is not one of its issuer's" in (await scene.refusal(presented)).message
    scene.swap(4, kids=())
    assert (await scene.refusal(presented)).code is Code.DIRECTORY_UNAVAILABLE
    scene.swap(5)
    await scene.ask(presented)
    scene.swap(6, taken=False)
    assert (await scene.refusal(presented)).code is Code.INVALID_API_KEY


async def test_who_is_not_known_is_told_to_sign_in_once_the_directory_is_complete() -> None:
    scene = Scene()
    assert (await scene.refusal(token())).code is Code.DIRECTORY_UNAVAILABLE
    await scene.store.set_marker(Marker(EPOCH, 1, complete=True))
    refused = await scene.refusal(token())
    assert refused.code is Code.PROJECT_NOT_ALLOWED
    assert "Sign in to the portal once" in refused.message


async def test_a_grant_ends_by_itself_and_a_choice_without_a_name_is_made_anew() -> None:
    short = ProjectGrant(project="b", not_after_ms=(NOW + 60) * 1000)
    scene = await Scene(ALPHA, short).known()
    presented = token()
    assert (await scene.refusal(presented)).param == "x-tollway-project"
    assert (await scene.ask(presented, "beta")).project.name == "beta"
    scene.clock.seconds += 60
    scene.directory.heard()
    assert (await scene.refusal(presented, "beta")).code is Code.PROJECT_NOT_ALLOWED
    assert (await scene.ask(presented)).project.name == "alpha"


async def test_what_one_token_denies_another_does_not() -> None:
    scene = Scene(ProjectGrant(project="a", group="models"), ProjectGrant(project="c"))
    scene.swap(2, groups_claim="groups")
    await scene.known()
    assert (await scene.ask(token(), "alpha")).project.name == "alpha"
    refused = await scene.refusal(token(groups=[]), "alpha")
    assert refused.message.endswith("Granted: gamma.")
    assert (await scene.ask(token(groups=[]))).project.name == "gamma"
    assert (await scene.ask(token(groups=["models"]), "alpha")).project.name == "alpha"


async def test_groups_of_tokens_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bearers, "MAX_GROUPS", 10)
    scene = Scene(ALPHA)
    scene.swap(2, groups_claim="groups")
    await scene.known()
    held = scene.directory.bearers
    for number in range(5):
        await scene.ask(token(n=number, groups=[f"{number}-{n}" for n in range(4)]))
    assert len(held._verified) == 2
    assert held._groups == 8
    scene.clock.seconds += 700
    scene.directory.heard()
    assert (await scene.refusal(token(n=4, groups=[f"4-{n}" for n in range(4)]))).code is Code.KEY_EXPIRED
    await scene.ask(token(groups=[str(n) for n in range(11)], iat=NOW + 700, exp=NOW + 800))
    assert (len(held._verified), held._groups) == (0, 0), "one that names more is not remembered"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW + 3601}, "more than 1 hour"),
        ({"exp": None}, "it has no exp"),
        ({"iat": None}, "it has no iat"),
        ({"sub": None}, "it has no sub"),
        ({"aud": None}, "it has no aud"),
        ({"aud": "other"}, "its audience is another one"),
        ({"nbf": NOW + 31}, "it is not valid yet"),
        ({"iat": NOW + 31}, "it was issued in the future"),
        ({"iss": "https://else.example.com"}, "its issuer is not known here"),
        ({"sub": "p\u0000at"}, "it names no subject"),
        ({"sub": "p" * 256}, "it names no subject"),
        ({"exp": True}, "is not a time"),
    ],
)
async def test_a_token_that_lacks_something_is_refused(claims: dict[str, Any], why: str) -> None:
    refused = await (await Scene(ALPHA).known()).refusal(token(**claims))
    assert refused.code is Code.INVALID_API_KEY
    assert why in refused.message


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bearers, "MAX_VERIFIED", 3)
    monkeypatch.setattr(bearers, "MAX_PRINCIPALS", 2)
    scene = await Scene(ProjectGrant()).known()
    for number in range(5):
        await scene.ask(token(n=number), ("alpha", "beta", "gamma")[number % 3])
    assert len(scene.directory.bearers._verified) == 3
    assert len(scene.directory.bearers._principals) <= 2


GRANTS = st.builds(
    ProjectGrant,
    project=st.sampled_from(["", "a", "c", "gone"]),
    business_unit=st.just(""),
    not_after_ms=st.sampled_from([None, (NOW - 1) * 1000, (NOW + 1) * 1000]),
) | st.builds(ProjectGrant, business_unit=st.sampled_from(["u1", "u2", "u3"]))


@given(st.lists(GRANTS, max_size=3), st.sampled_from([None, "alpha", "a", "beta", "gamma", "gone", ""]))
async def test_a_project_is_used_only_if_some_grant_in_force_covers_it(
    grants: list[ProjectGrant], named: str | None
) -> None:
    scene = await Scene(*grants).known()
    force = [grant for grant in grants if grant.not_after_ms is None or grant.not_after_ms > NOW * 1000]
    granted = {
        project.name
        for project in PROJECTS.values()
        if any(
            (not g.project and not g.business_unit)
            or g.project == project.id
            or (not g.project and g.business_unit == project.business_unit_id)
            for g in force
        )
    }
    wanted = {"a": "alpha"}.get(named or "", named)
    if (wanted and wanted in granted) or (not wanted and len(granted) == 1):
        assert (await scene.ask(token(), named)).project.name == (wanted or granted.pop())
        return
    refused = await scene.refusal(token(), named)
    several = not wanted and len(granted) > 1
    assert refused.code is (Code.INVALID_REQUEST if several else Code.PROJECT_NOT_ALLOWED)
    assert all(name in refused.message for name in granted)


@given(st.text(max_size=60) | st.from_regex(r"ey[A-Za-z0-9_=-]{0,40}\.[A-Za-z0-9_=-]{0,40}\.[A-Za-z0-9_=-]{0,20}"))
async def test_nothing_that_was_not_signed_is_let_through(presented: str) -> None:
    scene = await Scene(ProjectGrant()).known()
    assert (await scene.refusal(presented)).code in (Code.INVALID_API_KEY, Code.INVALID_REQUEST)


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_the_name_of_an_entry_is_of_one_identity(issuer: str, subject: str, other: str, another: str) -> None:
    same = ids.identity_lookup(PEPPER, issuer, subject) == ids.identity_lookup(PEPPER, other, another)
    assert same is ((issuer, subject) == (other, another))
    assert ids.identity_lookup(PEPPER, issuer, subject) != ids.identity_lookup(b"q" * 32, issuer, subject)
    assert (
        ids.identity_lookup(PEPPER, issuer + subject[:1], subject[1:]) != ids.identity_lookup(PEPPER, issuer, subject)
        or not subject
    )
