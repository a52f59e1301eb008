"""Published numbers, at the digits given by their sources."""

import numpy as np
import pytest

from sandbox.scoring import operating_points, precision_recall, proportions, roc
from sandbox.scoring.cases import make_cases

# The cases of R. G. Newcombe, Stat Med 1998;17:857-872, table I; limits as statsmodels 0.14 gives them, four decimals.
NEWCOMBE = [
    (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
    (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
    (0, 20, (0.0000, 0.1611), (0.0000, 0.1684)),
    (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
]


@pytest.mark.parametrize(("x", "n", "score", "exact"), NEWCOMBE)
def test_proportion_intervals_of_newcombe_1998(x, n, score, exact):
    assert np.round(proportions.wilson(x, n, 0.95), 4).tolist() == list(score)
    assert np.round(proportions.clopper_pearson(x, n, 0.95), 4).tolist() == list(exact)


def hanley_mcneil():
    # J. A. Hanley and B. J. McNeil, Radiology 1982;143:29-36, table I: 109 CT images rated 1 to 5.
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    ratings = np.arange(1, 6)
    score = np.concatenate((np.repeat(ratings, normal), np.repeat(ratings, abnormal)))
    reference = np.concatenate((np.zeros(58), np.ones(51)))
    return make_cases(reference, score)


def test_auroc_of_hanley_mcneil_1982():
    # The article gives W = 0.893; Stata's manual, [R] roctab, gives 0.8932 with DeLong standard error 0.0307
    # and the limits 0.83295 and 0.95339 on the plain scale for the same data.
    cases = hanley_mcneil()
    wins_positive, wins_negative = roc.win_shares(cases)
    value = wins_positive.mean()
    variance = roc.pair_variance(
        (wins_positive - value) / cases.positives,
        (wins_negative - value) / cases.negatives,
        cases.patient[cases.reference],
        cases.patient[~cases.reference],
    )
    assert round(value, 4) == 0.8932
    assert round(np.sqrt(variance), 4) == 0.0307
    half = 1.959964 * np.sqrt(variance)
    assert [round(value - half, 5), round(value + half, 5)] == [0.83295, 0.95339]


def test_sensitivity_and_specificity_of_hanley_mcneil_1982():
    # The same manual entry, detail table: at rating >= 3 sensitivity 90.20 %, specificity 67.24 %,
    # likelihood ratios 2.7534 and 0.1458; at rating >= 4 86.27 %, 77.59 %, 3.8492 and 0.1769.
    for threshold, expected in ((3, (90.20, 67.24, 2.7534, 0.1458)), (4, (86.27, 77.59, 3.8492, 0.1769))):
        point = operating_points.at_threshold(
            hanley_mcneil(), "x", threshold, level=0.95, method="clopper-pearson"
        )
        found = {estimate.metric: estimate.value for estimate in point.estimates}
        assert round(100 * found["sensitivity"], 2) == expected[0]
        assert round(100 * found["specificity"], 2) == expected[1]
        assert round(found["lr_positive"], 4) == expected[2]
        assert round(found["lr_negative"], 4) == expected[3]


def test_average_precision_of_the_scikit_learn_manual():
    # scikit-learn user guide, average_precision_score: 0.83 for these four cases.
    cases = make_cases([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    assert round(precision_recall.average_precision(cases, 0.95).value, 2) == 0.83
    assert roc.auroc_value([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == 0.75
