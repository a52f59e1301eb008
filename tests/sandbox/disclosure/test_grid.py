"""Rounding and the values behind a rounded one agree, to the last whole number."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.disclosure.cells import ratio, total
from sandbox.disclosure.grid import count_behind, nearest, rate_behind, steps_text, text_on


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 500), st.integers(1, 25))
def test_the_counts_behind_a_rounded_count_are_exactly_those_that_round_to_it(count, base):
    steps = nearest(Fraction(count), Fraction(base))
    low, high = count_behind(steps, base)
    alike = [other for other in range(600) if nearest(Fraction(other), Fraction(base)) == steps]
    assert (low, high) == (alike[0], alike[-1])
    assert low <= count <= high


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1, 60), st.integers(0, 60), st.sampled_from(["0.01", "0.02", "0.05", "0.1", "0.2"]))
def test_a_rates_inequalities_hold_exactly_for_the_rates_that_round_alike(cases, hits, grid):
    step, hits = Fraction(grid), min(hits, cases)
    steps = nearest(Fraction(hits, cases), step)
    told = list(ratio(total(["hit"]), total(["hit", "miss"]), *rate_behind(steps, step)))
    for other in range(cases + 1):
        cells = {"hit": other, "miss": cases - other}
        assert all(found.holds(cells) for found in told) == (nearest(Fraction(other, cases), step) == steps)


def test_texts_have_the_digits_of_the_grid():
    assert text_on(Fraction(849, 1000), Fraction(1, 20)) == "0.85"
    assert text_on(Fraction(1, 2), Fraction(1, 5)) == "0.6"
    assert steps_text(1, Fraction(1, 100)) == "0.01"
    assert text_on(Fraction(137), Fraction(10)) == "140"
