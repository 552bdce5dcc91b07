"""The code that the portal shows for each kind of model, with MODEL and BASE (the gateway's origin) to be filled in.

Tests run every one of them as it stands.
"""

_POST = """\
curl BASE/v1/{path} \\
  -H "Authorization: Bearer $TOLLWAY_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{body}'
"""
_PYTHON = """\
# pip install openai
import os
from openai import OpenAI

client = OpenAI(base_url="BASE/v1", api_key=os.environ["TOLLWAY_KEY"])
"""
_JAVASCRIPT = """\
// npm install openai
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "BASE/v1", apiKey: process.env.TOLLWAY_KEY });
"""
_WRITE_FILE = 'import { writeFile } from "node:fs/promises";\nimport OpenAI'
_READ_FILE = 'import { createReadStream } from "node:fs";\nimport OpenAI'

CHAT_CURL = _POST.format(
    path="chat/completions", body='{"model": "MODEL", "messages": [{"role": "user", "content": "Hello"}]}'
)
CHAT_PYTHON = f"""\
{_PYTHON}answer = client.chat.completions.create(
    model="MODEL",
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.choices[0].message.content)
"""
CHAT_JAVASCRIPT = f"""\
{_JAVASCRIPT}const answer = await client.chat.completions.create({{
  model: "MODEL",
  messages: [{{ role: "user", content: "Hello" }}],
}});
console.log(answer.choices[0].message.content);
"""
CHAT_ANTHROPIC = """\
# pip install anthropic
import os
from anthropic import Anthropic

client = Anthropic(base_url="BASE", api_key=os.environ["TOLLWAY_KEY"])
answer = client.messages.create(
    model="MODEL",
    max_tokens=256,
    messages=[{"role": "user", "content": "Hello"}],
)
print("".join(part.text for part in answer.content if part.type == "text"))
"""
CHAT_ANTHROPIC_JAVASCRIPT = """\
// npm install @anthropic-ai/sdk
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "BASE", apiKey: process.env.TOLLWAY_KEY });
const answer = await client.messages.create({
  model: "MODEL",
  max_tokens: 256,
  messages: [{ role: "user", content: "Hello" }],
});
console.log(answer.content.map((part) => part.text ?? "").join(""));
"""

EMBEDDINGS_CURL = _POST.format(path="embeddings", body='{"model": "MODEL", "input": ["a text", "another text"]}')
EMBEDDINGS_PYTHON = f"""\
{_PYTHON}answer = client.embeddings.create(model="MODEL", input=["a text", "another text"])
print([len(one.embedding) for one in answer.data])
"""
EMBEDDINGS_JAVASCRIPT = f"""\
{_JAVASCRIPT}const answer = await client.embeddings.create({{ model: "MODEL", input: ["a text", "another text"] }});
console.log(answer.data.map((one) => one.embedding.length));
"""

IMAGES_CURL = _POST.format(path="images/generations", body='{"model": "MODEL", "prompt": "A bridge in the fog"}')
IMAGES_PYTHON = f"""\
{_PYTHON}answer = client.images.generate(model="MODEL", prompt="A bridge in the fog")
image = answer.data[0]
print(image.url or f"{{len(image.b64_json)}} characters of Base64")
"""
IMAGES_JAVASCRIPT = f"""\
{_JAVASCRIPT}const answer = await client.images.generate({{ model: "MODEL", prompt: "A bridge in the fog" }});
const image = answer.data[0];
console.log(image.url ?? `${{image.b64_json.length}} characters of Base64`);
"""

SPEECH_CURL = _POST.format(
    path="audio/speech --output speech.mp3", body='{"model": "MODEL", "voice": "alloy", "input": "Hello"}'
)
SPEECH_PYTHON = f"""\
{_PYTHON}answer = client.audio.speech.create(model="MODEL", voice="alloy", input="Hello")
answer.write_to_file("speech.mp3")
"""
SPEECH_JAVASCRIPT = f"""\
{_JAVASCRIPT.replace("import OpenAI", _WRITE_FILE, 1)}\
const answer = await client.audio.speech.create({{ model: "MODEL", voice: "alloy", input: "Hello" }});
await writeFile("speech.mp3", Buffer.from(await answer.arrayBuffer()));
"""

TRANSCRIPTION_CURL = """\
curl BASE/v1/audio/transcriptions \\
  -H "Authorization: Bearer $TOLLWAY_KEY" \\
  -F "model=MODEL" \\
  -F "file=@speech.mp3"
"""
TRANSCRIPTION_PYTHON = f"""\
{_PYTHON}with open("speech.mp3", "rb") as file:
    answer = client.audio.transcriptions.create(model="MODEL", file=file)
print(answer.text)
"""
TRANSCRIPTION_JAVASCRIPT = f"""\
{_JAVASCRIPT.replace("import OpenAI", _READ_FILE, 1)}\
const answer = await client.audio.transcriptions.create({{
  model: "MODEL",
  file: createReadStream("speech.mp3"),
}});
console.log(answer.text);
"""

RERANK_CURL = _POST.format(
    path="rerank", body='{"model": "MODEL", "query": "Where is it?", "documents": ["It is here.", "It was late."]}'
)
RERANK_PYTHON = f"""\
{_PYTHON}answer = client.post(
    "/rerank",
    cast_to=object,
    body={{"model": "MODEL", "query": "Where is it?", "documents": ["It is here.", "It was late."]}},
)
for result in answer["results"]:
    print(result["index"], result["relevance_score"])
"""
RERANK_JAVASCRIPT = f"""\
{_JAVASCRIPT}const answer = await client.post("/rerank", {{
  body: {{ model: "MODEL", query: "Where is it?", documents: ["It is here.", "It was late."] }},
}});
for (const result of answer.results) console.log(result.index, result.relevance_score);
"""

MODERATION_CURL = _POST.format(path="moderations", body='{"model": "MODEL", "input": "a text"}')
MODERATION_PYTHON = f"""\
{_PYTHON}answer = client.moderations.create(model="MODEL", input="a text")
print(answer.results[0].flagged)
"""
MODERATION_JAVASCRIPT = f"""\
{_JAVASCRIPT}const answer = await client.moderations.create({{ model: "MODEL", input: "a text" }});
console.log(answer.results[0].flagged);
"""
