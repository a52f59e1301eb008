from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import EvidenceError, LedgerError
from sandbox.evidence.entry import decode_entry, encode_entry
from sandbox.evidence.kinds import KINDS

DIGEST = "sha256:" + "ab" * 32
SUBJECT = {"holdout": "cxr", "version": "1", "root": DIGEST}


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "format": "proctor-entry/1",
        "kind": "holdout-locked",
        "time": "2026-01-31T12:00:00Z",
        "actor": "operator",
        "subject": SUBJECT,
        "detail": {"cases": 10, "synthetic": True},
        **changes,
    }


def about(**changes: Any) -> dict[str, Any]:
    return entry(subject={**SUBJECT, **changes})


def test_an_entry_comes_back_as_written() -> None:
    raw = encode_entry(entry())
    back = decode_entry(raw, 7)
    assert (back.index, back.kind) == (7, "holdout-locked")
    assert (back.subject["root"], back.detail["cases"]) == (DIGEST, 10)
    assert back.raw == raw


FORBIDDEN = {
    "UID in a name": about(holdout="1.2.840.10008.5.1.4.1.1.2"),
    "UID after a word": about(holdout="cxr-1.2.840.113619.2"),
    "UID as a version": about(version="1.2.840.10008"),
    "UID as the actor": entry(actor="1.2.840.10008.1"),
    "free text": about(holdout="Traceback (most recent call last)"),
    "patient's name": about(holdout="Doe^Jane"),
    "short digest": about(root="sha256:ab"),
    "unknown subject field": about(path="x"),
    "unknown detail field": entry(detail={"stderr": 1}),
    "text in a count": entry(detail={"cases": "ten"}),
    "negative count": entry(detail={"cases": -1}),
    "huge count": entry(detail={"cases": 2**53}),
    "flag as a count": entry(detail={"cases": True}),
    "fraction as a count": entry(detail={"cases": 1.5}),
    "missing root": entry(subject={"holdout": "cxr", "version": "1"}),
    "unknown kind": entry(kind="chat"),
    "kind of another type": entry(kind=["holdout-locked"]),
    "local time": entry(time="2026-01-31T12:00:00+01:00"),
    "fractional second": entry(time="2026-01-31T12:00:00.5Z"),
    "impossible day": entry(time="2026-02-31T12:00:00Z"),
    "other script's digits": entry(time="\u0662026-01-31T12:00:00Z"),
    "other format": entry(format="proctor-entry/2"),
    "extra member": entry(note="hello"),
    "subject is a list": entry(subject=[]),
}


@pytest.mark.parametrize("bad", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_what_must_not_be_logged_cannot_be(bad: dict[str, Any]) -> None:
    with pytest.raises(LedgerError) as caught:
        encode_entry(bad)
    for text in ("Traceback (", "Doe^Jane", "113619", "stderr"):
        assert text not in str(caught.value)


def finished(failures: Any) -> dict[str, Any]:
    subject = {"evaluation": "0123456789abcdef", "results": DIGEST}
    return entry(kind="evaluation-finished", subject=subject, detail={"failures": failures})


def test_failure_counts_take_codes_and_numbers_only() -> None:
    good = finished({"timeout": 3, "wrong_case": 1})
    assert decode_entry(encode_entry(good), 0).detail["failures"]["timeout"] == 3
    bad: list[Any] = [{"Segmentation fault": 1}, {"timeout": "3"}, {"1.2.840.10008.1": 1}, [1]]
    bad.append({f"code-{i}": 1 for i in range(65)})
    for failures in bad:
        with pytest.raises(LedgerError):
            encode_entry(finished(failures))


def test_every_kind_has_a_plain_name_and_can_hold_what_it_needs() -> None:
    for name, kind in KINDS.items():
        assert name == name.lower()
        assert set(kind.needs) <= set(kind.subject)


def test_reading_is_as_strict_as_writing() -> None:
    raw = encode_entry(entry())
    fraction = raw.replace(b'"cases":10', b'"cases":10.0')
    for bad in (raw + b"\n", fraction, raw.replace(b"cxr", b"CXR"), b"{}", b""):
        with pytest.raises(EvidenceError):
            decode_entry(bad, 0)


@given(st.binary(max_size=200))
def test_the_reader_raises_nothing_but_evidence_errors(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        decode_entry(data, 0)


@given(st.text(max_size=40))
def test_no_text_with_a_uid_gets_in(text: str) -> None:
    with pytest.raises(LedgerError):
        encode_entry(entry(actor=text + "1.2.840.10008"))
