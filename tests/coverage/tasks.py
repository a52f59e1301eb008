"""Coverage of intervals of tasks other than a binary one, and how seldom groups without a gap are shown one.

The truth of a figure without a formula is its value over a sample a thousand times as large.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from sandbox.outcome.results import Analysis
from sandbox.plan.protocol import Protocol
from sandbox.scoring.score import score
from tests.sandbox.scoring import task_tables

Random = np.random.Generator
LARGE = 60_000
Z = 1.959964


def scored(table: pa.Table, plan: Protocol, random: Random) -> Analysis:
    return score(table, plan, f"run-{random.integers(2**40)}").analysis()


def interval(analysis: Analysis, metric: str, subject: str | None = None) -> tuple[float, float]:
    found = next(e for e in analysis.estimates if (e.metric, e.subject) == (metric, subject))
    return found.low, found.high


def sized(n: int, each: int) -> dict[str, int]:
    return {"n": n * each, "per_patient": each}


def seed(random: Random) -> int:
    return int(random.integers(2**40))


def holds(limits: tuple[float, float], truth: float) -> bool:
    return limits[0] <= truth <= limits[1]


def shared(random: Random, patients: int, each: int, spread: float) -> np.ndarray:
    """An effect that the cases of a patient have in common."""
    return np.repeat(random.normal(0, spread, patients), each)


@cache
def plan_of(kind: str, strata: bool = False) -> Protocol:
    more = {} if strata else {"strata": ()}
    return getattr(task_tables, f"{kind}_plan")(**more)


def mean_dice(random: Random, patients: int, each: int, spread: float) -> bool:
    # Cut at its ends so seldom that the mean stays where it is.
    dice = 0.75 + shared(random, patients, each, spread)
    table = task_tables.segmentation_table(
        patients * each, dice=np.clip(dice, 0.4, 1.0), per_patient=each, seed=seed(random)
    )
    return holds(interval(scored(table, plan_of("segmentation"), random), "mean_dice"), _true_dice(spread))


@cache
def _true_dice(spread: float) -> float:
    random = np.random.default_rng(1)
    dice = np.clip(0.75 + random.normal(0, spread, 4_000_000), 0.4, 1.0)
    return float(np.clip(random.normal(dice, 0.1), 0.05, 0.99).mean())


def froc(random: Random, patients: int, each: int, rate: float) -> bool:
    table = task_tables.detection_table(**sized(patients, each), seed=seed(random))
    found = interval(scored(table, plan_of("detection"), random), "froc_sensitivity", f"{rate:g}")
    return holds(found, _true_figure("detection", "froc_sensitivity", f"{rate:g}"))


def quadratic_kappa(random: Random, n: int) -> bool:
    table = task_tables.ordinal_table(n, seed=seed(random))
    found = interval(scored(table, plan_of("ordinal"), random), "quadratic_kappa")
    return holds(found, _true_figure("ordinal", "quadratic_kappa"))


def macro_auroc(random: Random, n: int) -> bool:
    table = task_tables.multiclass_table(n, seed=seed(random))
    found = interval(scored(table, plan_of("multiclass"), random), "macro_auroc")
    return holds(found, _true_figure("multiclass", "macro_auroc"))


@cache
def _true_figure(kind: str, metric: str, subject: str | None = None) -> float:
    plan = plan_of(kind).model_copy()
    table = getattr(task_tables, f"{kind}_table")(LARGE, seed=99)
    found = score(table, plan, "truth").analysis().estimates
    return next(e.value for e in found if (e.metric, e.subject) == (metric, subject))


def limit_of_agreement(random: Random, patients: int, each: int) -> bool:
    table = task_tables.measurement_table(
        patients * each, per_patient=each, bias=1.0, noise=4.0, seed=seed(random)
    )
    # Differences have a part of each patient (half the noise) and a part of each case.
    truth = 1.0 + Z * np.hypot(4.0, 2.0)
    return holds(interval(scored(table, plan_of("measurement"), random), "upper_limit_of_agreement"), truth)


def no_false_gap(random: Random, kind: str, patients: int, each: int) -> bool:
    """Whether no gap of any metric's family over the two sexes is shown; they do not differ."""
    table = getattr(task_tables, f"{kind}_table")(**sized(patients, each), seed=seed(random))
    bias = scored(table, plan_of(kind, strata=True), random).bias
    family = {"detection": "froc_sensitivity", "multiclass": "sensitivity", "ordinal": "quadratic_kappa",
              "segmentation": "mean_dice"}[kind]  # fmt: skip
    return next(each.verdict for each in bias.families if each.metric == family) != "gap_shown"


ROWS = (
    ("mean Dice, patients", "{} patients x {}, shared spread {}", mean_dice,
        ((20, 1, 0.0), (60, 1, 0.0), (30, 3, 0.08))),
    ("FROC sensitivity, patients", "{} patients x {}, {} false positives a case", froc,
        ((60, 1, 0.5), (200, 1, 0.5), (60, 3, 2.0))),
    ("quadratic kappa", "{} cases, 5 grades", quadratic_kappa, ((40,), (150,))),
    ("macro AUROC", "{} cases, 3 classes", macro_auroc, ((60,), (200,))),
    ("limit of agreement", "{} patients x {}", limit_of_agreement, ((20, 1), (60, 1), (40, 3))),
    ("no false gap", "{}, {} patients x {}", no_false_gap,
        (("ordinal", 120, 1), ("segmentation", 60, 1), ("segmentation", 40, 3),
         ("detection", 150, 1), ("detection", 60, 3))),
)  # fmt: skip
"""Method, design, whether the interval holds the truth, and the settings that are drawn."""
