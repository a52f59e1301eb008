"""How often nominal 95 % intervals hold the truth: small samples, rare positives, clusters, reader studies.

Run: ``python tests/coverage/simulate.py [runs]`` (1,000 by default), or a quick part by pytest. Prints a
table of method, design and coverage; a design outside 93-97 % is marked, and named in the README with the reason.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sandbox.scoring import proportions, roc
from sandbox.scoring.case_mix.mantel_haenszel import pool_tables
from sandbox.scoring.case_mix.random_effects import pool
from sandbox.scoring.cases import make_cases
from sandbox.scoring.comparison.paired import compare_aurocs, tango
from sandbox.scoring.comparison.predictive_values import compare_predictive_values
from sandbox.scoring.differences import newcombe
from sandbox.scoring.mrmc.algorithm_against_readers import compare_with_readers
from sandbox.scoring.mrmc.design import make_study
from sandbox.scoring.mrmc.obuchowski_rockette import analyse
from sandbox.scoring.readers.agreement import kappa_of_table
from sandbox.scoring.readers.intraclass import intraclass_correlation
from sandbox.scoring.readers.verification import begg_greenes
from tests.coverage.tasks import ROWS

Random = np.random.Generator
Held = Callable[[Random], bool]
Z = float(stats.norm.ppf(0.85) * np.sqrt(2))
"""Separation of two normal distributions with an AUROC of 0.85."""


@dataclass(frozen=True)
class Design:
    """One row: draws a data set and says whether the interval holds the truth."""

    method: str
    text: str
    held: Held


def exact(interval: Callable, n: int, p: float) -> float:
    """Coverage of a proportion's interval, summed over all outcomes: no simulation."""
    x = np.arange(n + 1)
    low, high = interval(x, np.full(n + 1, float(n)), 0.95)
    return float(stats.binom.pmf(x, n, p)[(low <= p) & (p <= high)].sum())


def one_auroc(random: Random, positives: int, negatives: int, value: float) -> bool:
    shift = stats.norm.ppf(value) * np.sqrt(2)
    score = np.concatenate((random.normal(shift, 1, positives), random.normal(size=negatives)))
    found = roc.auroc(make_cases(np.arange(score.size) < positives, score), 0.95)
    return found.low <= value <= found.high


def clustered(random: Random, patients: int, each: int, correlation: float) -> tuple[np.ndarray, ...]:
    patient = np.repeat(np.arange(patients), each)
    truth = random.random(patient.size) < 0.35
    shared = random.normal(0, np.sqrt(correlation), patients)[patient]
    return truth, Z * truth + shared + random.normal(0, np.sqrt(1 - correlation), patient.size), patient


def clustered_auroc(random: Random, patients: int, each: int, correlation: float) -> bool:
    found = roc.auroc(make_cases(*clustered(random, patients, each, correlation)), 0.95)
    return found.low <= 0.85 <= found.high


def clustered_rate(random: Random, patients: int, each: int, correlation: float) -> bool:
    truth, score, patient = clustered(random, patients, each, correlation)
    hit = score[truth] > 0.5
    found = proportions.proportion(
        "sensitivity", hit, patient[truth], positives=hit.size, level=0.95, method="wilson", empty="none"
    )
    return found.low <= stats.norm.sf(0.5 - Z) <= found.high


def paired_aurocs(random: Random, patients: int, each: int, positives: float) -> bool:
    patient = np.repeat(np.arange(patients), each)
    truth = random.random(patient.size) < positives
    if truth.sum() < 2 or (~truth).sum() < 2:
        return True
    shared = random.normal(0, 0.7, patients)[patient] + random.normal(0, 0.5, patient.size)
    scores = [shared + random.normal(0, 0.5, patient.size) + truth for _ in range(2)]
    found = compare_aurocs(truth, *scores, patient)
    return found.low is None or found.low <= 0 <= found.high


def paired_rates(random: Random, n: int, p10: float, p01: float) -> bool:
    b, c, _ = random.multinomial(n, [p10, p01, 1 - p10 - p01])
    low, high = tango(int(b), int(c), n, 0.95)
    return low <= p10 - p01 <= high


def two_rates(random: Random, n1: int, n2: int, p: float, q: float) -> bool:
    low, high = newcombe(int(random.binomial(n1, p)), n1, int(random.binomial(n2, q)), n2, 0.95)
    return low <= p - q <= high


def ppvs(random: Random, patients: int, each: int) -> bool:
    patient = np.repeat(np.arange(patients), each)
    truth = (random.random(patients)[patient] + random.normal(0, 0.2, patient.size)) > 0.6
    calls = [truth ^ (random.random(patient.size) < 0.25) for _ in range(2)]
    found = compare_predictive_values(truth, *calls, patient)
    return found.low is None or found.low <= 0 <= found.high


def readings(random: Random, readers: int, cases: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Two treatments of one ability: the truth of a difference is 0 on average over readers."""
    truth = np.arange(cases) < cases * 2 // 5
    skill = Z + random.normal(0, spread, (2, readers, 1))
    common = random.normal(size=(1, 1, cases)) * 0.6
    return truth, skill * truth + common + random.normal(size=(2, readers, cases)) * 0.8


def reader_study(random: Random, readers: int, cases: int, spread: float) -> bool:
    found = analyse(make_study(*readings(random, readers, cases, spread))).differences[0]
    return found.low <= 0 <= found.high


def against_readers(random: Random, readers: int, cases: int, spread: float) -> bool:
    truth, scores = readings(random, readers, cases, spread)
    # The average reader's AUROC is a little below that of the average ability; the algorithm has the same average.
    value = float(np.mean(stats.norm.cdf((Z + spread * _NODES) / np.sqrt(2))))
    own = stats.norm.ppf(value) * np.sqrt(2) * truth + random.normal(size=cases)
    found = compare_with_readers(truth, own, scores[0])
    return found.low <= 0 <= found.high


_NODES = stats.norm.ppf((np.arange(400) + 0.5) / 400)


def kappa(random: Random, n: int, agree: float) -> bool:
    p = np.array([[0.3 + agree, 0.2 - agree], [0.2 - agree, 0.3 + agree]])
    expected = 0.5
    value = (0.6 + 2 * agree - expected) / (1 - expected)
    found = kappa_of_table(random.multinomial(n, p.ravel()).reshape(2, 2))
    return found.value is None or found.low <= value <= found.high


def icc(random: Random, n: int, readers: int) -> bool:
    x = random.normal(size=n) + random.normal(0, 0.5, (readers, 1)) + random.normal(0, 0.7, (readers, n))
    found = intraclass_correlation(x, "2,1")
    return found.low <= 1 / (1 + 0.25 + 0.49) <= found.high


def verification(random: Random, n: int, share: float) -> bool:
    truth = random.random(n) < 0.3
    called = random.random(n) < np.where(truth, 0.8, 0.15)
    known = np.where(random.random(n) < np.where(called, 0.95, share), truth, np.nan)
    found = begg_greenes(called, known)
    return found.sensitivity.low <= 0.8 <= found.sensitivity.high


def mantel_haenszel(random: Random, strata: int, size: int) -> bool:
    base = random.uniform(0.2, 0.6, strata)
    odds = base / (1 - base) * 2.0
    n = np.full(strata, size)
    found = pool_tables(random.binomial(n, odds / (1 + odds)), n, random.binomial(n, base), n)
    return found.odds_ratio_limits is None or found.odds_ratio_limits[0] <= 2 <= found.odds_ratio_limits[1]


def random_effects(random: Random, groups: int) -> bool:
    errors = random.uniform(0.1, 0.4, groups)
    found = pool(random.normal(0, 0.3, groups) + random.normal(0, errors), errors)
    return found.hartung_knapp[0] <= 0 <= found.hartung_knapp[1]


def designs(method: str, text: str, held: Callable[..., bool], *settings: tuple) -> list[Design]:
    """One row for each setting, whose numbers are both the text's and the drawing's."""
    return [
        Design(method, text.format(*each), lambda random, each=each: held(random, *each)) for each in settings
    ]


_PATIENTS = ((30, 4, 0.5), (60, 4, 0.5), (120, 2, 0.7))
DESIGNS = (
    *designs(
        "DeLong, logit", "{} positives, {} negatives, AUROC {:.2f}", one_auroc,
        (10, 90, 0.85), (20, 80, 0.85), (20, 80, 0.95), (50, 450, 0.95), (100, 100, 0.7),
    ),
    *designs("DeLong, logit, clustered", "{} patients x {}, correlation {}", clustered_auroc, *_PATIENTS),
    *designs("Wilson, clustered", "sensitivity, {} patients x {}, correlation {}", clustered_rate, *_PATIENTS),
    *designs("paired DeLong", "{} patients x {}, {:.0%} positive", paired_aurocs,
        (60, 1, 0.5), (200, 1, 0.05), (60, 3, 0.3)),
    *designs("Tango", "{} pairs, discordant {:.0%} and {:.0%}", paired_rates,
        (25, 0.1, 0.1), (50, 0.1, 0.02), (100, 0.05, 0.05)),
    *designs("Newcombe", "{} against {}, rates {} and {}", two_rates,
        (20, 100, 0.9, 0.9), (15, 60, 0.95, 0.8), (40, 40, 0.6, 0.5)),
    *designs("PPV difference, linearised", "{} patients x {}", ppvs, (100, 1), (60, 3)),
    *designs("Obuchowski-Rockette, Hillis", "{} readers, {} cases, spread {}", reader_study,
        (3, 50, 0.3), (5, 100, 0.3), (8, 50, 0.0)),
    *designs("one algorithm, random readers", "{} readers, {} cases, spread {}", against_readers,
        (3, 60, 0.3), (6, 100, 0.3)),
    *designs("Cohen's kappa", "{} cases", kappa, (30, 0.12), (100, 0.12)),
    *designs("ICC(2,1)", "{} cases, {} readers", icc, (20, 3), (50, 5)),
    *designs("Begg-Greenes sensitivity", "{} cases, {:.0%} of negatives verified", verification,
        (300, 0.3), (1000, 0.1)),
    *designs("Mantel-Haenszel odds ratio", "{} strata of 2 x {}", mantel_haenszel, (4, 40), (40, 4)),
    *designs("random effects, Hartung-Knapp", "{} groups", random_effects, (4,), (10,)),
    *(design for method, text, held, settings in ROWS for design in designs(method, text, held, *settings)),
)  # fmt: skip
PROPORTIONS = ((20, 0.95), (50, 0.95), (100, 0.95), (50, 0.98), (200, 0.98), (30, 0.8))


def coverage(design: Design, runs: int) -> float:
    """Share of ``runs`` data sets whose interval holds the truth; the seed is the design's own."""
    random = np.random.default_rng([runs, *f"{design.method} {design.text}".encode()])
    return sum(design.held(random) for _ in range(runs)) / runs


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(
        f"nominal 95 %; {runs} data sets each, standard error {np.sqrt(0.95 * 0.05 / runs):.3f}; proportions exact"
    )
    print(f"| {'method':<30} | {'design':<46} | coverage |")
    print(f"|{'-' * 32}|{'-' * 48}|---------:|")
    for name, interval in (("Wilson", proportions.wilson), ("Clopper-Pearson", proportions.clopper_pearson)):
        for n, p in PROPORTIONS:
            row(name, f"{n} cases, true rate {p}", exact(interval, n, p))
    for design in DESIGNS:
        row(design.method, design.text, coverage(design, runs))


def row(method: str, text: str, value: float) -> None:
    mark = "" if 0.93 <= value <= 0.97 else " *"
    print(f"| {method:<30} | {text:<46} | {value:.3f}{mark:<2} |", flush=True)


if __name__ == "__main__":
    main()
