"""How values become text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.report import text


@given(st.text())
def test_what_is_shown_holds_no_control_format_or_unassigned_character(value):
    shown = text.visible(value)
    assert all(unicodedata.category(c) not in text.UNSHOWN_CATEGORIES for c in shown)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=200))
def test_ordinary_text_passes_unchanged(value):
    assert text.visible(value) == value


def test_stacked_marks_and_endless_names_are_bounded():
    assert text.visible("a" + "\u0301" * 40).count("\u0301") == text.MOST_COMBINING_MARKS
    assert text.visible("x" * 1000, longest=10) == "x" * 10 + " … (990 more characters)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.8694, "0.869"),
        (-0.25, "\u22120.250"),
        (-0.0001, "0.000"),
        (1.0, "1.000"),
        (None, "–"),
        (12.3456, "12.346"),
    ],
)
def test_numbers_have_three_decimals_and_a_true_minus(value, shown):
    assert text.decimal(value) == shown


def test_counts_are_exact_and_shares_of_nothing_are_not_zero():
    assert text.count(1234567) == "1\u202f234\u202f567"
    assert text.percent(0, 0) == "–"
    assert text.percent(1, 8) == "12.5\u202f%"
    assert text.size(999) == "999 bytes"
    assert text.size(184_320_000) == "184.3\u202fMB"
    assert text.shortened("sha256:" + "a" * 64) == "sha256:aaaaaaaaaaaa…"
