"""Forms: what real clients send is found and kept byte for byte; what is ambiguous is refused."""

from __future__ import annotations

import email.parser
import email.policy
from typing import Any

import aiohttp
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.dialects.multipart import check_single, form_fields, read_form, replace_field
from tollway.core.errors import Code, TollwayError

TYPE = "multipart/form-data; boundary=XX"
FORM = (
    b'--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    b"\x00\xff\r\n\r\n--X\r\n"
    b'--XX\r\nContent-Disposition: form-data; name="tag[]"\r\n\r\none\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="tag[]"\r\n\r\n\r\n'
    b"--XX--\r\n"
)


def part(headers: bytes, value: bytes = b"v") -> bytes:
    return b"--XX\r\n" + headers + b"\r\n\r\n" + value + b"\r\n--XX--\r\n"


def test_where_each_part_lies() -> None:
    form = read_form(FORM, TYPE)
    assert [(p.name, p.filename, p.content_type, bytes(p.value)) for p in form.parts] == [
        ("model", None, None, b"whisper-1"),
        ("file", "a.wav", "audio/wav", b"\x00\xff\r\n\r\n--X"),
        ("tag[]", None, None, b"one"),
        ("tag[]", None, None, b""),
    ]
    assert all(FORM[p.start : p.end] == p.value and FORM[p.begins :].startswith(b"--XX\r\n") for p in form.parts)
    assert FORM[form.closes :] == b"--XX--\r\n"


def test_only_the_replaced_bytes_change() -> None:
    form = read_form(FORM, TYPE)
    assert replace_field(form, "model", "tiny") == FORM.replace(b"whisper-1", b"tiny")
    assert replace_field(form, "model", "whisper-1") == FORM
    assert replace_field(read_form(b"\r\n" + FORM, TYPE), "model", "é") == b"\r\n" + FORM.replace(
        b"whisper-1", "é".encode()
    )


def test_fields_are_left_out_with_all_their_items() -> None:
    changed = read_form(replace_field(read_form(FORM, TYPE), "model", "tiny", without=("tag",)), TYPE)
    assert [p.name for p in changed.parts] == ["model", "file"]


def test_a_field_that_is_lacking_is_put_in_front() -> None:
    for body in (FORM, b"--XX--", b"\r\n--XX--\r\n"):
        changed = read_form(replace_field(read_form(body, TYPE), "user", "me"), TYPE)
        assert (changed.parts[0].name, bytes(changed.parts[0].value)) == ("user", b"me")
        assert len(changed.parts) == 1 + len(read_form(body, TYPE).parts)


def test_a_value_cannot_bring_parts_of_its_own() -> None:
    with pytest.raises(TollwayError):
        replace_field(read_form(FORM, TYPE), "model", 'x\r\n--XX\r\nContent-Disposition: form-data; name="model"')


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=XX; charset=utf-8", FORM),
        ('Multipart/Form-Data ;Boundary="XX"', FORM),
        ("multipart/form-data; boundary=XX;", FORM.removesuffix(b"\r\n")),
        (TYPE, part(b"CONTENT-DISPOSITION:form-data;name=model")),
        (TYPE, part(b'Content-Length: 1\r\nContent-Disposition: form-data; name="model"\r\nX-Else: a')),
        (TYPE, part(b'Content-Transfer-Encoding: binary\r\nContent-Disposition: form-data; name="model"')),
    ],
)
def test_spellings(content_type: str, body: bytes) -> None:
    assert read_form(body, content_type).parts[0].name == "model"


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('filename="a b;c.wav"', "a b;c.wav"),
        ('filename=""', ""),
        ("filename=a.wav", "a.wav"),
        ("filename*=utf-8''%C3%BC.wav", "ü.wav"),
        ('filename="a\\"b.wav"', 'a\\"b.wav'),
        ('filename="a%22.wav"', "a%22.wav"),
    ],
)
def test_file_names(disposition: str, filename: str) -> None:
    body = part(b'Content-Disposition: form-data; name="file"; ' + disposition.encode())
    assert read_form(body, TYPE).parts[0].filename == filename


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "does not begin with the boundary"),
        (b"preamble\r\n" + FORM, "does not begin with the boundary"),
        (FORM.removesuffix(b"--XX--\r\n"), "cut short"),
        (FORM[:-4], "cut short"),
        (b"--XX", "cut short"),
        (FORM + b"more", "something after its last boundary"),
        (part(b"Content-Type: text/plain"), "Content-Disposition"),
        (part(b""), "Content-Disposition"),
        (b"--XX\r\n\r\nvalue\r\n--XX--", "Content-Disposition"),
        (part(b"Content-Disposition: form-data"), "part 1 has no name"),
        (part(b'Content-Disposition: form-data; name=""'), "part 1 has no name"),
        (part(b'Content-Disposition: attachment; name="a"'), "Content-Disposition"),
        (part(b'Content-Disposition: form-data; name="a"; name="model"'), "Content-Disposition"),
        (part(b'Content-Disposition: form-data; name="a" junk'), "Content-Disposition"),
        (part(b'Content-Disposition: form-data; name="mod\\el"'), "not plain text"),
        (part(b"Content-Disposition: form-data; name=\"a\"; name*=utf-8''model"), "not plain text"),
        (part(b'Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="b"'), "malformed"),
        (part(b'Content-Disposition: form-data;\r\n name="a"'), "malformed"),
        (part(b'Content-Disposition: form-data; name="a"\nX: y'), "malformed"),
        (part(b'Content-Disposition: form-data; name="\xff"'), "not UTF-8"),
        (part(b'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64'), "Encoding"),
        (part(b'Content-Disposition: form-data; name="a"\r\nX: ' + b"y" * 9000), "8192 bytes"),
        (part(b'Content-Disposition: form-data; name="a"', b"x\n--XX\ny"), "within part 1"),
        (part(b'Content-Disposition: form-data; name="a"', b"--XX\r\nContent-Disposition: x"), "within part 1"),
        (FORM.replace(b"--XX\r\n", b"--XX \r\n"), "CRLF"),
        (FORM.replace(b"\r\n", b"\n"), "CRLF"),
    ],
)
def test_what_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(TollwayError, match=why) as caught:
        read_form(body, TYPE)
    assert caught.value.code is Code.INVALID_REQUEST


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("application/json", Code.UNSUPPORTED_MEDIA_TYPE),
        ("", Code.UNSUPPORTED_MEDIA_TYPE),
        ("multipart/form-data", Code.INVALID_REQUEST),
        ("multipart/form-data; boundary=", Code.INVALID_REQUEST),
        ("multipart/form-data; boundary=XX; boundary=YY", Code.INVALID_REQUEST),
        (f"multipart/form-data; boundary={'x' * 71}", Code.INVALID_REQUEST),
        ('multipart/form-data; boundary="é"', Code.INVALID_REQUEST),
    ],
)
def test_content_types_that_are_refused(content_type: str, code: Code) -> None:
    with pytest.raises(TollwayError) as caught:
        read_form(FORM, content_type)
    assert caught.value.code is code


def test_the_number_of_parts_is_bounded() -> None:
    one = b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    assert len(read_form(one * 64 + b"--XX--", TYPE).parts) == 64
    with pytest.raises(TollwayError, match="more than 64 parts"):
        read_form(one * 65 + b"--XX--", TYPE)


def test_fields_as_json() -> None:
    body = httpx2.Request(
        "POST",
        "http://x",
        files={"file": b"1"},
        data={"n": "2", "stream": "True", "user": "é\n", "tag[]": ["a"], "seed": "", "twice": ["x", "y"]},
    )
    fields = form_fields(
        read_form(body.read(), body.headers["content-type"]), integers=("n", "seed"), flags=("stream",)
    )
    assert {name: bytes(raw).decode() for name, raw in fields.items()} == {
        "n": "2",
        "stream": "true",
        "user": '"é\\n"',
        "tag[]": '["a"]',
        "twice": '["x","y"]',
    }


def test_a_field_that_is_not_text_is_named() -> None:
    form = read_form(part(b'Content-Disposition: form-data; name="prompt"', b"\xff"), TYPE)
    with pytest.raises(TollwayError, match="not UTF-8") as caught:
        form_fields(form)
    assert caught.value.param == "prompt"


@pytest.mark.parametrize("other", [b'name="model"', b'name="model[]"', b'name="MODEL"', b'name=model; filename="x"'])
def test_a_second_model_is_refused(other: bytes) -> None:
    second = b"--XX\r\nContent-Disposition: form-data; " + other + b"\r\n\r\nexpensive\r\n"
    with pytest.raises(TollwayError) as caught:
        check_single(read_form(second + FORM, TYPE), "model")
    assert caught.value.param == "model"
    check_single(read_form(FORM, TYPE), "model")


async def test_forms_of_aiohttp() -> None:
    data = aiohttp.FormData()
    data.add_field("model", "whisper-1")
    data.add_field("file", b"\x00\r\n\r\n\xff", filename='a"ü.wav', content_type="audio/wav")
    writer: Any = data()
    body = await writer.as_bytes()
    form = read_form(body, writer.content_type)
    assert [(p.name, bytes(p.value)) for p in form.parts] == [("model", b"whisper-1"), ("file", b"\x00\r\n\r\n\xff")]
    assert form.parts[1].filename is not None
    assert replace_field(form, "model", "tiny") == body.replace(b"whisper-1", b"tiny")


names = st.text(st.sampled_from("abc_[]-. é"), min_size=1, max_size=8)
values = st.binary(max_size=64) | st.sampled_from([b"\r\n", b"--", b"\r\n--", b"\r\n\r\n", b"\n--X"])


@given(st.lists(st.tuples(names, values, st.booleans()), min_size=1, max_size=5))
def test_the_standard_library_reads_the_same_parts(fields: list[tuple[str, bytes, bool]]) -> None:
    boundary = b"q8d0fj3kd9s"
    body = b""
    for name, value, is_file in fields:
        filename = b'; filename="f"' if is_file else b""
        disposition = b'Content-Disposition: form-data; name="' + name.encode() + b'"' + filename
        body += b"--" + boundary + b"\r\n" + disposition + b"\r\n\r\n" + value + b"\r\n"
    body += b"--" + boundary + b"--\r\n"
    content_type = f"multipart/form-data; boundary={boundary.decode()}"
    form = read_form(body, content_type)
    assert [(p.name, bytes(p.value), p.filename is not None) for p in form.parts] == fields
    message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(
        f"Content-Type: {content_type}\r\n\r\n".encode() + body
    )
    parts: Any = message.get_payload()
    assert [p.get_payload(decode=True) for p in parts] == [value for _, value, _ in fields]
    kept = [f for f in fields if f[0].partition("[")[0] != "a"]
    changed = read_form(replace_field(form, fields[0][0], "new", without=("a",)), content_type)
    mine = [("new" if p.name == fields[0][0] else None) or bytes(p.value) for p in changed.parts if p.name != "a"]
    assert [v for v in mine if v != "new"] == [value for name, value, _ in kept if name != fields[0][0]]


pieces = st.sampled_from(
    [
        b"--XX",
        b"--",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b'Content-Disposition: form-data; name="model"',
        b"; filename=x",
        b"v",
    ]
)


@given(st.lists(pieces | st.binary(max_size=4), max_size=16).map(b"".join))
def test_no_body_breaks_it(body: bytes) -> None:
    for content in (body, FORM[: len(body)], part(body), part(b'Content-Disposition: form-data; name="a"' + body)):
        try:
            form = read_form(content, TYPE)
        except TollwayError:
            continue
        assert replace_field(form, "none", "x", without=()).endswith(content[form.closes :])
        assert content.count(b"--XX") == len(form.parts) + 1


@given(st.text(max_size=30))
def test_no_content_type_breaks_it(text: str) -> None:
    for content_type in (text, f"multipart/form-data; {text}", f"multipart/form-data; boundary={text}"):
        try:
            form = read_form(FORM, content_type)
        except TollwayError:
            continue
        assert form.boundary in FORM
