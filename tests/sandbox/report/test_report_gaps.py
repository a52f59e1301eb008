"""Gaps between groups on the page: the line on the first screen, the section, the figure, the warning."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pyarrow as pa
import pytest

from sandbox.outcome.results import Results
from sandbox.report import gap_figure, gap_findings, glossary
from sandbox.report.page import render
from sandbox.scoring.score import score
from tests.sandbox.scoring.test_score import protocol


def scored(gap: float, margin: float | None, n: int = 500) -> Results:
    """Results in which maker B is called worse by `gap` on the scale of the score's noise."""
    random = np.random.default_rng(18)
    reference = (random.random(n) < 0.45).astype(int)
    maker = np.where(random.random(n) < 0.4, "B", "A")
    shift = np.where(maker == "B", 2.2 - gap, 2.2)
    values = 1 / (1 + np.exp(-random.normal(shift * reference - 1.1, 1)))
    table = pa.table(
        {
            "case_id": [f"case-{i:04d}" for i in range(n)],
            "patient_key": [f"patient-{i // 2}" for i in range(n)],
            "reference": pa.array(reference, pa.int8()),
            "score": pa.array(np.round(values, 3), pa.float64()),
            "failure": pa.nulls(n, pa.string()),
            "maker": maker.tolist(),
            "sex": random.choice(["F", "M", "<b>x</b>"], n, p=[0.5, 0.49, 0.01]).tolist(),
        }
    )
    plan = protocol(
        strata=[{"attribute": "maker", "reference": "A"}, {"attribute": "sex"}, {"cross": ["maker", "sex"]}],
        **({} if margin is None else {"bias": {"margin": margin}}),
    )
    return score(table, plan, "ev-1")


@pytest.fixture(scope="module")
def with_gap() -> Results:
    return scored(1.6, 0.1)


def page_of(make_report, results: Results) -> str:
    report = make_report()
    return render(
        make_report(results=dataclasses.replace(results, protocol_digest=report.protocol.digest))
    ).decode()


def first_screen(page: str) -> str:
    return page[: page.index('id="warnings"')]


def test_the_first_screen_names_the_largest_gap_shown(make_report, with_gap):
    page = page_of(make_report, with_gap)
    assert re.search(
        r"Largest gap shown: Sensitivity at half −0\.\d+ in maker B against A", first_screen(page)
    )
    assert "A gap between groups is shown" in page
    assert '<section id="gaps">' in page
    assert "Gap shown" in page


def test_the_first_screen_says_that_none_is_shown_and_what_is_not_excluded(make_report):
    page = page_of(make_report, scored(0.0, None))
    assert "No gap between groups is shown. Not excluded are gaps of up to 0." in first_screen(page)
    assert "A gap between groups is shown" not in page


def test_nothing_is_within_a_margin_that_nobody_registered(make_report):
    results = scored(0.0, None)
    bias = results.analysis().bias
    assert bias is not None
    verdicts = {gap.verdict for stratum in bias.strata for gap in stratum.gaps}
    assert verdicts <= {"cannot_tell", "gap_shown"}
    assert {family.margin for family in bias.families} == {None}


def test_foreign_level_names_stay_text(make_report, with_gap):
    page = page_of(make_report, with_gap)
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page


def test_raw_stands_beside_shrunk_and_small_levels_have_their_reason(make_report, with_gap):
    section = re.search(r'<section id="gaps">.*?</section>', page_of(make_report, with_gap), re.S)
    assert section
    assert re.search(r"Raw</th>.*Shrunk</th>", section[0], re.S)
    assert "Too few for a comparison: " in section[0]
    assert "Equal opportunity" in section[0]


def test_every_method_of_gaps_is_described(with_gap):
    assert [use.identifier for use in glossary.methods_used(with_gap) if use.method is None] == []
    assert [name for name, metric in glossary.metrics_used(with_gap) if metric is None] == []


def test_the_figure_draws_every_compared_level_and_is_the_same_every_time(with_gap):
    bias = with_gap.analysis().bias
    assert bias is not None
    metrics = (("sensitivity", "half"), ("auroc", None))
    drawn = gap_figure.gap_plot(bias, metrics, "gaps-0")
    assert drawn == gap_figure.gap_plot(bias, metrics, "gaps-0")
    for text in ("B against A", "Sensitivity", "margin ±0.1", "◆ gap shown"):
        assert text in drawn


def test_results_without_gaps_say_so(make_report):
    report = make_report()
    assert "made before gaps between groups were looked for" in first_screen(
        page_of(make_report, report.results)
    )


def test_a_p_is_never_written_as_zero():
    assert gap_findings.p_words(1 / 2001) == "< 0.001"
    assert gap_findings.signed(0.0004) == "0.000"
    assert gap_findings.signed(-0.02) == "−0.020"
