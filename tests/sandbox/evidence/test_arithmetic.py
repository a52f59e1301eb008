from __future__ import annotations

import dataclasses
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sandbox.evidence.arithmetic import contradictions, count_checked, wilson
from sandbox.outcome.results import Results
from tests.sandbox.evidence.dossier_story import scored


@pytest.mark.parametrize("proportion", ["wilson", "clopper-pearson"])
@pytest.mark.parametrize("clustered", [False, True])
def test_what_scoring_makes_holds(tmp_path: Path, proportion: str, clustered: bool) -> None:
    for seed in range(4):
        results = scored(tmp_path, proportion=proportion, seed=seed, clustered=clustered)
        assert contradictions(results) == []
        assert count_checked(results) > 100


def test_wilson_of_newcombe_1998() -> None:
    # Newcombe 1998, Stat Med 17:857, table I, method 3: 81/263 and 15/148.
    assert wilson(81, 263, 0.95) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148, 0.95) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20, 0.95) == pytest.approx((0.0, 0.1611), abs=5e-5)


@given(st.integers(1, 3000), st.data(), st.floats(0.5, 0.999))
def test_wilson_agrees_with_scipy(n: int, data: st.DataObject, level: float) -> None:
    k = data.draw(st.integers(0, n))
    oracle = stats.binomtest(k, n).proportion_ci(confidence_level=level, method="wilson")
    assert wilson(k, n, level) == pytest.approx((oracle.low, oracle.high), abs=1e-9)


def change(results: Results, path: tuple[Any, ...], value: Any) -> Results:
    """``results`` with the value at ``path`` (field names and tuple positions) replaced."""

    def put(place: Any, rest: tuple[Any, ...]) -> Any:
        if not rest:
            return value(place) if callable(value) else value
        step = rest[0]
        if isinstance(step, int):
            return (*place[:step], put(place[step], rest[1:]), *place[step + 1 :])
        return replace(place, **{step: put(getattr(place, step), rest[1:])})

    changed = put(results, path)
    assert isinstance(changed, Results)
    return changed


POINT = ("analyses", 0, "operating_points", 0)
FORGERIES = {
    "one true positive more": ((*POINT, "tp"), lambda x: x + 1),
    "a miss turned into a hit": (POINT, lambda p: replace(p, tp=p.tp + 1, fn=p.fn - 1)),
    "negative count": (POINT, lambda p: replace(p, tp=p.tp + p.fn + 1, fn=-1)),
    "sensitivity polished": ((*POINT, "estimates", 0, "value"), lambda x: x + 0.01),
    "sensitivity with its numerator": (
        (*POINT, "estimates", 0),
        lambda e: replace(e, successes=e.successes + 1, value=(e.successes + 1) / e.n),
    ),
    "specificity's lower limit raised": ((*POINT, "estimates", 1, "low"), lambda x: x + 0.02),
    "specificity's upper limit raised": ((*POINT, "estimates", 1, "high"), lambda x: min(1.0, x + 0.001)),
    "F1 polished": ((*POINT, "estimates", 6, "value"), lambda x: x + 1e-6),
    "balanced accuracy polished": ((*POINT, "estimates", 7, "value"), lambda x: x + 1e-6),
    "MCC polished": ((*POINT, "estimates", 8, "value"), lambda x: x + 1e-6),
    "likelihood ratio polished": ((*POINT, "estimates", 4, "value"), lambda x: x * 1.001),
    "AUROC polished": (
        ("analyses", 0, "estimates", 0),
        lambda e: replace(e, value=e.value + 0.02, high=min(1.0, e.high + 0.02)),
    ),
    "value outside its interval": (("analyses", 0, "estimates", 0, "high"), 0.1),
    "curve that falls": (("analyses", 0, "curves", "roc", "sensitivity"), lambda y: (*y[:-2], 0.0, y[-1])),
    "curve that ends early": (("analyses", 0, "curves", "roc", "sensitivity"), lambda y: (*y[:-1], 0.9)),
    "curve's columns of unequal length": (("analyses", 0, "curves", "roc", "threshold"), lambda y: y[:-1]),
    "a case hidden in a stratum": (("analyses", 0, "strata", 0, "n"), lambda x: x - 1),
    "a stratum left out": (("analyses", 0, "strata"), lambda s: s[1:]),
    "a failure hidden": (("flow", "failed"), lambda x: x - 1),
    "a failure code left out": (("flow", "failures"), ()),
    "more scored than locked": (("flow", "locked"), 3),
    "only the flattering analysis": (("analyses",), lambda a: (a[1], a[1])),
    "analysis of fewer cases": (("analyses", 0, "n"), lambda x: x - 1),
    "verdict turned": (("verdict",), lambda v: "not_met" if v == "met" else "met"),
    "criterion's verdict turned": (
        ("acceptance", 0, "verdict"),
        lambda v: "not_met" if v == "met" else "met",
    ),
    "criterion moved after the fact": (("acceptance", 0, "limit"), lambda x: 2.0),
    "criterion on a made-up estimate": (("acceptance", 0, "estimate", "n"), lambda n: n - 1),
    "undefined with a value": (("analyses", 0, "estimates", 0, "status"), "undefined"),
    "more patients than cases": (("analyses", 0, "estimates", 0, "patients"), 10_000),
    "boundless work": (
        (*POINT, "estimates", 0),
        lambda e: replace(e, n=2**53 - 1, successes=2**52, value=0.5, method="clopper-pearson"),
    ),
}


@pytest.mark.parametrize(("path", "value"), FORGERIES.values(), ids=FORGERIES.keys())
def test_forged_numbers_are_found(tmp_path: Path, path: tuple[Any, ...], value: Any) -> None:
    results = scored(tmp_path)
    forged = change(results, path, value)
    assert forged != results
    assert contradictions(forged)


@pytest.mark.parametrize("side", ["low", "high"])
def test_a_narrowed_exact_or_clustered_interval_is_found(tmp_path: Path, side: str) -> None:
    for proportion, clustered in (("clopper-pearson", False), ("clopper-pearson", True), ("wilson", True)):
        results = scored(tmp_path, proportion=proportion, clustered=clustered)
        estimate = results.analyses[0].operating_points[0].estimates[0]
        assert estimate.value is not None
        narrowed = estimate.value + (-1e-4 if side == "low" else 1e-4)
        forged = change(results, (*POINT, "estimates", 0, side), narrowed)
        assert contradictions(forged), (proportion, clustered)


def test_dropping_the_mark_of_clusters_is_found(tmp_path: Path) -> None:
    results = scored(tmp_path, clustered=True)
    forged = change(results, (*POINT, "estimates", 0, "method"), "wilson")
    assert contradictions(forged)


def test_every_number_of_the_operating_point_is_bound(tmp_path: Path) -> None:
    results = scored(tmp_path)
    point = results.analyses[0].operating_points[0]
    for position, estimate in enumerate(point.estimates):
        for field in dataclasses.fields(estimate):
            value = getattr(estimate, field.name)
            if field.name != "value" or not isinstance(value, float) or not math.isfinite(value):
                continue
            forged = change(results, (*POINT, "estimates", position, "value"), value + 1e-4)
            assert contradictions(forged), estimate.metric
