"""A quick look at every row of the coverage table: few data sets, wide limits; ``simulate.py`` gives the table."""

import pytest

from sandbox.scoring.proportions import clopper_pearson, wilson
from tests.coverage.simulate import DESIGNS, PROPORTIONS, coverage, exact

RUNS = 120


@pytest.mark.parametrize("design", DESIGNS, ids=[f"{each.method}: {each.text}" for each in DESIGNS])
def test_no_interval_is_far_from_its_level(design):
    assert coverage(design, RUNS) >= 0.86


@pytest.mark.parametrize(("n", "p"), PROPORTIONS)
def test_proportions_exactly(n, p):
    assert exact(clopper_pearson, n, p) >= 0.95
    assert exact(wilson, n, p) >= 0.92
