"""What a threshold is worth where the device is to be used: predictive values at a stated prevalence, net benefit.

Predictive values by Bayes' theorem with intervals on the logit scale (Mercaldo, Lau and Zhou 2007, Stat Med 26:2170):
var logit PPV = (1 - Se) / (Se n1) + Sp / ((1 - Sp) n0), var logit NPV = Se / ((1 - Se) n1) + (1 - Sp) / (Sp n0). With
several cases to a patient n1 and n0 are the effective numbers behind the two rates. Where a rate is 0 or 1, half a
case is added to both outcomes for the interval, never for the value.

Net benefit (Vickers and Elkin 2006, Med Decis Making 26:565): TP / n - FP / n x t / (1 - t) at the threshold
probability t; a mean over cases, with the interval of one. It is at the prevalence of the hold-out.
"""

from __future__ import annotations

import math

import numpy as np

from sandbox.outcome.result_figures import Line, Plot
from sandbox.outcome.results import Estimate
from sandbox.plan.analysis_section import DecisionCurve
from sandbox.scoring.cases import Bools, Floats, ScoredCases
from sandbox.scoring.estimates import basis_of, estimate, expit, method_name, quantile, undefined
from sandbox.scoring.influence import from_influence, standard_error
from sandbox.scoring.proportions import effective_size

METHOD = "mercaldo-logit"
_POINTS = 41


def predictive_values(
    cases: ScoredCases, called: Bools, prevalence: float, level: float
) -> tuple[Estimate, ...]:
    """PPV and NPV at ``prevalence``; ``called`` marks the cases that the threshold calls positive."""
    basis = basis_of(cases, level)
    name = method_name(METHOD, basis.patients < basis.n)
    metrics = ("ppv_at_prevalence", "npv_at_prevalence")
    truth = cases.reference
    if cases.positives == 0 or cases.negatives == 0:
        reason = "It needs a positive and a negative case."
        return tuple(undefined(metric, basis, name, reason) for metric in metrics)
    rates, sizes = [], []
    for chosen, right in ((truth, called), (~truth, ~called)):
        outcome = right[chosen]
        rates.append(float(outcome.mean()))
        sizes.append(effective_size(outcome, cases.patient[chosen], level))
    sensitivity, specificity = rates
    odds = (1 - prevalence) / prevalence
    found = []
    for metric, hit, alarm, weight in (
        (metrics[0], sensitivity, 1 - specificity, odds),
        (metrics[1], specificity, 1 - sensitivity, 1 / odds),
    ):
        if hit == 0 and alarm == 0:
            found.append(
                undefined(metric, basis, name, "No case is called so: the predictive value is undefined.")
            )
            continue
        value = hit / (hit + weight * alarm)
        found.append(estimate(metric, value, _interval(metric, rates, sizes, weight, level), basis, name))
    return tuple(found)


def _interval(
    metric: str, rates: list[float], sizes: list[float], weight: float, level: float
) -> tuple[float, float]:
    se, sp = (
        rate if 0 < rate < 1 else (rate * size + 0.5) / (size + 1)
        for rate, size in zip(rates, sizes, strict=True)
    )
    n1, n0 = sizes
    if metric == "ppv_at_prevalence":
        centre = math.log(se / (weight * (1 - sp)))
        variance = (1 - se) / (se * n1) + sp / ((1 - sp) * n0)
    else:
        centre = math.log(sp / (weight * (1 - se)))
        variance = se / ((1 - se) * n1) + (1 - sp) / (sp * n0)
    half = quantile(level) * math.sqrt(variance)
    return expit(centre - half), expit(centre + half)


def net_benefit(cases: ScoredCases, called: Bools, threshold: float, level: float) -> Estimate:
    """Net benefit at a threshold probability; a failed positive gains nothing, a failed negative is a false alarm."""
    basis = basis_of(cases, level)
    if cases.n == 0 or not 0 < threshold < 1:
        reason = (
            "There is no case." if cases.n == 0 else "The threshold is not a probability between 0 and 1."
        )
        return undefined("net_benefit", basis, "influence-normal", reason)
    gain = _gain(cases, called, threshold)
    value = float(gain.mean())
    return from_influence("net_benefit", value, (gain - value) / cases.n, cases.patient, basis)


def _gain(cases: ScoredCases, called: Bools, threshold: float) -> Floats:
    loss = threshold / (1 - threshold)
    return np.where(called, np.where(cases.reference, 1.0, -loss), 0.0)


def decision_curve(cases: ScoredCases, curve: DecisionCurve, level: float) -> Plot:
    """Net benefit over threshold probabilities, beside calling every case positive and calling none."""
    thresholds = np.linspace(curve.low, curve.high, _POINTS)
    values, errors = [], []
    for threshold in thresholds:
        gain = _gain(cases, cases.score >= threshold - 1e-9, float(threshold))
        values.append(float(gain.mean()))
        errors.append(standard_error((gain - gain.mean()) / cases.n, cases.patient) or 0.0)
    z, share = quantile(level), cases.positives / cases.n
    x = tuple(thresholds.tolist())
    everyone = share - (1 - share) * thresholds / (1 - thresholds)
    return Plot(
        name="decision-curve",
        title="Decision curve",
        x_label="Threshold probability",
        y_label="Net benefit per case",
        lines=(
            Line(name="none called", x=(x[0], x[-1]), y=(0.0, 0.0), style="reference"),
            Line(name="all called", x=x, y=tuple(everyone.tolist()), style="reference"),
            Line(
                name="algorithm",
                x=x,
                y=tuple(values),
                low=tuple(value - z * error for value, error in zip(values, errors, strict=True)),
                high=tuple(value + z * error for value, error in zip(values, errors, strict=True)),
            ),
        ),
        x_low=x[0],
        x_high=x[-1],
        y_low=min(-0.05 * share, *(each for each in values)),
        y_high=1.15 * share,
        level=level,
        method="influence-normal",
        note=(
            "Net benefit: true positives per case less false alarms at the exchange rate of the threshold, at the "
            "prevalence of this hold-out. Dashes: calling none, and calling all, positive."
        ),
    )
