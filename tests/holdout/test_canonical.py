"""Canonical JSON of flat records, against the reference implementation of RFC 8785."""

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from holdout.canonical import canonical_record

VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text()))


def bytes_or_refusal(encode, record):
    try:
        return encode(record)
    except rfc8785.CanonicalizationError:
        return None


@given(st.dictionaries(st.text(), VALUES))
def test_any_record_has_the_bytes_of_the_general_encoder(record):
    assert bytes_or_refusal(canonical_record, record) == bytes_or_refusal(rfc8785.dumps, record)


@given(st.dictionaries(st.sampled_from(["path", "role", "size"]), st.text(st.characters())))
def test_records_of_text_have_the_bytes_of_the_general_encoder(record):
    assert bytes_or_refusal(canonical_record, record) == bytes_or_refusal(rfc8785.dumps, record)


@pytest.mark.parametrize("value", [2**53 - 1, 2**53, -(2**53), '\x7f\x1f\b\f\n\r\t"\\/', "\ud800", True])
def test_ends_of_the_ranges(value):
    record = {"value": value}
    assert bytes_or_refusal(canonical_record, record) == bytes_or_refusal(rfc8785.dumps, record)
