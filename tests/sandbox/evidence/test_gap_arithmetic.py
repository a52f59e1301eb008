"""Gaps between groups recomputed from results.json: real ones hold, forged ones do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.evidence.arithmetic import contradictions
from tests.sandbox.evidence.dossier_story import scored
from tests.sandbox.evidence.test_arithmetic import change

BIAS = ("analyses", 0, "bias")
# Three strata each for AUROC and the failure rate come first.
SENSITIVITY = (*BIAS, "strata", 6)
GAP = (*SENSITIVITY, "gaps", 0)
FORGERIES: dict[str, tuple[tuple[Any, ...], Any]] = {
    "gap made smaller": ((*GAP, "value"), lambda x: x - 0.01),
    "a side's count": (
        (*GAP, "group"),
        lambda s: replace(s, successes=s.successes - 1, value=(s.successes - 1) / s.n),
    ),
    "a side's value": ((*GAP, "against", "value"), lambda x: x - 0.01),
    "interval narrowed": ((*GAP, "low"), lambda x: x + 1e-4),
    "limits crossed": ((*GAP, "simultaneous_high"), lambda x: x - 0.5),
    "smaller gap called the largest": ((*GAP, "largest_not_excluded"), lambda x: x - 0.01),
    "p polished": ((*GAP, "p"), lambda p: p * 0.9),
    "statistic polished": ((*GAP, "statistic"), lambda z: z + 0.01),
    "Holm polished": ((*GAP, "p_holm"), lambda p: p * 0.9),
    "p that no resample gives": ((*GAP, "p_family"), lambda p: p * 0.999),
    "p over all metrics": ((*GAP, "p_all"), 0.0),
    "verdict turned": ((*GAP, "verdict"), lambda v: "gap_shown" if v != "gap_shown" else "within_margin"),
    "beyond a margin that is not there": ((*GAP, "beyond_margin"), True),
    "margin after the fact": ((*BIAS, "families", 2, "margin"), 0.9),
    "family's verdict": (
        (*BIAS, "families", 2, "verdict"),
        lambda v: "within_margin" if v != "within_margin" else "gap_shown",
    ),
    "fewer comparisons": ((*BIAS, "families", 2, "comparisons"), lambda n: n - 1),
    "chance made larger": ((*SENSITIVITY, "chance", "largest"), lambda x: x + 0.1),
    "p by chance": ((*SENSITIVITY, "chance", "p"), lambda p: p * 0.999),
    "a stratum left out": ((*BIAS, "strata"), lambda s: s[1:]),
    "shrunk beyond the mean": (
        (*SENSITIVITY, "shrinkage", "levels", 0),
        lambda each: replace(each, shrunk=2.0, high=2.0),
    ),
    "equalised odds": ((*BIAS, "equalised_odds", 0, "gap"), lambda x: x / 2),
    "no cases": ((*GAP, "group", "n"), 0),
}


@pytest.mark.parametrize(("path", "value"), FORGERIES.values(), ids=FORGERIES.keys())
def test_forged_gaps_are_found(tmp_path: Path, path: tuple[Any, ...], value: Any) -> None:
    results = scored(tmp_path)
    bias = results.analyses[0].bias
    assert bias is not None
    assert bias.strata[6].metric == "sensitivity"
    forged = change(results, path, value)
    assert forged != results
    assert contradictions(forged)
