"""`tollway providers`: where models are served, and the keys for them. Provider keys are never arguments."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tollway.cli.exits import Failure, Usage
from tollway.cli.output import show_list, show_one
from tollway.cli.routing import CONCURRENT, PROBE, REQUESTS, TOKENS, parse_probe, parse_quota
from tollway.cli.shared import Etag, Force, Limit, Output, chosen, client, confirm, read_secret

if TYPE_CHECKING:
    from tollway.sdk.models import Provider

app = typer.Typer(
    no_args_is_help=True,
    help="Providers: create, list, show, check, update, archive; add-, update-, rotate- and remove-credential.",
)
COLUMNS = ("name", "kind", "base_url", "credentials", "created_at", "id")
PROVIDER = Annotated[str, typer.Argument(help="id or name", metavar="PROVIDER")]
CREDENTIAL = Annotated[str, typer.Argument(help="id or name", metavar="CREDENTIAL")]
BASE_URL = Annotated[str | None, typer.Option("--base-url", help="optional where the kind has a well-known one")]
API_VERSION = Annotated[str | None, typer.Option("--api-version", help="azure_openai")]
HANGUP = Annotated[str | None, typer.Option("--hangup", help="close or drain calls whose client has left")]
VERIFY = Annotated[
    bool,
    typer.Option("--verify/--no-verify", help="ask the provider first, and save nothing when it refuses the key"),
]
API_KEY_ENV = Annotated[str, typer.Option("--api-key-env", help="variable that holds the key; else standard input")]


@app.command()
def create(
    name: str,
    kind: Annotated[str, typer.Option("--kind", help="openai, azure_openai, anthropic, huggingface, vllm, ...")],
    base_url: BASE_URL = None,
    api_version: API_VERSION = None,
    hangup: HANGUP = None,
    probe: PROBE = None,
    api_key_env: API_KEY_ENV = "",
    verify: VERIFY = True,
    output: Output = None,
) -> None:
    """Registers a provider; with --api-key-env also its first credential, named `main`."""
    from tollway.sdk.models import NewCredential

    credentials = [NewCredential(name="main", api_key=read_secret("API key", api_key_env))] if api_key_env else []
    with client() as tollway:
        made = tollway.providers.create(
            name,
            kind,
            base_url=base_url or "",
            api_version=api_version or "",
            hangup=hangup or "",
            probe_seconds=parse_probe(probe),
            credentials=credentials,
            verify=verify and bool(credentials),
        )
    show_one(made, chosen(output))
    _tell(made, "main", verify and bool(credentials))


def _tell(provider: Provider, credential: str, verified: bool) -> None:
    """Says on standard error when a key was saved that the provider has not taken."""
    found = next((c.check for c in provider.credentials if credential in (c.name, c.id)), None)
    if verified and found is not None and found.outcome != "accepted":
        print(f"saved, but {found.detail}", file=sys.stderr)


@app.command()
def check(
    provider: PROVIDER,
    credential: Annotated[str, typer.Option("--credential", help="id or name of one; else all")] = "",
    output: Output = None,
) -> None:
    """Asks a provider whether it takes its keys; exits with 1 when it refuses one."""
    with client() as tollway:
        found = tollway.providers.check(provider, credential)
    show_list(found, ("credential", "outcome", "status", "detail", "checked_at"), chosen(output))
    if any(one.outcome in ("refused", "blocked") for one in found):
        raise Failure("not every key is accepted")


@app.command("list")
def list_(limit: Limit = 1000, output: Output = None) -> None:
    """Lists providers."""
    with client() as tollway:
        show_list(tollway.providers.list(limit=limit), COLUMNS, chosen(output))


@app.command()
def show(provider: PROVIDER, output: Output = None) -> None:
    """Shows a provider; credentials without their values."""
    with client() as tollway:
        show_one(tollway.providers.get(provider), chosen(output))


@app.command()
def update(
    provider: PROVIDER,
    base_url: BASE_URL = None,
    api_version: API_VERSION = None,
    hangup: HANGUP = None,
    probe: PROBE = None,
    connect: Annotated[float | None, typer.Option(help="seconds to connect")] = None,
    first_byte: Annotated[float | None, typer.Option(help="seconds to the first byte")] = None,
    between_chunks: Annotated[float | None, typer.Option(help="seconds between chunks")] = None,
    total: Annotated[float | None, typer.Option(help="seconds for the whole call")] = None,
    etag: Etag = "",
    output: Output = None,
) -> None:
    """Changes what is given; the rest stays. Of the four timeouts those that are not given become the defaults."""
    from tollway.sdk.models import Timeouts

    limits = (connect, first_byte, between_chunks, total)
    timeouts = None
    if any(limit is not None for limit in limits):
        timeouts = Timeouts(
            connect_seconds=connect,
            first_byte_seconds=first_byte,
            between_chunks_seconds=between_chunks,
            total_seconds=total,
        )
    if all(given is None for given in (base_url, api_version, hangup, probe, timeouts)):
        raise Usage("nothing to change: give --base-url, --api-version, --hangup, --probe or a timeout")
    with client() as tollway:
        changed = tollway.providers.update(
            provider,
            base_url=base_url,
            api_version=api_version,
            timeouts=timeouts,
            hangup=hangup,
            probe_seconds=parse_probe(probe),
            etag=etag,
        )
    show_one(changed, chosen(output))


@app.command()
def archive(provider: PROVIDER, yes: Force = False, etag: Etag = "", output: Output = None) -> None:
    """Archives a provider that no model has as a target."""
    confirm(f"Archive the provider {provider}?", yes)
    with client() as tollway:
        show_one(tollway.providers.archive(provider, etag=etag), chosen(output))


@app.command("add-credential")
def add_credential(
    provider: PROVIDER,
    name: Annotated[str, typer.Argument(help="unique in the provider")],
    api_key_env: API_KEY_ENV = "",
    weight: Annotated[int, typer.Option("--weight", min=0, max=10_000, help="0: the default of 1")] = 0,
    requests: REQUESTS = None,
    tokens: TOKENS = None,
    concurrent: CONCURRENT = None,
    verify: VERIFY = True,
    output: Output = None,
) -> None:
    """Adds a provider key, read from --api-key-env, standard input or a prompt."""
    from tollway.sdk.models import NewCredential

    quota = parse_quota(requests, tokens, concurrent)
    credential = NewCredential(name=name, api_key=read_secret("API key", api_key_env), weight=weight, quota=quota)
    with client() as tollway:
        made = tollway.providers.add_credential(provider, credential, verify=verify)
    show_one(made, chosen(output))
    _tell(made, name, verify)


@app.command("update-credential")
def update_credential(
    provider: PROVIDER,
    credential: CREDENTIAL,
    weight: Annotated[int | None, typer.Option("--weight", min=1, max=10_000)] = None,
    requests: REQUESTS = None,
    tokens: TOKENS = None,
    concurrent: CONCURRENT = None,
    no_quota: Annotated[bool, typer.Option("--no-quota", help="takes the quota away")] = False,
    output: Output = None,
) -> None:
    """Changes weight or quota of a provider key; of the three parts of a quota those that are not given go."""
    from tollway.sdk.routing import Quota

    quota = parse_quota(requests, tokens, concurrent)
    if no_quota and quota is not None:
        raise Usage("--no-quota: there is none with --requests-per-minute, --tokens-per-minute or --concurrent")
    if no_quota:
        quota = Quota()
    if weight is None and quota is None:
        raise Usage("nothing to change: give --weight, a part of the quota or --no-quota")
    with client() as tollway:
        changed = tollway.providers.update_credential(provider, credential, weight=weight, quota=quota)
    show_one(changed, chosen(output))


@app.command("rotate-credential")
def rotate_credential(
    provider: PROVIDER,
    credential: CREDENTIAL,
    api_key_env: API_KEY_ENV = "",
    verify: VERIFY = True,
    output: Output = None,
) -> None:
    """Replaces a provider key; requests in flight finish with the old one."""
    value = read_secret("API key", api_key_env)
    with client() as tollway:
        made = tollway.providers.rotate_credential(provider, credential, api_key=value, verify=verify)
    show_one(made, chosen(output))
    _tell(made, credential, verify)


@app.command("remove-credential")
def remove_credential(provider: PROVIDER, credential: CREDENTIAL, yes: Force = False, output: Output = None) -> None:
    """Removes a provider key."""
    confirm(f"Remove the credential {credential} of {provider}?", yes)
    with client() as tollway:
        show_one(tollway.providers.remove_credential(provider, credential), chosen(output))
