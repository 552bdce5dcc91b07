"""Bearer tokens of issuers on the management API, and every way to forge one: all of them end in a clear 401."""

from __future__ import annotations

import json
from typing import Any

import grpc
import jwt
import pytest

from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.signin.tokens import token_digest
from tollway.testkit.oidc_provider import AUDIENCE, CLI_CLIENT, SigningKey, signing_key
from tollway.testkit.token_attacks import ATTACKS, WHY, encoded, good, other_key

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_forged_token_is_refused_and_says_why(rig: Any, attack: str) -> None:
    token = ATTACKS[attack](rig.corp, rig.other)
    answer = await rig.call(token)
    assert answer.status == 401, (attack, answer.body)
    assert answer.error["code"] == "unauthenticated"
    assert answer.error["message"].startswith("the token is not valid")
    assert WHY.get(attack, "") in answer.error["message"]
    assert token not in answer.error["message"]
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_token_that_is_too_large_is_not_even_read(rig: Any) -> None:
    with pytest.raises(ApiError, match="too large") as refused:
        await rig.plane.signin.bearer(rig.corp.token({"padding": "x" * 20_000}), "127.0.0.1")
    assert refused.value.code is ApiCode.UNAUTHENTICATED


async def test_the_token_that_the_attacks_are_made_of_is_taken(rig: Any) -> None:
    """Else all of them could be refused for another reason than the one that they are named for."""
    assert (await rig.call(rig.corp.token())).status == 200
    assert (await rig.call(rig.other.token({"aud": ["https://another.example", AUDIENCE]}))).status == 200
    assert (await rig.call(rig.corp.token({"aud": CLI_CLIENT}))).status == 200


async def test_the_first_thousand_bytes_of_a_verified_token_prove_nothing(rig: Any) -> None:
    verified = rig.corp.token({"aaa": "x" * 2000, "sub": "victim"})
    assert (await rig.call(verified)).status == 200
    head, body, signature = verified.split(".")
    for forged in (
        f"{head}.{body}.{'A' * len(signature)}",
        f"{head}.{body[:-40]}{encoded(b'x' * 30)}.{signature}",
        verified[:-1] + ("A" if verified[-1] != "A" else "B"),
        verified[:1000] + "A" * (len(verified) - 1000),
    ):
        assert forged[:1000] == verified[:1000]
        assert (await rig.call(forged)).status == 401
    assert token_digest(verified) != token_digest(f"{head}.{body}.{'A' * len(signature)}")


async def test_a_token_is_verified_once_and_refused_once_it_has_expired(rig: Any, clock: Any) -> None:
    token = rig.corp.token({"sub": "once"})
    assert (await rig.call(token)).status == 200
    assert (await rig.call(token)).status == 200
    clock.later(700)
    answer = await rig.call(token)
    assert (answer.status, answer.error["message"]) == (401, "the token is not valid: it has expired")


async def test_unknown_keys_make_one_request_of_the_provider_in_an_interval(rig: Any) -> None:
    await rig.call(rig.corp.token())
    rig.clock.wait(11)
    before = rig.corp.key_requests()
    for number in range(20):
        assert (await rig.call(other_key(rig.corp, kid=f"unknown-{number}"))).status == 401
    assert rig.corp.key_requests() - before == 1


async def test_keys_rotate(rig: Any) -> None:
    old = rig.corp.token({"sub": "rota"})
    assert (await rig.call(old)).status == 200
    rig.corp.rotate("next", "first")
    rig.clock.wait(11)
    assert (await rig.call(rig.corp.token({"sub": "rota"}))).status == 200
    rig.corp.rotate("next")
    rig.clock.wait(601)  # the next look at the keys
    assert (await rig.call(rig.corp.token({"sub": "rota2"}))).status == 200
    withdrawn = jwt.encode(good(rig.corp), signing_key("first").private, algorithm="RS256", headers={"kid": "first"})
    assert (await rig.call(withdrawn)).status == 401
    rig.corp.rotate("first")
    rig.clock.wait(601)


async def test_two_issuers_may_call_their_keys_the_same(rig: Any) -> None:
    known = rig.other.keys
    rig.other.publish(SigningKey(rig.corp.keys[0].kid, known[0].private))
    try:
        rig.clock.wait(601)
        for one, another in ((rig.corp, rig.other), (rig.other, rig.corp)):
            assert (await rig.call(one.token({"sub": "same"}))).status == 200
            answer = await rig.call(one.token({"sub": "same", "iss": another.url}))
            assert (answer.status, "signature is not valid" in answer.error["message"]) == (401, True)
    finally:
        rig.other.publish(*known)
        rig.clock.wait(601)


async def test_tokens_of_an_issuer_that_is_down_are_verified_with_the_keys_that_are_known(rig: Any) -> None:
    assert (await rig.call(rig.corp.token({"sub": "before"}))).status == 200
    rig.corp.down()
    try:
        rig.clock.wait(601)
        assert (await rig.call(rig.corp.token({"sub": "during"}))).status == 200
    finally:
        rig.corp.down(False)


async def test_machines_use_client_credentials_on_rest_and_grpc(rig: Any) -> None:
    from tollway.testkit.oidc_provider import MACHINE, MACHINE_SECRET
    from tollway.wire.contract import METHODS

    form = {"grant_type": "client_credentials", "scope": "api"}
    auth = {"client_id": MACHINE, "client_secret": MACHINE_SECRET}
    async with rig.api.session.post(f"{rig.corp.url}/token", data=form | auth) as answer:
        token = (await answer.json())["access_token"]
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert (await rig.call(token)).status == 200
    who = await rig.api.session.get(f"{rig.origin}/auth/whoami", headers={"Authorization": f"Bearer {token}"})
    assert (await who.json())["groups"] == ["machines"]
    listing = METHODS["tollway.control.v1.ProjectService/ListProjects"].request()
    await rig.api.rpc("ProjectService/ListProjects", listing, token=token)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rig.api.rpc("ProjectService/ListProjects", listing, token=ATTACKS["wrong key"](rig.corp, rig.other))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_an_issuer_that_is_removed_is_believed_no_more(rig: Any) -> None:
    from tollway.testkit.oidc_provider import OidcProvider

    third = rig.corp._provider.issuer(key="of-the-third")
    assert isinstance(rig.corp._provider, OidcProvider)
    spec = {"name": "third", "issuer": third.url, "client_id": "x", "audiences": [AUDIENCE]}
    document = {"set": "third", "configuration": {"identity": {"issuers": [spec]}}}
    assert (await rig.api.call("POST", "configuration:apply", document)).status == 200
    rig.clock.wait(3)
    token = third.token({"sub": "third"})
    assert (await rig.call(token)).status == 200
    empty = {"set": "third", "prune": True, "configuration": {}}
    assert (await rig.api.call("POST", "configuration:apply", empty)).status == 200
    rig.clock.wait(3)
    assert (await rig.call(token)).status == 401


async def test_a_first_call_and_other_groups_are_audited_once_for_each_token(rig: Any) -> None:
    rich, poor = (
        rig.corp.token({"sub": "otto", "email": "otto@example.com", "email_verified": True, "groups": groups})
        for groups in (["readers"], [])
    )
    for token, status in ((rich, 200), (poor, 403), (rich, 200), (rich, 200), (poor, 403)):
        assert (await rig.call(token)).status == status
    events = (await rig.api.call("GET", "audit?resource=user:otto@example.com&action=users.sign_in")).body["events"]
    assert [json.loads(event["after"]) for event in reversed(events)] == [
        {"issuer": rig.corp.url, "subject": "otto"},
        {"groups": ["readers"]},
        {"groups": []},
    ]
    assert {(event["actor"], event["source"]) for event in events} == {("otto@example.com", "127.0.0.1")}
