"""Published differences of proportions and adjusted p-values, at the digits given by their sources."""

import numpy as np
import pytest

from sandbox.scoring.differences import newcombe
from sandbox.scoring.multiplicity import holm
from sandbox.scoring.shrinkage import between_variance

# The cases of R. G. Newcombe, Stat Med 1998;17:873-890, table II, method 10 (score, no continuity correction); limits
# as statsmodels 0.14 gives them, four decimals.
NEWCOMBE = [
    (56, 70, 48, 80, (0.0524, 0.3339)),
    (9, 10, 3, 10, (0.1705, 0.8090)),
    (6, 7, 2, 7, (0.0582, 0.8062)),
    (5, 56, 0, 29, (-0.0381, 0.1926)),
    (0, 10, 0, 20, (-0.1611, 0.2775)),
    (0, 10, 0, 10, (-0.2775, 0.2775)),
    (10, 10, 0, 20, (0.6791, 1.0000)),
    (10, 10, 0, 10, (0.6075, 1.0000)),
]


@pytest.mark.parametrize(("x1", "n1", "x2", "n2", "limits"), NEWCOMBE)
def test_differences_of_newcombe_1998(x1, n1, x2, n2, limits):
    assert np.round(newcombe(x1, n1, x2, n2, 0.95), 4).tolist() == list(limits)


def test_holm_as_r_has_it():
    # R 4, p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm"): 0.05 0.08 0.09 0.09 0.09; order must not matter.
    assert np.round(holm([0.01, 0.02, 0.03, 0.04, 0.05]), 10).tolist() == [0.05, 0.08, 0.09, 0.09, 0.09]
    assert np.round(holm([0.05, 0.01, 0.04, 0.02, 0.03]), 10).tolist() == [0.09, 0.05, 0.09, 0.08, 0.09]


def test_between_variance_of_dersimonian_laird_1986():
    # The BCG vaccine trials (Colditz et al. 1994, JAMA 271:698), log risk ratios as in the R package metafor,
    # dat.bcg, method DL: tau^2 = 0.3088.
    tpos, tneg = [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27], [
        119, 300, 228, 13536, 5036, 1361, 2537, 87886, 7470, 1699, 50448, 2493, 16886,
    ]  # fmt: skip
    cpos, cneg = [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29], [
        128, 274, 209, 12619, 5761, 1079, 619, 87892, 7232, 1600, 27197, 2338, 17825,
    ]  # fmt: skip
    a, b, c, d = (np.array(column, dtype=float) for column in (tpos, tneg, cpos, cneg))
    ratio = np.log((a / (a + b)) / (c / (c + d)))
    error = np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))
    assert round(between_variance(ratio, error), 4) == 0.3088
