"""What providers say of the keys that a document brings: asked before it is applied, told with the answer.

Nothing that is found here keeps a document from being applied: a provider that is down, or a key that was withdrawn
meanwhile, must not stop a roll-out. Keys of simulators are not asked about: they prove nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tollway.controlplane.call import Call, Outside
from tollway.controlplane.catalog import checks, rules
from tollway.controlplane.catalog import postgres as catalog
from tollway.controlplane.configuration.model import Configuration
from tollway.controlplane.configuration.plan import SECRET_FIELD, Action, Kind, Step
from tollway.controlplane.credentials import checking
from tollway.controlplane.credentials import postgres as credential_rows
from tollway.controlplane.credentials import service as credentials
from tollway.controlplane.credentials.checking import Checked, Outcome, Question
from tollway.controlplane.credentials.model import CredentialCheck, header_safe
from tollway.controlplane.resources import from_ms
from tollway.core.catalog import ProviderKind

_CHANGED_MEANWHILE = Checked(
    outcome=Outcome.UNCHECKED, detail="not checked: it was changed elsewhere while others were checked"
)


def questions(configuration: Configuration, steps: Sequence[Step]) -> dict[str, Question]:
    """What to ask about the keys that the plan makes or changes, by "<provider>/<credential>"."""
    wanted = set(_names(configuration, steps))
    found: dict[str, Question] = {}
    for index, provider in enumerate(configuration.providers):
        for credential in provider.credentials:
            name = f"{provider.name}/{credential.name}"
            value = header_safe(credential.api_key)
            if name not in wanted or value is None:  # such a value is refused when it is applied
                continue
            found[name] = Question(
                kind=ProviderKind(provider.kind),
                base_url=rules.base_url(provider.kind, provider.base_url, f"configuration.providers[{index}].base_url"),
                api_version=provider.api_version,
                api_key=value,
            )
    return found


def _names(configuration: Configuration, steps: Sequence[Step]) -> list[str]:
    simulated = {provider.name for provider in configuration.providers if provider.kind == ProviderKind.SIMULATOR}
    return [
        step.name
        for step in steps
        if step.kind is Kind.CREDENTIAL
        and step.path
        and (step.action is Action.CREATE or SECRET_FIELD in step.fields)
        and step.name.partition("/")[0] not in simulated
    ]


def asking(call: Call, asked: Mapping[str, Question]) -> Outside | None:
    """Asks them all, within a bounded time; what was found, by the same names. None: there is nothing to ask."""
    if not asked:
        return None
    proxies = call.proxies

    async def outside() -> dict[str, Checked]:
        return await checking.check_all(asked, checks.GUARD, proxies)

    return outside


def report(
    call: Call, configuration: Configuration, steps: Sequence[Step], found: Mapping[str, Checked]
) -> list[CredentialCheck]:
    """What was found of each key that the plan makes or changes, in its order."""
    now = from_ms(call.clock.now_ms())
    return [checks.shown(name, found.get(name, _CHANGED_MEANWHILE), now) for name in _names(configuration, steps)]


async def keep(call: Call, found: Mapping[str, Checked]) -> None:
    """Keeps what was found with the credentials, which by now have the values that were asked about."""
    told = {name: checked for name, checked in found.items() if checked.outcome is not Outcome.UNCHECKED}
    if not told:
        return
    providers = {row.id: row.name for row in await catalog.providers(call.db)}
    for row in await credential_rows.credentials(call.db, list(providers)):
        checked = told.get(f"{providers[row.provider_id]}/{row.name}")
        if checked is not None:
            await credentials.keep_check(call, row, checked, from_ms(call.clock.now_ms()))
