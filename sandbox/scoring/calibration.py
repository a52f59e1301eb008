"""Whether scores mean what they say, when the protocol declares them as probabilities (range 0 to 1).

Brier score: mean squared difference to the 0/1 reference (half of the two-class sum). Calibration
intercept: logistic regression of the reference with the logit of the score as offset ("in the large", 0 is
ideal); slope: coefficient of that logit (1 is ideal); Cox 1958 (Biometrika 45:562), Van Calster et al. 2019
(BMC Med 17:230). Standard errors by the sandwich, summed by patient. ECE: ten bins of equal width, closed
below, of the score for the positive class; sum of (share of cases) x |mean score - share of positives|. It
is biased upward in small samples, and its bootstrap interval inherits that.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special, stats

from sandbox.outcome.results import CalibrationBin, CalibrationCurve, Estimate
from sandbox.scoring.bootstrap import Seed, expected_calibration_errors, percentile_interval
from sandbox.scoring.cases import Floats, Integers, ScoredCases, compact, count_patients, patient_sums
from sandbox.scoring.estimates import basis_of, estimate, method_name, quantile, undefined
from sandbox.scoring.proportions import effective_size, wilson

BINS = 10
_ONE_CLASS = "It needs a positive and a negative answered case."
BINNING = (
    "10 bins of equal width from 0 to 1, closed below; score of the positive class; answered cases only."
)


def brier(cases: ScoredCases, level: float) -> Estimate:
    """Brier score; a failed case counts as the largest possible error, 1."""
    basis = basis_of(cases, level)
    name = method_name("mean-t", basis.patients < cases.n)
    if cases.n == 0:
        return undefined("brier", basis, name, "There is no case.")
    error = (np.clip(cases.score, 0.0, 1.0) - cases.reference) ** 2
    value = float(error.mean())
    if basis.patients < 2:
        return estimate("brier", value, None, basis, name, reason="One patient alone gives no interval.")
    sums = patient_sums(error - value, cases.patient)
    spread = math.sqrt(basis.patients / (basis.patients - 1) * float(sums @ sums)) / cases.n
    half = float(stats.t.ppf((1 + level) / 2, basis.patients - 1)) * spread
    return estimate("brier", value, (max(0.0, value - half), min(1.0, value + half)), basis, name)


def intercept(cases: ScoredCases, level: float, clip: float) -> Estimate:
    """Calibration intercept of the answered cases; ``clip`` keeps scores of 0 and 1 off infinity."""
    answered = cases.where(~cases.failed)
    basis = basis_of(answered, level)
    name = method_name("logistic-sandwich", basis.patients < answered.n)
    if answered.positives == 0 or answered.negatives == 0:
        return undefined("calibration_intercept", basis, name, _ONE_CLASS)
    offset = _logit(answered.score, clip)
    design = np.ones((answered.n, 1))
    return _coefficient("calibration_intercept", answered, design, offset, 0, level)


def slope(cases: ScoredCases, level: float, clip: float) -> Estimate:
    """Calibration slope of the answered cases; ``clip`` keeps scores of 0 and 1 off infinity."""
    answered = cases.where(~cases.failed)
    basis = basis_of(answered, level)
    name = method_name("logistic-sandwich", basis.patients < answered.n)
    if answered.positives == 0 or answered.negatives == 0:
        return undefined(
            "calibration_slope", basis, name, "It needs a positive and a negative answered case."
        )
    if answered.score[0] == answered.score[-1]:
        return undefined("calibration_slope", basis, name, "All scores are equal: a slope does not exist.")
    logit = _logit(answered.score, clip)
    positive, negative = logit[answered.reference], logit[~answered.reference]
    if positive.min() >= negative.max() or positive.max() <= negative.min():
        reason = "The score separates positives from negatives: the slope has no finite value."
        return undefined("calibration_slope", basis, name, reason)
    design = np.column_stack((np.ones(answered.n), logit))
    return _coefficient("calibration_slope", answered, design, np.zeros(answered.n), 1, level)


def _coefficient(
    metric: str, cases: ScoredCases, design: Floats, offset: Floats, wanted: int, level: float
) -> Estimate:
    basis = basis_of(cases, level)
    name = method_name("logistic-sandwich", basis.patients < cases.n)
    fitted = _logistic(design, offset, cases.reference.astype(np.float64), cases.patient)
    if fitted is None:
        return undefined(metric, basis, name, "The regression does not settle on a solution.")
    coefficients, covariance = fitted
    value = float(coefficients[wanted])
    if basis.patients < 2:
        return estimate(metric, value, None, basis, name, reason="One patient alone gives no interval.")
    half = quantile(level) * math.sqrt(max(0.0, float(covariance[wanted, wanted])))
    return estimate(metric, value, (value - half, value + half), basis, name)


def _logistic(
    design: Floats, offset: Floats, outcome: Floats, patient: Integers
) -> tuple[Floats, Floats] | None:
    """Maximum likelihood by Newton's method, covariance by the sandwich over patients; None: no solution."""
    coefficients = np.zeros(design.shape[1])
    linear = offset
    likelihood = _log_likelihood(linear, outcome)
    for _ in range(100):
        predicted = special.expit(linear)
        information = design.T @ (design * (predicted * (1 - predicted))[:, None])
        if np.linalg.cond(information) > 1e14:
            return None
        step = np.linalg.solve(information, design.T @ (outcome - predicted))
        # The likelihood has one summit; a full step can fly over it, a halved one comes down before.
        for _ in range(40):
            reached = _log_likelihood(design @ (coefficients + step) + offset, outcome)
            if reached >= likelihood - 1e-12 * abs(likelihood):
                break
            step = step / 2
        coefficients = coefficients + step
        linear, likelihood = design @ coefficients + offset, reached
        if np.abs(step).max() < 1e-9 * max(1.0, float(np.abs(coefficients).max())):
            break
    else:
        return None
    scores = design * (outcome - special.expit(linear))[:, None]
    codes, patients = compact(patient)
    sums = np.column_stack([np.bincount(codes, weights=column, minlength=patients) for column in scores.T])
    bread = np.linalg.inv(information)
    covariance = patients / max(1, patients - 1) * bread @ (sums.T @ sums) @ bread
    return coefficients, covariance


def _log_likelihood(linear: Floats, outcome: Floats) -> float:
    return float(outcome @ linear - np.logaddexp(0.0, linear).sum())


def _logit(score: Floats, clip: float) -> Floats:
    inside = np.clip(score, clip, 1 - clip)
    return np.log(inside / (1 - inside))


def bin_numbers(score: Floats) -> Integers:
    """Bin of each score in [0, 1]; the last bin is closed above too."""
    # A score of 0.3 may be stored as 0.29999999999999998: it belongs to the bin that starts at 0.3.
    return np.clip(np.floor(score * BINS + 1e-9), 0, BINS - 1).astype(np.int64)


def expected_calibration_error(cases: ScoredCases, level: float, seed: Seed, replicates: int) -> Estimate:
    """ECE of the answered cases with a patient bootstrap interval."""
    answered = cases.where(~cases.failed)
    basis = basis_of(answered, level)
    name = "bootstrap-percentile-patients"
    metric = "expected_calibration_error"
    if answered.n == 0:
        return undefined(metric, basis, name, "No case was answered.")
    bins = bin_numbers(answered.score)
    gaps = np.bincount(bins, weights=answered.score - answered.reference, minlength=BINS)
    value = float(np.abs(gaps).sum()) / answered.n
    if basis.patients < 2:
        return estimate(metric, value, None, basis, name, reason="One patient alone gives no interval.")
    drawn = expected_calibration_errors(answered, bins, BINS, seed, replicates)
    return estimate(metric, value, percentile_interval(drawn, level), basis, name)


def calibration_curve(cases: ScoredCases, level: float) -> CalibrationCurve:
    """Reliability curve of the answered cases."""
    answered = cases.where(~cases.failed)
    numbers = bin_numbers(answered.score)
    clustered = count_patients(answered.patient) < answered.n
    found = []
    for number in np.unique(numbers):
        part = answered.where(numbers == number)
        observed = part.positives / part.n
        size = effective_size(part.reference, part.patient, level)
        low, high = wilson(observed * size, size, level)
        found.append(
            CalibrationBin(
                lower_edge=int(number) / BINS,
                upper_edge=(int(number) + 1) / BINS,
                n=part.n,
                positives=part.positives,
                patients=count_patients(part.patient),
                mean_score=float(part.score.mean()),
                observed=observed,
                low=float(low),
                high=float(high),
            )
        )
    return CalibrationCurve(
        bins=tuple(found), level=level, binning=BINNING, method=method_name("wilson", clustered)
    )
