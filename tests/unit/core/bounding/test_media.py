"""Sizes and lengths come from the headers that decoders believe, and formulas are those of the providers."""

from __future__ import annotations

import struct

import pytest

from tollway.core.bounding.media import Size, audio_ms, image_size, image_tokens

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 800, 400) + b"\x08\x06\0\0\0"
GIF = b"GIF89a" + struct.pack("<HH", 800, 400) + b"\0\0\0"
EXIF = b"\xff\xe1" + struct.pack(">H", 2 + 70_000 % 65_000) + bytes(70_000 % 65_000)
JPEG = b"\xff\xd8" + EXIF + b"\xff\xff\xc2" + struct.pack(">HBHH", 17, 8, 400, 800) + b"\x03"
LOSSY = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 800, 400) + b"\0\0"
LOSSLESS = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 799 | 399 << 14) + bytes(8)
EXTENDED = b"RIFF\0\0\0\0WEBPVP8X\n\0\0\0\0\0\0\0" + (799).to_bytes(3, "little") + (399).to_bytes(3, "little")


@pytest.mark.parametrize("data", [PNG, GIF, JPEG, LOSSY, LOSSLESS, EXTENDED])
def test_the_size_of_an_image_is_read(data: bytes) -> None:
    assert image_size(data) == Size(800, 400)


@pytest.mark.parametrize(
    "data", [b"", PNG[:20], GIF[:9], b"RIFF\0\0\0\0WEBPnone" + bytes(20), b"\xff\xd8\xff", b"<svg/>"]
)
def test_what_says_no_size_has_none(data: bytes) -> None:
    assert image_size(data) is None


# Worked out by hand from the providers' pages, and measured where they are silent.
@pytest.mark.parametrize(
    ("kind", "model", "size", "billed"),
    [
        ("openai", "gpt-4o", Size(1024, 1024), 765),
        ("openai", "gpt-4o", Size(2048, 4096), 1105),
        ("openai", "gpt-4.1-mini-2025-04-14", Size(2400, 1800), 2353),
        ("openai", "o1", Size(4096, 4096), 675),
        ("openai", "gpt-4o-mini-2024-07-18", Size(128, 64), 8500),
        ("openai", "gpt-4o-mini", Size(2048, 768), 48_169),
        ("openai", "gpt-5.5", Size(4032, 3024), 11_868),
        ("azure_openai", "gpt-6-astra", Size(4032, 3024), 14_364),
        ("anthropic", "claude-sonnet-4-5", Size(200, 200), 64),
        ("anthropic", "claude-haiku-4-5", Size(3840, 2160), 1657),
        ("anthropic", "claude-opus-4-7", Size(2576, 1449), 4784),
        ("openai_compatible", "gemini-3-pro", Size(4032, 3024), 2240),
        ("openai_compatible", "gemini-2.0-flash", Size(4032, 3024), 258 * 24),
        ("vllm", "qwen2-vl", Size(3584, 3584), 16_384),
    ],
)
def test_no_image_is_billed_beyond_its_bound(kind: str, model: str, size: Size, billed: int) -> None:
    found = image_tokens(kind, model, size)
    assert found is not None
    assert billed <= found
    capped = image_tokens(kind, model, None)
    assert capped is None or billed <= capped


def test_small_images_are_small_where_the_formula_is_known() -> None:
    found = image_tokens("anthropic", "claude-sonnet-4-5", Size(200, 200))
    assert found is not None
    assert found < 400


def wav(rate: int, channels: int = 1, bits: int = 16, code: int = 1) -> bytes:
    block = channels * bits // 8
    chunk = struct.pack("<HHIIHH", code, channels, rate, rate * block, block, bits)
    return b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt " + struct.pack("<I", len(chunk)) + chunk + b"data\xff\xff\xff\xff"


def test_wav_lasts_as_long_as_its_header_makes_it() -> None:
    assert audio_ms(wav(16_000), 320_000) == 10_000
    assert audio_ms(wav(8_000, bits=8), 8_000) == 1000
    assert audio_ms(wav(1, bits=8), 1_000_000) == 1_000_000_000, "a header may claim a sample a second"


@pytest.mark.parametrize(
    "data", [wav(16_000, code=0x11), wav(0), b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3\x04", b""]
)
def test_what_can_be_of_any_length_has_none(data: bytes) -> None:
    assert audio_ms(data, 1000) is None


def test_mp3_has_a_least_bit_rate() -> None:
    frame = b"\xff\xf3\x14\xc4"
    assert audio_ms(frame, 10_000) == 10_000
    tagged = b"ID3\x04\0\0\0\0\x01\x02" + bytes(130)
    assert audio_ms(tagged + frame, 10_000) == 10_000
    assert audio_ms(tagged + b"fLaC", 10_000) is None, "a tag may stand before anything"
