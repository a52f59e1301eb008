"""The pages that describe admission and contracts agree with the code, and every code of admission is tested."""

import re
from pathlib import Path

import pytest

from runners.contracts.registry import CONTRACTS
from runners.contracts.reports import REPORTS
from runners.failures import FailureCode
from runners.reference_tables import FOLDER, TABLES, with_tables
from runners.refusals import CHECKS, AdmissionNote, RefusalReason

TESTS = Path(__file__).parent


@pytest.mark.parametrize("page", sorted(TABLES))
def test_tables_in_the_pages_are_what_the_code_says(page):
    text = (FOLDER / page).read_text(encoding="utf-8")
    assert text == with_tables(text, TABLES[page]), "run: python -m runners.reference_tables"


def test_every_code_of_admission_belongs_to_one_check_and_has_a_sentence():
    listed = [code for check in CHECKS for code in check.codes]
    assert sorted(listed) == sorted([*RefusalReason, *AdmissionNote])
    assert all(code.sentence.endswith(".") for code in listed)


@pytest.mark.parametrize("code", [*RefusalReason, *AdmissionNote])
def test_every_code_of_admission_has_a_test_that_names_it(code):
    sources = [
        path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py") if path != Path(__file__)
    ]
    assert any(re.search(rf'"{code.value}[" ]|match="{code.value}', text) for text in sources)


def test_every_contract_is_in_the_table_and_every_failure_can_be_told():
    words = " ".join(item.name for item in REPORTS).replace("GC", "grand-challenge")
    assert all(name in words for name in CONTRACTS)
    assert frozenset().union(*(item.codes for item in REPORTS)) == frozenset(FailureCode)
    assert all(not item.codes & item.run_codes for item in REPORTS)
