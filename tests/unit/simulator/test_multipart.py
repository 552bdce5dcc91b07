"""Forms: what clients write is read, and nothing else than a refusal comes of what is broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.simulator.dialects.multipart import MAX_PARTS, File, parse
from tollway.simulator.dialects.port import BadRequest

TYPE = "multipart/form-data; boundary=b"


def part(disposition: str, content: bytes) -> bytes:
    return b"--b\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"


def test_fields_and_files_keep_their_bytes() -> None:
    body = (
        b"preamble\r\n"
        + part('name="model"', b"whisper-1")
        + part('name="include[]"', b"a")
        + part('name="include[]"', "\u00e9".encode())
        + part('name="file"; filename="a \\"b\\" %22c%22.mp3"', b"\r\n--x\r\n\r\n--")
        + part('name="image[]"; filename="x"; filename*=UTF-8\'\'%E2%82%AC.png', b"")
        + b"--b--\r\nepilogue"
    )
    found = parse(body, 'Multipart/Form-Data; charset=utf-8; boundary="b"')
    assert found.fields == {"model": ["whisper-1"], "include": ["a", "\u00e9"]}
    assert found.files == {
        "file": [File('a "b" "c".mp3', b"\r\n--x\r\n\r\n--")],
        "image": [File("\u20ac.png", b"")],
    }


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"", TYPE),
        (b"--b", TYPE),
        (part('name="a"', b"x"), TYPE),
        (b"--b\r\nno head--b--", TYPE),
        (part('nomen="a"', b"x") + b"--b--", TYPE),
        (part('filename="a"', b"x") + b"--b--", TYPE),
        (part('name="a"', b"\xff") + b"--b--", TYPE),
        (b"--b junk\r\n\r\n\r\n\r\n--b--", TYPE),
        (b"--b--", "multipart/form-data"),
        (b"--b--", "application/json; boundary=b"),
        (part('name="a"', b"x") * (MAX_PARTS + 1) + b"--b--", TYPE),
        (b"--b\r\n" + b"X: y\r\n" * 5000 + part('name="a"', b"x")[5:] + b"--b--", TYPE),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, media: str) -> None:
    with pytest.raises(BadRequest):
        parse(body, media)


@given(st.dictionaries(st.text("abc-_", min_size=1, max_size=8), st.binary(max_size=60), max_size=6))
def test_every_content_without_the_boundary_survives(files: dict[str, bytes]) -> None:
    files = {name: content for name, content in files.items() if b"--b" not in content}
    body = b"".join(part(f'name="{name}"; filename="f"', content) for name, content in files.items()) + b"--b--\r\n"
    assert parse(body, TYPE).files == {name: [File("f", content)] for name, content in files.items()}


@given(
    st.lists(
        st.sampled_from([b"--b", b"--b--", b"\r\n", b'content-disposition: name="a"', b'; filename="', b"x", b"\xff"])
        | st.binary(max_size=5),
        max_size=20,
    ),
    st.sampled_from([TYPE, 'multipart/form-data; boundary=""', "multipart/form-data; boundary=\u20ac", ""]),
)
def test_nothing_but_a_refusal_comes_of_any_bytes(pieces: list[bytes], media: str) -> None:
    body = b"".join(pieces)
    try:
        found = parse(body, media)
    except BadRequest:
        return
    kept = sum(len(file.content) for files in found.files.values() for file in files)
    assert kept + sum(len(text.encode()) for texts in found.fields.values() for text in texts) <= len(body)
