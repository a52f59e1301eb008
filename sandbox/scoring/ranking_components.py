"""Structural components of AUROC in the order in which the cases were given."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sandbox.scoring.cases import Bools, Floats, make_cases
from sandbox.scoring.roc import win_shares


def components(truth: Bools, score: npt.ArrayLike) -> Floats:
    """Structural component of each case, in the order of ``truth``.

    Returns:
        For a positive the share of negatives that it outscores, for a negative the share of positives that
        outscore it; ties count one half.

    Raises:
        ScoringError: columns of unequal length or a NaN.
    """
    values = np.asarray(score, dtype=np.float64)
    cases = make_cases(truth, values)
    order = np.argsort(values, kind="stable")
    positive, negative = win_shares(cases)
    shares = np.empty(truth.size)
    shares[order[truth[order]]] = positive
    shares[order[~truth[order]]] = negative
    return shares
