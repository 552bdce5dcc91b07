"""A small table of what well-known models can do, where the price book does not say. Data only.

From the providers' model pages (platform.openai.com/docs/models, docs.anthropic.com/en/docs/about-claude/models, the
model cards on huggingface.co). The first row whose pattern (`*` stands for anything) matches the provider's own model
name, without an organisation in front, counts; None means not known.
"""

from __future__ import annotations

import msgspec


class Row(msgspec.Struct, frozen=True):
    """What is known of the models that match `pattern`."""

    pattern: str
    context_tokens: int | None
    max_output_tokens: int | None
    tools: bool
    inputs: tuple[str, ...] = ("text",)
    outputs: tuple[str, ...] = ("text",)
    streaming: bool = True


_SEES = ("text", "image")
_HEARS = ("text", "audio")

ROWS: tuple[Row, ...] = (
    Row("text-embedding-*", 8_192, None, False, outputs=("embedding",), streaming=False),
    Row("whisper-*", None, None, False, inputs=("audio",), streaming=False),
    Row("tts-*", None, None, False, outputs=("audio",)),
    Row("*-tts*", None, None, False, outputs=("audio",)),
    Row("*-transcribe*", None, None, False, inputs=("audio",)),
    Row("dall-e-*", None, None, False, outputs=("image",), streaming=False),
    Row("gpt-image-*", None, None, False, inputs=_SEES, outputs=("image",)),
    Row("omni-moderation-*", None, None, False, inputs=_SEES, streaming=False),
    Row("gpt-4o-audio*", 128_000, 16_384, True, inputs=_HEARS, outputs=_HEARS),
    Row("gpt-4o-mini-audio*", 128_000, 16_384, True, inputs=_HEARS, outputs=_HEARS),
    Row("gpt-5-chat*", 128_000, 16_384, True, inputs=_SEES),
    Row("gpt-5*", 400_000, 128_000, True, inputs=_SEES),
    Row("gpt-4.1*", 1_047_576, 32_768, True, inputs=_SEES),
    Row("gpt-4o*", 128_000, 16_384, True, inputs=_SEES),
    Row("gpt-4-turbo*", 128_000, 4_096, True, inputs=_SEES),
    Row("gpt-4", 8_192, 8_192, True),
    Row("gpt-4-0613", 8_192, 8_192, True),
    Row("gpt-3.5-turbo*", 16_385, 4_096, True),
    Row("gpt-35-turbo*", 16_385, 4_096, True),
    Row("o1-mini*", 128_000, 65_536, False),
    Row("o3-mini*", 200_000, 100_000, True),
    Row("o1*", 200_000, 100_000, True, inputs=_SEES),
    Row("o3*", 200_000, 100_000, True, inputs=_SEES),
    Row("o4-mini*", 200_000, 100_000, True, inputs=_SEES),
    Row("gpt-oss-*", 131_072, None, True),
    Row("claude-3-5-*", 200_000, 8_192, True, inputs=_SEES),
    Row("claude-3-7-*", 200_000, 64_000, True, inputs=_SEES),
    Row("claude-3-*", 200_000, 4_096, True, inputs=_SEES),
    Row("claude-opus-4-5*", 200_000, 64_000, True, inputs=_SEES),
    Row("claude-opus-4*", 200_000, 32_000, True, inputs=_SEES),
    Row("claude-sonnet-4*", 200_000, 64_000, True, inputs=_SEES),
    Row("claude-haiku-4*", 200_000, 64_000, True, inputs=_SEES),
    Row("Llama-3.2-*-Vision*", 131_072, None, True, inputs=_SEES),
    Row("Llama-4-*", None, None, True, inputs=_SEES),
    Row("Meta-Llama-3-*", 8_192, None, False),
    Row("*Llama-3.1-*", 131_072, None, True),
    Row("*Llama-3.2-*", 131_072, None, True),
    Row("*Llama-3.3-*", 131_072, None, True),
    Row("Qwen2.5-VL-*", 128_000, None, True, inputs=_SEES),
    Row("Qwen2.5-*", 32_768, 8_192, True),
    Row("SmolLM2-*", 8_192, None, False),
    Row("all-MiniLM-L6-*", 256, None, False, outputs=("embedding",), streaming=False),
)
