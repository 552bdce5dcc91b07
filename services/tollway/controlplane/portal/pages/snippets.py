"""The shortest code that calls a model, for each client library. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Snippet:
    """Code to copy. `name` is fit for the id of an element."""

    name: str
    title: str
    code: str


_CURL = """\
curl {base}/v1/chat/completions \\
  -H "Authorization: Bearer $TOLLWAY_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": {model}, "messages": [{{"role": "user", "content": "Hello"}}]}}'
"""
_PYTHON = """\
# pip install openai
import os
from openai import OpenAI

client = OpenAI(base_url="{base}/v1", api_key=os.environ["TOLLWAY_KEY"])
answer = client.chat.completions.create(
    model={model},
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.choices[0].message.content)
"""
_JAVASCRIPT = """\
// npm install openai
import OpenAI from "openai";

const client = new OpenAI({{ baseURL: "{base}/v1", apiKey: process.env.TOLLWAY_KEY }});
const answer = await client.chat.completions.create({{
  model: {model},
  messages: [{{ role: "user", content: "Hello" }}],
}});
console.log(answer.choices[0].message.content);
"""
_ANTHROPIC = """\
# pip install anthropic
import os
from anthropic import Anthropic

client = Anthropic(base_url="{base}", api_key=os.environ["TOLLWAY_KEY"])
answer = client.messages.create(
    model={model},
    max_tokens=256,
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.content[0].text)
"""


def snippets(base: str, model: str) -> list[Snippet]:
    """The snippets for a model behind a gateway (its origin, without a path)."""
    known = (
        ("curl", "curl", _CURL),
        ("python", "Python, openai", _PYTHON),
        ("javascript", "JavaScript, openai", _JAVASCRIPT),
        ("anthropic", "Python, anthropic", _ANTHROPIC),
    )
    quoted = json.dumps(model)
    return [Snippet(name, title, text.format(base=base, model=quoted)) for name, title, text in known]
