"""What is compared between groups in tasks with classes or labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sandbox.scoring.agreement import agreement_weights, kappa_influence
from sandbox.scoring.cases import Bools, Floats, Integers
from sandbox.scoring.class_auroc import mean_auroc_influence
from sandbox.scoring.outcomes import Outcome, Part, Statistic, auroc, rate, statistic


def class_outcomes(
    names: Sequence[str], counted: Bools, truth: Integers, called: Integers, ranked: Floats
) -> tuple[Outcome, ...]:
    """Outcomes of a task with classes that exclude each other, those of one metric together.

    Args:
        names: the classes.
        counted: the cases that enter the analysis.
        truth: index of the true class of each case.
        called: index of the called class, the number of classes where the case failed.
        ranked: shape (n, classes), answers with failed cases at their worst.
    """
    size = len(names)
    own = [truth == index for index in range(size)]
    # A failed case is a false alarm for every class but its own.
    alarms = [(called == index) | ((called == size) & ~own[index]) for index in range(size)]
    right = called == truth
    return (
        rate("accuracy", counted, right),
        statistic("balanced_accuracy", counted, _balanced_accuracy(truth, right, size)),
        statistic("cohen_kappa", counted, _kappa(truth, called, size), low=-1.0),
        statistic("macro_auroc", counted, macro_auroc(ranked, own)),
        *(
            auroc("auroc", counted, ranked[:, index], own[index], name)
            for index, name in enumerate(names)
        ),
        *(
            rate("sensitivity", counted & own[index], right, own[index], subject=name)
            for index, name in enumerate(names)
        ),
        *(
            rate("specificity", counted & ~own[index], ~alarms[index], own[index], subject=name)
            for index, name in enumerate(names)
        ),
        *(
            rate("ppv", counted & alarms[index], own[index], own[index], subject=name)
            for index, name in enumerate(names)
        ),
    )  # fmt: skip


def label_outcomes(
    names: Sequence[str],
    counted: Bools,
    truth: Floats,
    ranked: Floats,
    points: Sequence[tuple[str, Floats]],
) -> tuple[Outcome, ...]:
    """Outcomes of a task with labels that may occur together, each over the cases whose truth for it is known.

    Args:
        names: the labels.
        counted: the cases that enter the analysis.
        truth: shape (n, labels), 0 or 1, NaN where it is not known.
        ranked: shape (n, labels), answers with failed cases at their worst.
        points: name of each operating point and the lowest positive answer of each label there.
    """
    labels = range(len(names))
    known = [counted & ~np.isnan(truth[:, index]) for index in labels]
    there = [truth[:, index] == 1 for index in labels]
    found = [statistic("macro_auroc", counted, macro_auroc(ranked, there, known))]
    found += [auroc("auroc", known[i], ranked[:, i], there[i], names[i]) for i in labels]
    for point, least in points:
        called = [ranked[:, index] >= least[index] for index in labels]
        for metric, counts, success in (
            ("sensitivity", [known[i] & there[i] for i in labels], called),
            ("specificity", [known[i] & ~there[i] for i in labels], [~each for each in called]),
            ("ppv", [known[i] & called[i] for i in labels], there),
            ("npv", [known[i] & ~called[i] for i in labels], [~each for each in there]),
        ):
            found += [
                rate(metric, counts[i], success[i], there[i], point=point, subject=names[i]) for i in labels
            ]
    return tuple(found)


def macro_auroc(ranked: Floats, positive: Sequence[Bools], known: Sequence[Bools] | None = None) -> Statistic:
    """Mean AUROC over classes or labels."""

    def made(chosen: Integers) -> Part | None:
        inside = None if known is None else [each[chosen] for each in known]
        found = mean_auroc_influence(ranked[chosen], [each[chosen] for each in positive], inside)
        if isinstance(found, int):
            return None
        return Part(value=sum(found[0]) / len(found[0]), influence=found[1])

    return made


def _balanced_accuracy(truth: Integers, right: Bools, classes: int) -> Statistic:
    def made(chosen: Integers) -> Part | None:
        own, hit = truth[chosen], right[chosen]
        sizes = np.bincount(own, minlength=classes)
        if (sizes == 0).any():
            return None
        shares = np.bincount(own, weights=hit, minlength=classes) / sizes
        return Part(value=float(shares.mean()), influence=(hit - shares[own]) / sizes[own] / classes)

    return made


def _kappa(truth: Integers, called: Integers, classes: int) -> Statistic:
    return kappa_statistic(truth, called, agreement_weights(classes, classes + 1, "none"))


def kappa_statistic(row: Integers, column: Integers, weights: Floats) -> Statistic:
    """Weighted kappa of two ratings."""

    def made(chosen: Integers) -> Part | None:
        found = kappa_influence(row[chosen], column[chosen], weights)
        return None if found is None else Part(value=found[0], influence=found[1])

    return made
