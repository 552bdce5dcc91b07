"""The most tokens that an image can be, and the longest that sound can last, from their bytes.

Owns the providers' formulas with their sources, and just enough of the formats to know width, height and duration. A
decoder believes the same headers, so what they say is what is billed.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from tollway.core.bounding.text import OPENAI_KINDS

MAX_IMAGE_TOKENS_ANTHROPIC = 5000
"""https://platform.claude.com/docs/en/build-with-claude/vision: an image is at most 1,568 or, for newer models, 4,784
patches of 28 pixels; larger ones are scaled down."""
_TILES_MINI = 2833 + 5667 * 8
"""gpt-4o-mini: 2,833 tokens and 5,667 for each of at most 8 tiles of 512 pixels (the long side is scaled to 2,048, then
the short one to 768). https://platform.openai.com/docs/guides/images-vision#calculating-costs"""
_SCALED = 3900
"""Other models that scale down: 85 + 8 x 170 tokens by tiles, or 1,536 patches of 32 pixels at 2.46 tokens."""
_MINI = re.compile(r"gpt-4o-mini")
_SCALES = re.compile(r"gpt-4|chatgpt-4o|(?:^|/|ft:)o[134](?:-|$)|gpt-5(?:\.[0-3])?(?:-|$)|gpt-audio|computer-use")

TOKENS_PER_SECOND = 50
"""Of sound that is heard: OpenAI has 10 (a token for 100 ms), Gemini 32, Whisper's encoder 50."""
_MP3_BYTES_PER_SECOND = 1000
"""MPEG-2 layer III has no bit rate below 8 kbit/s."""
_LAYERS = (0xE2, 0xE4, 0xE6)
"""The second byte of a frame of MPEG audio, less version and protection: layers III, II and I."""
_WAV_FORMAT = struct.Struct("<HHIIHH")


class Size(NamedTuple):
    """Pixels."""

    width: int
    height: int


def image_tokens(kind: str, model: str, size: Size | None) -> int | None:
    """The most tokens that one image can be. `size` None: it is not known; then the answer None is "no limit is known".

    Whatever the client says of `detail`, the dearest is taken.
    """
    name = model.lower()
    if kind == "anthropic" or "claude" in name:
        patches = None if size is None else max(_patches(size, 28), size.width * size.height // 750) + 256
        return MAX_IMAGE_TOKENS_ANTHROPIC if patches is None else min(patches, MAX_IMAGE_TOKENS_ANTHROPIC)
    if _MINI.search(name):
        return _TILES_MINI
    if kind in OPENAI_KINDS:
        if _SCALES.search(name):
            return _SCALED
        # Newer models bill an image as it is: 1.2 tokens for a patch of 32 pixels where measured. A deployment may have
        # any name, so it may be of the dearest model.
        least = _TILES_MINI if kind == "azure_openai" else _SCALED
        return None if size is None else least + 3 * _patches(size, 32)
    # Gemini: 258 tokens a tile, at least 256 pixels wide, or at most 2,240 for an image
    # (https://ai.google.dev/gemini-api/docs/media-resolution); open models: some thousand tokens whatever the size, or
    # a token for a patch of at least 14 pixels.
    return None if size is None else 7000 + max(_patches(size, 14), 258 * _patches(size, 256))


def _patches(size: Size, side: int) -> int:
    return -(-size.width // side) * -(-size.height // side)


def image_size(data: bytes) -> Size | None:
    """Width and height of a PNG, GIF, WebP or JPEG; None when it is none, or says none."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR" and len(data) >= 24:
        return Size(int.from_bytes(data[16:20]), int.from_bytes(data[20:24]))
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        return Size(int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        return _webp_size(data)
    return _jpeg_size(data) if data[:2] == b"\xff\xd8" else None


def _webp_size(data: bytes) -> Size | None:
    match data[12:16]:
        case b"VP8X":
            return Size(int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1)
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        case b"VP8 ":
            return Size(int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF)
    return None


def _jpeg_size(data: bytes) -> Size | None:
    """From the first frame header (ITU-T T.81, B.2.2)."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return Size(int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7]))
        at += 2 if marker == 0x01 or 0xD0 <= marker <= 0xD8 else 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


def audio_ms(data: bytes, size: int) -> int | None:
    """The longest that sound of `size` bytes, which begins with `data`, can last, in milliseconds.

    None: its format sets no limit, or is not known.
    WAV says how many bytes a second has; MP3 has a least bit rate. Others (FLAC, Ogg, MP4) can make any time of silence
    of a few bytes.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        rate = _wav_rate(data)
        return None if rate is None else -(-size * 1000 // rate)
    frame = _after_tag(data)
    if data[frame : frame + 1] == b"\xff" and len(data) > frame + 1 and data[frame + 1] & 0xE6 in _LAYERS:
        return -(-size * 1000 // _MP3_BYTES_PER_SECOND)
    return None


def _after_tag(data: bytes) -> int:
    """Where sound begins after an ID3 tag, whose size is written in seven bits a byte."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))


def _wav_rate(data: bytes) -> int | None:
    """Bytes of plain samples (PCM or floats) a second, from the format chunk; None when it contradicts itself."""
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"fmt ":
            if size < _WAV_FORMAT.size or at + 8 + size > len(data):
                return None
            code, channels, samples, _, block, bits = _WAV_FORMAT.unpack_from(data, at + 8)
            plain = code in (1, 3, 0xFFFE) and block == channels * ((bits + 7) // 8)
            return samples * block if plain and samples and block else None
        at += 8 + size + size % 2
    return None
