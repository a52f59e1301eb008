"""What interval ends tell: every count inside the constraints gives the same released text."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.disclosure.intervals import effective_ratio, outward, rate_cone, roc_slack
from sandbox.scoring.estimates import Basis, estimate
from sandbox.scoring.proportions import proportion_interval


def rate(hits, n, method="wilson", per_case=1.0):
    low, high = proportion_interval(hits * per_case, n * per_case, 0.95, method)
    basis = Basis(n=n, positives=n, patients=n, level=0.95)
    return estimate("sensitivity", hits / n, (float(low), float(high)), basis, method, successes=hits)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.integers(20, 700),
    st.floats(0, 1),
    st.sampled_from(["wilson", "clopper-pearson"]),
    st.sampled_from([1.0, 0.7]),
    st.sampled_from([Fraction(1, 20), Fraction(1, 50)]),
)
def test_every_count_in_the_cone_is_told_in_the_same_words(n, share, method, per_case, step):
    hits = round(share * n)
    found = rate(hits, n, method, per_case)
    cone = rate_cone(found, hits, value_step=step, step=step)
    assert cone is not None
    assert cone.least <= n <= cone.most
    assert cone.low <= Fraction(hits, n) <= cone.high
    ends = outward(found.low, found.high, step)
    for size in np.unique(np.linspace(cone.least, cone.most, 9).astype(int)).tolist():
        for other in range(-(-cone.low * size // 1), cone.high * size // 1 + 1):
            again = rate(other, size, method, per_case)
            nearest = (Fraction(other, size) / step + Fraction(1, 2)) // 1
            assert nearest == (Fraction(hits, n) / step + Fraction(1, 2)) // 1
            assert outward(again.low, again.high, step) == ends


def test_clustering_is_read_off_the_interval_itself():
    assert abs(effective_ratio(rate(80, 100, per_case=0.6), 80) - 0.6) < 1e-6
    assert effective_ratio(rate(80, 100), 80) is not None


def test_an_interval_of_an_unknown_method_is_not_followed():
    basis = Basis(n=100, positives=50, patients=100, level=0.95)
    bootstrapped = estimate("sensitivity", 0.8, (0.7, 0.9), basis, "bootstrap-percentile")
    assert effective_ratio(bootstrapped, 80) is None
    lying = estimate("sensitivity", 0.8, (0.5, 0.81), basis, "wilson")
    assert effective_ratio(lying, 80) is None


def test_ends_are_rounded_outwards():
    assert outward(0.7301, 0.8699, Fraction(1, 100)) == (73, 87)
    assert outward(0.73, 0.87, Fraction(1, 100)) == (73, 87)
    assert outward(0.0, 1.0, Fraction(1, 20)) == (0, 20)


def test_auroc_allows_the_points_that_curves_can_pass():
    """A curve through one point (1 - v, u) has an area from u v to u + v - u v."""
    slack = roc_slack([(0.6, 0.6)], 0.64)
    assert abs((0.6 + slack) ** 2 - 0.64) < 1e-5
    assert roc_slack([(0.9, 0.9)], 0.5) == -1.0
    assert roc_slack([], 0.7) == 1.0
