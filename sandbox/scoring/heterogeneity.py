"""Whether levels differ at all, before any two are compared.

Rates: chi-square of the level means against their covariance without a difference, which for independent
cases is Pearson's. AUROC and means: Cochran's Q (Cochran 1954, Biometrics 10:101) with each level's own
variance, AUROC on the logit scale. Levels that share patients enter with their covariance.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from sandbox.outcome.bias_results import Heterogeneity
from sandbox.scoring.cases import Floats


def heterogeneity(values: Floats, covariance: Floats, method: str) -> Heterogeneity | None:
    """Test that ``values`` are equal.

    Args:
        values: one for each level.
        covariance: of the values, shape (levels, levels).
        method: name of the test, for the record.

    Returns:
        None with fewer than two levels, or when they show no variation to hold a difference against.
    """
    levels = values.size
    if levels < 2:
        return None
    contrast = np.hstack((-np.ones((levels - 1, 1)), np.eye(levels - 1)))
    differences = contrast @ values
    spread = contrast @ covariance @ contrast.T
    if not np.all(np.diag(spread) > 0):
        return None
    try:
        statistic = max(0.0, float(differences @ np.linalg.solve(spread, differences)))
    except np.linalg.LinAlgError:
        return None
    return Heterogeneity(
        statistic=round(statistic, 9),
        degrees=levels - 1,
        p=float(stats.chi2.sf(round(statistic, 9), levels - 1)),
        method=method,
        version=1,
    )
