"""Case mix, population, slices, errors of the reference and short intervals on the page."""

from __future__ import annotations

import dataclasses
import re

import pytest

from sandbox.report import glossary
from sandbox.report.page import render
from sandbox.report.trust_findings import about_trust, covers_badly
from tests.sandbox.report.conftest import estimate
from tests.sandbox.scoring.test_mix_sections import SECTIONS, scored, world


@pytest.fixture(scope="module")
def results():
    return scored(world(), **SECTIONS)


def page_of(make_report, results):
    digest = make_report().protocol.digest
    return render(make_report(results=dataclasses.replace(results, protocol_digest=digest))).decode()


def section(page, name):
    return page[page.index(f'<section id="{name}">') :].split("</section>")[0]


def test_each_section_is_shown_and_can_be_reached(make_report, results):
    page = page_of(make_report, results)
    for name in ("case-mix", "population", "reference-error", "slices"):
        assert f'<a href="#{name}">' in page
        assert section(page, name).count("<tr") > 3


def test_absent_sections_leave_no_trace(make_report, sample_page):
    page = sample_page.decode()
    for name in ("case-mix", "population", "reference-error", "slices"):
        assert f"#{name}" not in page


def test_crude_stands_beside_standardised_with_its_support(make_report, results):
    shown = section(page_of(make_report, results), "case-mix")
    first = results.analysis().case_mix.comparisons[0].groups[1]
    row = next(line for line in shown.split("<tr") if f">{first.successes} / {first.n}<" in line)
    assert f"{first.crude:.3f}" in row
    assert f"{first.standardised:.3f}" in row
    assert f"{first.cells[0].successes} / {first.cells[0].n}" in shown


def test_slices_are_labelled_exploratory(make_report, results):
    shown = section(page_of(make_report, results), "slices")
    assert "Exploratory" in shown
    assert "a hypothesis for other data, not a result" in shown


def test_a_level_that_the_hold_out_lacks_is_marked(make_report, results):
    shown = section(page_of(make_report, results), "population")
    assert re.search(r'<tr class="missing"><th scope="row">X</th>', shown)
    assert "Not represented" in shown


def test_what_must_be_read_before_use(results):
    titles = [told.title for told in about_trust(results.analysis())]
    assert titles == ["The hold-out is unlike the intended population", "The reference may be wrong"]


@pytest.mark.parametrize(
    ("value", "positives", "n", "badly"),
    [(0.85, 10, 100, True), (0.95, 20, 100, True), (0.85, 80, 200, False), (0.95, 90, 100, True)],
)
def test_short_intervals_are_told_at_the_simulated_designs(value, positives, n, badly):
    assert covers_badly(estimate("auroc", value, n=n, positives=positives)) is badly


def test_only_intervals_of_that_kind_are_told():
    assert not covers_badly(estimate("auroc", 1.0, n=100, positives=10, method="newcombe-5"))
    assert not covers_badly(estimate("sensitivity", 0.99, n=100, positives=10))


def test_the_warning_says_where(make_report):
    few = scored(world(60)).analysis()
    told = next(each for each in about_trust(few) if "AUROC" in each.title)
    assert "levels" in told.text


def test_every_method_is_described(results):
    for use in glossary.methods_used(results):
        assert use.method is not None, use.identifier


def test_a_foreign_level_name_stays_text(make_report):
    table = world()
    sex = ["<b>F</b>" if each == "F" else each for each in table["sex"].to_pylist()]
    table = table.set_column(table.schema.get_field_index("sex"), "sex", [sex])
    page = page_of(make_report, scored(table, slices=SECTIONS["slices"], case_mix=SECTIONS["case_mix"]))
    assert "<b>F</b>" not in page
