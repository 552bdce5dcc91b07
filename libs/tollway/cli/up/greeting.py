"""What `up` prints when everything is ready."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

REMARKS = {
    "TOLLWAY_BASE_URL": "OpenAI SDKs: base_url",
    "TOLLWAY_ANTHROPIC_URL": "Anthropic SDKs: base_url",
    "TOLLWAY_KEY": "virtual key",
    "TOLLWAY_CONTROL_URL": "REST under /api/v1, portal at /, OpenAPI at /api/v1/openapi.json",
    "TOLLWAY_GRPC": "management API over gRPC",
    "TOLLWAY_ADMIN_TOKEN": "administrator's bearer token",
    "TOLLWAY_CA_FILE": "certificate that clients must trust",
}


def greeting(lines: Mapping[str, str], model: str) -> str:
    """The table, a curl line and a Python snippet."""
    width = max(len(f"{name}={value}") for name, value in lines.items() if name != "TOLLWAY_ADMIN_TOKEN")
    table = "\n".join(f"{f'{name}={value}':<{width}}  # {REMARKS[name]}" for name, value in lines.items())
    if not lines.get("TOLLWAY_KEY"):
        return table
    ca_file = lines.get("TOLLWAY_CA_FILE", "")
    trust = f"--cacert {shlex.quote(ca_file)} " if ca_file else ""
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
    curl = (
        f"curl {trust}{lines['TOLLWAY_BASE_URL']}/chat/completions \\\n"
        f"  -H 'Authorization: Bearer {lines['TOLLWAY_KEY']}' -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}'"
    )
    python = f"# run with SSL_CERT_FILE={shlex.quote(ca_file)}\n" if ca_file else ""
    python += (
        "from openai import OpenAI\n"
        f'client = OpenAI(base_url="{lines["TOLLWAY_BASE_URL"]}", api_key="{lines["TOLLWAY_KEY"]}")\n'
        f'answer = client.chat.completions.create(model="{model}", '
        'messages=[{"role": "user", "content": "Hello"}])\n'
        "print(answer.choices[0].message.content)"
    )
    return f"{table}\n\n{curl}\n\n{python}"


def notes_text(notes: Sequence[str], seconds: float) -> str:
    """What was used, and how long it took."""
    return "\n".join([*(f"- {note}" for note in notes), f"ready in {seconds:.1f} s"])


def first_model(notes: Sequence[str]) -> str:
    """A model to ask, taken from the notes on what was configured."""
    for note in notes:
        if "models " in note:
            return note.rpartition("models ")[2].split(",")[0]
        if "answers as " in note:
            return note.partition("answers as ")[2].split(",")[0]
    return "MODEL"
