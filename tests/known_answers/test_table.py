"""Every row of table.yaml, and the same numbers from libraries where one has them."""

import functools
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import yaml
from statsmodels.stats import inter_rater
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from tests.known_answers import computations

ROWS = yaml.safe_load((Path(__file__).parent / "table.yaml").read_text())
VALUES = [(row["computation"], name, text) for row in ROWS for name, text in row["values"].items()]


@functools.cache
def computed(name):
    return computations.COMPUTATIONS[name]()


def test_there_are_enough_and_each_has_a_source():
    assert len(VALUES) >= 60
    assert len({(computation, name) for computation, name, _ in VALUES}) == len(VALUES)
    assert {row["kind"] for row in ROWS} <= {"published", "cross"}
    assert all(len(row["source"]) > 10 for row in ROWS)


@pytest.mark.parametrize(("computation", "name", "text"), VALUES, ids=[f"{c}: {n}" for c, n, _ in VALUES])
def test_known_answer(computation, name, text):
    digits = -Decimal(text).as_tuple().exponent
    found = computed(computation)[name]
    # Half a unit of the last digit, and a little for sources that print inputs rounded.
    assert abs(found - float(text)) <= 0.5001 * 10.0**-digits, (found, text)


def test_proportions_agree_with_statsmodels():
    found = computed("proportions")
    for x, n in computations.proportion_cases():
        for name, method in (("wilson", "wilson"), ("exact", "beta")):
            low, high = proportion_confint(x, n, method=method)
            assert found[f"{x}/{n} {name} low"] == pytest.approx(0.0 if np.isnan(low) else low, abs=1e-9)
            assert found[f"{x}/{n} {name} high"] == pytest.approx(high, abs=1e-9)


def test_differences_agree_with_statsmodels():
    found = computed("differences")
    for a, m, b, n in computations.difference_cases():
        low, high = confint_proportions_2indep(a, m, b, n, method="newcomb", compare="diff")
        assert (found[f"{a}/{m}-{b}/{n} low"], found[f"{a}/{m}-{b}/{n} high"]) == pytest.approx(
            (low, high), abs=1e-9
        )


def test_pooled_tables_agree_with_statsmodels():
    table = StratifiedTable([row.reshape(2, 2) for row in computations.CHINA])
    a, b, c, d = computations.CHINA.T
    found = computations.pool_tables(a, a + b, c, c + d)
    assert found.odds_ratio_limits == pytest.approx(table.oddsratio_pooled_confint())
    assert found.breslow_day_tarone == pytest.approx(table.test_equal_odds(adjust=True).statistic)
    assert found.cochran_mantel_haenszel == pytest.approx(table.test_null_odds().statistic)


def test_fleiss_agrees_with_statsmodels():
    assert computed("fleiss")["kappa"] == pytest.approx(
        inter_rater.fleiss_kappa(np.array(computations.FLEISS))
    )
