from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.canonical import canonical_json
from sandbox.errors import EvidenceError
from sandbox.evidence.strictjson import JsonLimits, parse, parse_canonical, parse_object

BAD = {
    "duplicate names": b'{"a":1,"a":2}',
    "duplicate names by escape": b'{"a":1,"\\u0061":2}',
    "duplicate names deep inside": b'[{"b":{"a":1,"a":1}}]',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "float beyond a double": b'{"a":1e999}',
    "integer beyond 2^53": b'{"a":9007199254740992}',
    "integer of 5,000 digits": b'{"a":' + b"9" * 5000 + b"}",
    "lone surrogate": b'{"a":"\\ud800"}',
    "lone surrogate in a name": b'{"\\udc00":1}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "not UTF-8": b'{"a":"\xff"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "deep": b"[" * 40 + b"]" * 40,
    "very deep": b"[" * 1_000_000,
    "very deep objects": b'{"a":' * 200_000,
    "trailing data": b"{} {}",
    "trailing comma": b"[1,]",
    "comment": b"{} // x",
    "control character in a string": b'"\x01"',
    "leading zero": b"[01]",
    "empty": b"",
    "single quotes": b"{'a':1}",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_ambiguous_or_boundless_documents_are_refused(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        parse(data, what="a document")


def test_size_is_bounded_before_parsing() -> None:
    with pytest.raises(EvidenceError, match="at most 10"):
        parse(b"[1,2,3,4,5,6]", what="a document", limits=JsonLimits(size=10))


def test_brackets_inside_strings_are_not_depth() -> None:
    assert parse(b'["[[[[[[[[[[\\"{{{{{{{"]', what="x", limits=JsonLimits(depth=1)) == ['[[[[[[[[[["{{{{{{{']


def test_errors_do_not_quote_the_document() -> None:
    with pytest.raises(EvidenceError) as caught:
        parse(b'{"SECRET":1,"SECRET":2}', what="a document")
    assert "SECRET" not in str(caught.value)


def test_only_objects_and_only_canonical_ones() -> None:
    with pytest.raises(EvidenceError):
        parse_object(b"[]", what="x")
    for data in (b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":1.0}', b'{"a":"\\u0041"}', b'{"a":1}\n', b'{"a":1E2}'):
        with pytest.raises(EvidenceError, match="canonical"):
            parse_canonical(data, what="x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2**53) + 1, 2**53 - 1)  # RFC 8785 writes a larger whole float as an integer
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=5))
def test_canonical_json_comes_back(value: dict[str, object]) -> None:
    data = canonical_json(value)
    assert canonical_json(parse_canonical(data, what="x")) == data


@given(st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).encode()))
def test_the_parser_raises_nothing_else_and_agrees_with_the_standard_library(data: bytes) -> None:
    try:
        value = parse(data, what="x")
    except EvidenceError:
        return
    assert value == json.loads(data)
