"""AUROC over several classes or labels at once: macro, micro, and Hand and Till's M.

The three differ and are named: macro is the mean over classes of one against the rest (Fawcett 2006, Pattern Recognit
Lett 27:861), micro takes all pairs of case and class together, M is the mean over all pairs of classes of the AUROC
between the two, free of the class sizes (Hand and Till 2001, Mach Learn 45:171). Variances are those of the means of
the structural components, so that classes are not taken as independent.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from sandbox.outcome.results import Estimate
from sandbox.scoring.cases import Bools, Floats, Integers, count_patients, make_cases
from sandbox.scoring.estimates import Basis, undefined
from sandbox.scoring.influence import auroc_influence, from_influence
from sandbox.scoring.roc import FALLBACK, auroc, newcombe_5

METHOD = "influence-logit"


def macro_auroc(
    ranked: Floats, truth: Integers, patient: Integers, names: Sequence[str], basis: Basis
) -> Estimate:
    """Mean AUROC of one class against the rest.

    Args:
        ranked: shape (n, classes), answers with failed cases at their worst.
        truth: index of the true class.
        patient: patient of each case.
        names: the classes.
        basis: what the estimate rests on.
    """
    own = [truth == index for index in range(len(names))]
    return mean_auroc("macro_auroc", ranked, own, patient, names, basis)


def mean_auroc(
    metric: str,
    ranked: Floats,
    positive: Sequence[Bools],
    patient: Integers,
    names: Sequence[str],
    basis: Basis,
    known: Sequence[Bools] | None = None,
) -> Estimate:
    """Mean of the AUROC of several labels over the same cases.

    ``known`` marks for each label the cases whose truth is known; None: all.
    """
    found = mean_auroc_influence(ranked, positive, known)
    if isinstance(found, int):
        reason = f"{names[found]} lacks a case with it, or one without; the mean needs both for each."
        return undefined(metric, basis, METHOD, reason)
    values, influence = found
    limits = []
    for index, value in enumerate(values):
        chosen = np.ones(patient.size, dtype=bool) if known is None else known[index]
        limits.append(_newcombe(value, positive[index][chosen], patient[chosen], basis.level))
    low, high = np.mean(limits, axis=0)
    return from_influence(
        metric,
        sum(values) / len(values),
        influence,
        patient,
        basis,
        scale="logit",
        fallback=(float(low), float(high)),
        fallback_method=FALLBACK,
    )


def mean_auroc_influence(
    ranked: Floats, positive: Sequence[Bools], known: Sequence[Bools] | None = None
) -> tuple[list[float], Floats] | int:
    """AUROC of each label, and the influence of each case on their mean; the first label that has none."""
    n = ranked.shape[0]
    values, influence = [], np.zeros(n)
    for index, labelled in enumerate(positive):
        chosen = np.ones(n, dtype=bool) if known is None else known[index]
        own = labelled[chosen]
        if own.size == 0 or not own.any() or own.all():
            return index
        value, part = auroc_influence(own, ranked[chosen, index])
        values.append(value)
        influence[chosen] += part
    return values, influence / len(positive)


def micro_auroc(ranked: Floats, truth: Integers, patient: Integers, basis: Basis) -> Estimate:
    """AUROC over all pairs of case and class; pairs of one patient are not independent."""
    n, classes = ranked.shape
    own = np.arange(classes)[None, :] == truth[:, None]
    cases = make_cases(own.ravel(), ranked.ravel(), np.repeat(patient, classes)) if n else None
    if cases is None:
        return undefined("micro_auroc", basis, METHOD, "There is no case.")
    return auroc(cases, basis.level, "micro_auroc")


def hand_till_auroc(
    ranked: Floats, truth: Integers, patient: Integers, names: Sequence[str], basis: Basis
) -> Estimate:
    """Hand and Till's M: for each pair of classes the mean of the AUROC by the answer for either."""
    metric, n = "hand_till_auroc", truth.size
    members = [np.flatnonzero(truth == index) for index in range(len(names))]
    absent = [name for name, each in zip(names, members, strict=True) if each.size == 0]
    if absent:
        reason = f"There is no case of {', '.join(absent)}; M needs every class."
        return undefined(metric, basis, METHOD, reason)
    pairs = list(itertools.combinations(range(len(names)), 2))
    total, influence, limits = 0.0, np.zeros(n), []
    for one, other in pairs:
        both = np.concatenate((members[one], members[other]))
        for positive in (one, other):
            own = truth[both] == positive
            value, part = auroc_influence(own, ranked[both, positive])
            total += value / 2
            influence[both] += part / 2
            limits.append(_newcombe(value, own, patient[both], basis.level))
    low, high = np.mean(limits, axis=0)
    return from_influence(
        metric,
        total / len(pairs),
        influence / len(pairs),
        patient,
        basis,
        scale="logit",
        fallback=(float(low), float(high)),
        fallback_method=FALLBACK,
    )


def _newcombe(value: float, own: Bools, patient: Integers, level: float) -> tuple[float, float]:
    return newcombe_5(value, count_patients(patient[own]), count_patients(patient[~own]), level)
