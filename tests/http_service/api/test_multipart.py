"""Forms: the model is found wherever it stands; what readers may read differently is refused."""

from __future__ import annotations

import email.parser
import email.policy
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_service.api.multipart import (
    MAX_HEAD,
    MAX_PARTS,
    MAX_VALUE,
    FormFields,
    boundary_of,
    read_form,
)
from http_service.errors import InvalidValue, MalformedRequest, RequestError

BOUNDARY = "b-7"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
ALPHABET = "0123456789abcdefgXYZ'()+_,-./:=?"

boundaries = st.text(ALPHABET, min_size=1, max_size=70)
models = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
names = st.text("abcdefghij[]_-", min_size=1, max_size=12).filter(lambda name: name != "model")


class Field(NamedTuple):
    """A part to be written."""

    name: str
    value: bytes
    more: str = ""
    """What else its Content-Disposition says."""


files = st.builds(
    Field,
    st.just("file"),
    st.binary(max_size=300) | st.just(b"\r\n--\r\n--b\r\nmodel\r\n\r\n" * 3),
    st.sampled_from(['; filename="a; model=b.wav"', '; filename="a\\"b.wav"', "; filename=a.wav"]),
)
fields = st.builds(Field, names, st.binary(max_size=200), st.just("")) | files


def part(field: Field, boundary: str = BOUNDARY) -> bytes:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field.name}"{field.more}'
    return head.encode() + b"\r\n\r\n" + field.value + b"\r\n"


def form(*fields: Field, boundary: str = BOUNDARY) -> bytes:
    return b"".join(part(field, boundary) for field in fields) + f"--{boundary}--\r\n".encode()


def model(name: str = "up") -> Field:
    return Field("model", name.encode())


def refusal(raw: bytes, content_type: str = TYPE) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read_form(raw, content_type)
    assert isinstance(caught.value, MalformedRequest | InvalidValue)
    assert caught.value.param
    assert caught.value.message
    return caught.value


@st.composite
def forms(draw: st.DrawFn) -> tuple[bytes, str, str, list[Field]]:
    """A form with one model, its content type, the model, and its parts in order."""
    boundary = draw(boundaries)
    name = draw(models.filter(lambda name: boundary not in name))
    parts = draw(st.lists(fields, max_size=6))
    parts = [each for each in parts if f"--{boundary}".encode() not in each.value]
    parts.insert(draw(st.integers(0, len(parts))), model(name))
    quoted = draw(st.booleans()) or not set(boundary).isdisjoint("()/:?=,'")
    text = f'"{boundary}"' if quoted else boundary
    more = draw(st.sampled_from(["", "; charset=utf-8", ' ; x="a;b"', ";"]))
    content_type = draw(st.sampled_from(["multipart/form-data", "Multipart/Form-Data"]))
    return form(*parts, boundary=boundary), f"{content_type}; boundary={text}{more}", name, parts


@given(forms())
def test_the_model_is_found_wherever_it_stands(
    made: tuple[bytes, str, str, list[Field]],
) -> None:
    raw, content_type, name, parts = made
    read = read_form(raw, content_type)

    assert read.model == read.fields["model"] == name
    assert raw[read.form.start : read.form.end] == name.encode()
    assert read.form.names == {each.name for each in parts}
    assert read.form.content_type == content_type


@given(forms(), models)
def test_a_form_is_renamed_without_another_byte_changed(
    made: tuple[bytes, str, str, list[Field]], other: str
) -> None:
    raw, content_type, name, parts = made
    renamed, written = read_form(raw, content_type).form.renamed(raw, other)
    again = read_form(renamed, content_type)

    assert (again.model, again.form) == (other, written)
    assert written.renamed(renamed, name)[0] == raw
    assert again.form.names == {each.name for each in parts}


@given(forms(), st.dictionaries(names, st.text(max_size=5) | st.booleans() | st.integers(0, 9)))
def test_defaults_are_fields_where_the_client_sent_none(
    made: tuple[bytes, str, str, list[Field]], defaults: dict[str, object]
) -> None:
    raw, content_type, name, parts = made
    before = read_form(raw, content_type).form
    completed, written = before.completed(raw, {**defaults, "model": "never"})
    again = read_form(completed, content_type)

    assert completed.endswith(raw)
    assert (again.model, again.form) == (name, written)
    assert again.form.names == {each.name for each in parts} | defaults.keys()
    assert written.completed(completed, defaults)[0] == completed


@given(forms(), st.data())
def test_a_form_that_was_cut_is_refused(
    made: tuple[bytes, str, str, list[Field]], data: st.DataObject
) -> None:
    raw, content_type, _, _ = made
    cut = raw[: data.draw(st.integers(0, len(raw) - len(b"--\r\n")))]
    refusal(cut, content_type)


@given(st.binary(max_size=300), st.text(max_size=80))
def test_nothing_else_is_ever_raised(raw: bytes, content_type: str) -> None:
    for sent in (content_type, TYPE, f"multipart/form-data{content_type}"):
        refusal(raw, sent)


@given(forms(), st.data())
def test_a_changed_byte_never_raises_anything_else(
    made: tuple[bytes, str, str, list[Field]], data: st.DataObject
) -> None:
    raw, content_type, _, _ = made
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:at] + data.draw(st.binary(max_size=3)) + raw[at + 1 :]
    try:
        read = read_form(changed, content_type)
    except RequestError:
        refusal(changed, content_type)
    else:
        assert changed[read.form.start : read.form.end].decode() == read.model


@given(forms())
def test_pythons_own_parser_reads_the_same_model(
    made: tuple[bytes, str, str, list[Field]],
) -> None:
    raw, content_type, name, _ = made
    head = f"content-type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + raw)
    found = [
        each.get_payload(decode=True)
        for each in message.iter_parts()
        if each.get_param("name", header="content-disposition") == "model"
    ]
    assert found == [name.encode()]


def test_a_model_after_a_large_file_is_found() -> None:
    file = Field("file", b"\r\n--b-" * 700_000, '; filename="a.wav"')
    read = read_form(form(file, model()), TYPE)
    assert read.model == "up"


def test_the_user_is_read_for_the_sessions_policy() -> None:
    read: FormFields = read_form(form(Field("user", b"anna"), model()), TYPE)
    assert read.fields == {"user": "anna", "model": "up"}


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n\r\n" + form(model()),
        form(model()).removesuffix(b"\r\n"),
        form(model()) + b"\r\n \r\n",
        form(model()).replace(b"--b-7\r\n", b"--b-7 \t\r\n"),
        form(model()).replace(b"Disposition: ", b"disposition:"),
        form(model()).replace(b"; name", b";name"),
        form(model()).replace(b'"model"', b"model"),
        form(model()).replace(b'"model"', b'"model";'),
        form(model()).replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\n\r\n"),
        form(model()).replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"),
    ],
)
def test_what_is_written_in_another_way_is_read(raw: bytes) -> None:
    assert read_form(raw, TYPE).model == "up"


AT_THE_BODY: list[tuple[str, bytes, str]] = [
    ("no form", b"", "content-type"),
    ("JSON", b'{"model":"up"}', "content-type"),
    ("another boundary", form(model(), boundary="c"), "content-type"),
    ("a preamble", b"hello\r\n" + form(model()), "content-type"),
    ("no part", form(), "model"),
    ("no model", form(Field("file", b"x")), "model"),
    ("two models", form(model("a"), model("a")), "model"),
    ("another case", form(Field("Model", b"up")), "model"),
    ("another case beside it", form(model(), Field("MODEL", b"x")), "model"),
    ("an escaped name", form(Field("mo\\del", b"up")), "model"),
    ("a quoted name", form(Field("%6Dodel", b"up")), "model"),
    ("spaces around it", form(Field(" model", b"up")), "model"),
    ("a file", form(Field("model", b"up", '; filename="m"')), "model"),
    ("a file, in RFC 5987", form(Field("model", b"up", "; filename*=utf-8''m")), "model"),
    (
        "encoded",
        form(model("dXA=")).replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
        "model",
    ),
    ("empty", form(Field("model", b"")), "model"),
    ("too long", form(Field("model", b"x" * (MAX_VALUE + 1))), "model"),
    ("not UTF-8", form(Field("model", b"\xff")), "model"),
    ("two names", form(Field("x", b"", '; name="model"')), "parts[0]"),
    ("two names, in RFC 5987", form(Field("x", b"", "; name*=utf-8''model")), "parts[0]"),
    ("LF instead of CRLF", form(model()).replace(b"\r\n", b"\n"), "parts[0]"),
    ("CR instead of CRLF", form(model()).replace(b"\r\n", b"\r"), "parts[0]"),
    ("LF in a head", form(model()).replace(b"\r\n\r\n", b"\nX: y\r\n\r\n"), "parts[0]"),
    ("a folded head", form(model()).replace(b"; name", b";\r\n name"), "parts[0]"),
    ("NUL in a head", form(model()).replace(b'"\r', b'"\0\r'), "parts[0]"),
    ("no head", b"--b-7\r\n\r\nup\r\n--b-7--\r\n", "parts[0]"),
    ("no disposition", b"--b-7\r\nX: y\r\n\r\nup\r\n--b-7--\r\n", "parts[0]"),
    ("an attachment", form(model()).replace(b"form-data", b"attachment"), "parts[0]"),
    ("a long head", form(Field("x", b"", f'; filename="{"y" * MAX_HEAD}"'), model()), "parts[0]"),
    ("a boundary that goes on", form(Field("x", b"1\r\n--b-77\r\n"), model()), "parts[1]"),
    ("a boundary after a head", part(model())[:-4] + b"--b-7\r\n" + form(model("b")), "model"),
    ("a second form after it", form(model()) + form(model("b")), "parts[1]"),
    ("too many parts", form(*[Field("x", b"")] * MAX_PARTS, model()), f"parts[{MAX_PARTS}]"),
]


@pytest.mark.parametrize(
    ("raw", "param"), [row[1:] for row in AT_THE_BODY], ids=[row[0] for row in AT_THE_BODY]
)
def test_a_bad_form_is_refused_by_what_is_wrong_with_it(raw: bytes, param: str) -> None:
    assert refusal(raw).param == param


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data;",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        'multipart/form-data; boundary="b-7',
        "multipart/form-data; boundary=b-7; boundary=b-7",
        "multipart/form-data; boundary=b-7 x",
        'multipart/form-data; boundary="b-7 "',
        'multipart/form-data; boundary="b\\-7"',
        f"multipart/form-data; boundary={'b' * 71}",
        "multipart/form-data; boundary=b\xe9",
        "multipart/form-data; boundary=b-7\n",
        "multipart/mixed; boundary=b-7",
    ],
)
def test_a_bad_boundary_is_refused(content_type: str) -> None:
    assert refusal(form(model()), content_type).param == "content-type"


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/form-data; boundary="a b"', b"a b"),
        ("multipart/form-data;boundary=----=_Part_1_2.3", b"----=_Part_1_2.3"),
        ("multipart/form-data; charset=utf-8; BOUNDARY=x ;", b"x"),
        ('multipart/form-data; x="boundary=y\\"; boundary=z"; boundary=x', b"x"),
    ],
)
def test_a_boundary_is_read_however_it_is_written(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary
