"""The audit against enumeration of every small table, against margins and against differencing."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from sandbox.disclosure.audit import audit
from sandbox.disclosure.cells import between, equal, linked_bands, nested_calls, ratio, total
from sandbox.disclosure.errors import AuditError
from sandbox.disclosure.fields import Constraint, Term
from sandbox.disclosure.grid import count_behind, nearest, rate_behind
from sandbox.disclosure.solutions import SolutionBlock

CELLS = ("tp", "fn", "fp", "tn")
LARGEST = 4


def told_count(cells, values, base):
    """What a rounded sum of cells tells."""
    true = sum(values[cell] for cell in cells)
    return between(total(cells), *count_behind(nearest(Fraction(true), Fraction(base)), base))


def told_rate(numerator, cells, values, step):
    hits, base = values[numerator], sum(values[cell] for cell in cells)
    limits = rate_behind(nearest(Fraction(hits, base), step), step)
    return [between(total(cells), 1, None), *ratio(total([numerator]), total(cells), *limits)]


TABLES = np.array(list(itertools.product(range(LARGEST + 1), repeat=len(CELLS))))


def enumerated(constraints):
    """Smallest and largest value of each cell over every table whose cells are at most LARGEST."""
    fits = np.ones(len(TABLES), dtype=bool)
    for found in constraints:
        sums = sum(term.coefficient * TABLES[:, CELLS.index(term.cell)] for term in found.terms)
        fits &= (found.low is None) | (sums >= (found.low or 0))
        fits &= (found.high is None) | (sums <= (0 if found.high is None else found.high))
    kept = TABLES[fits]
    return {cell: (int(kept[:, i].min()), int(kept[:, i].max())) for i, cell in enumerate(CELLS)}


@st.composite
def releases(draw):
    """A small table and some numbers told about it; every cell has a known ceiling, so that all can be listed."""
    values = {cell: draw(st.integers(0, LARGEST)) for cell in CELLS}
    found = [between(total([cell]), None, LARGEST) for cell in CELLS]
    for _ in range(draw(st.integers(1, 4))):
        cells = draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=4, unique=True))
        if draw(st.booleans()):
            found.append(told_count(cells, values, draw(st.integers(1, 5))))
        elif sum(values[cell] for cell in cells):
            step = draw(st.sampled_from([Fraction(1, 2), Fraction(1, 5), Fraction(1, 10)]))
            found += told_rate(cells[0], cells, values, step)
    return values, found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(releases())
def test_exact_ranges_are_those_of_every_table_listed(release):
    _, constraints = release
    expected = enumerated(constraints)
    found = audit([], constraints, protected=CELLS, minimum_width=2, exact=True).findings
    assert {item.cell: (item.low, item.high) for item in found} == expected
    assert all(item.exact for item in found)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(releases(), st.integers(1, 4))
def test_the_quick_decision_is_that_of_every_table_listed(release, width):
    _, constraints = release
    expected = enumerated(constraints)
    for item in audit([], constraints, protected=CELLS, minimum_width=width).findings:
        low, high = expected[item.cell]
        assert item.refused == (high - low < width)
        assert low <= item.low <= item.high <= high


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.lists(releases(), min_size=2, max_size=2), st.integers(2, 4))
def test_whatever_is_approved_no_cell_becomes_narrower_than_the_policy(pair, width):
    """Releases one after the other about one table: each is issued only when the audit passes it."""
    values = pair[0][0]
    issued = [between(total([cell]), None, LARGEST) for cell in CELLS]
    wanted = [
        told_count(CELLS[:2], values, 3),
        told_count(CELLS[1:3], values, 2),
        told_count(CELLS, values, 4),
    ]
    wanted += [told_count([cell], values, base) for base in (5, 2) for cell in CELLS]
    for found in wanted:
        if audit(issued, [found], protected=CELLS, minimum_width=width, first_refusal=True).safe:
            issued.append(found)
    for low, high in enumerated(issued).values():
        assert high - low >= width


def test_a_linear_relaxation_would_call_this_safe():
    """2a = 2b + 1 has fractions for solutions and no whole numbers; 3 <= 2a <= 5 leaves one whole number."""
    a = Constraint(terms=(Term(cell="a", coefficient=2),), low=3, high=5)
    (found,) = audit([], [a], protected=["a"], minimum_width=1).findings
    assert (found.low, found.high, found.refused) == (2, 2, True)


def test_margins_give_a_suppressed_cell_back():
    """Table, margins and total without rounding, one cell withheld: the classic own goal."""
    cells = ["F/yes", "F/no", "M/yes", "M/no"]
    values = dict(zip(cells, (3, 40, 25, 60), strict=True))
    told = [told_count([cell], values, 1) for cell in cells[1:]]
    alone = audit([], told, protected=cells[:1], minimum_width=4)
    assert alone.safe
    (found,) = audit(told, [told_count(cells, values, 1)], protected=cells[:1], minimum_width=4).findings
    assert (found.low, found.high, found.refused) == (3, 3, True)
    rounded = [told_count([cell], values, 10) for cell in cells[1:]] + [told_count(cells, values, 10)]
    assert audit([], rounded, protected=cells, minimum_width=4).safe


def test_two_cuts_of_one_age_tell_the_years_between():
    """The counts below 50 and below 51 are harmless each; their difference is the patients of one year."""
    head = "s/worst_case/0.5"
    low, high = (f"{head}/age={level}/tp" for level in ("0 to <50", "0 to <51"))
    rest_low, rest_high = (f"{head}/age={level}/tp" for level in ("50 to 99", "51 to 99"))
    values = {low: 40, rest_low: 61, high: 42, rest_high: 59}
    first = [told_count([low], values, 1), equal(total([low, rest_low]), total([f"{head}/all/tp"]))]
    second = [told_count([high], values, 1), equal(total([high, rest_high]), total([f"{head}/all/tp"]))]
    protected = [rest_low, rest_high, f"{head}/all/tp"]
    assert audit([], first, protected=[rest_low, f"{head}/all/tp"], minimum_width=4).safe
    after = {item.cell: item for item in audit(first, second, protected=protected, minimum_width=4).findings}
    year = after[f"{head}/age=50:0..51:0/tp"]
    assert (year.low, year.high, year.refused) == (2, 2, True)
    coarse = [told_count([cell], values, 10) for cell in (low, high)]
    assert audit([*first[1:], *second[1:]], coarse, protected=protected, minimum_width=4).safe


def test_bands_of_one_cut_need_no_elementary_bands():
    cells = [f"s/worst_case/0.5/age={level}/tp" for level in ("0 to <50", "50 to 99", "unknown")]
    assert linked_bands(cells) == ((), ())


def test_thresholds_of_two_protocols_are_nested():
    """What is called at 0.6 is called at 0.5 too: two harmless counts of two protocols pin each other."""
    tp = {(scope, at): f"{scope}/worst_case/{at:g}/all/tp" for scope in ("a", "b") for at in (0.5, 0.6)}
    below, above = between(total([tp["a", 0.5]]), 15, 25), between(total([tp["a", 0.6]]), 25, 35)
    protected = [tp["a", 0.5], tp["a", 0.6]]
    assert audit([], [below], protected=protected[:1], minimum_width=4).safe
    findings = audit([below], [above], protected=protected, minimum_width=4, exact=True).findings
    assert [(each.low, each.high, each.refused) for each in findings] == [(25, 25, True)] * 2
    # The answers of another submission are other cases' calls.
    other = between(total([tp["b", 0.6]]), 25, 35)
    assert audit([below], [other], protected=[tp["a", 0.5], tp["b", 0.6]], minimum_width=4).safe


def test_nested_thresholds_bind_true_and_false_calls_of_each_group_apart():
    names = [f"s/{rule}/{at}/{group}/{kind}" for rule in ("worst_case", "excluded") for at in ("0.5", "0.25", "1e-05")
             for group in ("all", "sex=n/a") for kind in ("tp", "fp", "fn", "tn")]  # fmt: skip
    found = list(
        nested_calls([*names, "holdout/finding/image/all/positives", "tp", "s/all/failures/timeout"])
    )
    assert len(found) == 2 * 2 * 2 * 2
    assert (
        between(
            (
                Term(cell="s/excluded/0.25/sex=n/a/fp", coefficient=1),
                Term(cell="s/excluded/0.5/sex=n/a/fp", coefficient=-1),
            ),
            0,
            None,
        )
        in found
    )


def test_releases_that_contradict_each_other_are_an_error():
    cells = total(["a", "b"])
    with pytest.raises(AuditError, match="no counts agree"):
        audit([between(cells, 3, 5)], [between(cells, 7, 9)], protected=["a"], minimum_width=1)


def test_without_time_everything_is_refused():
    told = [between(total(["a", "b"]), 0, 50)]
    found = audit([], told, protected=["a", "b"], minimum_width=1, seconds=0).findings
    assert [(item.refused, item.low, item.exact) for item in found] == [(True, None, False)] * 2


def test_a_cell_that_nothing_bounds_is_wide():
    (found,) = audit([], [], protected=["a"], minimum_width=10).findings
    assert not found.refused
    assert found.low == 0


WIDE = 24
WIDE_TABLES = np.array(list(itertools.product(range(WIDE + 1), repeat=3)))


@st.composite
def wide_releases(draw):
    """Three cells with room: sums with coefficients, so that solutions lie apart and not side by side."""
    values = dict(zip("abc", draw(st.tuples(*[st.integers(0, WIDE)] * 3)), strict=True))
    found = [between(total([cell]), None, WIDE) for cell in values]
    for _ in range(draw(st.integers(1, 3))):
        factors = draw(st.tuples(*[st.integers(-7, 7)] * 3))
        terms = tuple(Term(cell=c, coefficient=f) for c, f in zip(values, factors, strict=True) if f)
        if terms:
            true = sum(term.coefficient * values[term.cell] for term in terms)
            below, above = draw(st.integers(0, 12)), draw(st.integers(0, 12))
            found.append(Constraint(terms=terms, low=true - below, high=true + above))
    return found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(wide_releases(), st.integers(1, 14))
def test_the_decision_is_exact_where_solutions_lie_apart(constraints, width):
    fits = np.ones(len(WIDE_TABLES), dtype=bool)
    for found in constraints:
        sums = sum(term.coefficient * WIDE_TABLES[:, "abc".index(term.cell)] for term in found.terms)
        fits &= (sums >= (-(10**9) if found.low is None else found.low)) & (sums <= found.high)
    kept = WIDE_TABLES[fits]
    spread = np.ptp(kept, axis=0)
    told = audit([], constraints, protected="abc", minimum_width=width)
    assert [item.refused for item in told.findings] == (spread < width).tolist()
    assert told.safe == audit([], constraints, protected="abc", minimum_width=width, first_refusal=True).safe
    for block in told.solutions:
        assert all(found.holds(dict(zip(block.cells, row, strict=True))) for row in block.values
                   for found in constraints if {t.cell for t in found.terms} <= set(block.cells))  # fmt: skip


def test_solutions_far_from_each_other_are_found():
    """a = 50 b: nothing lies near the first solution."""
    apart = Constraint(terms=(Term(cell="a", coefficient=1), Term(cell="b", coefficient=-50)), low=0, high=0)
    told = audit([], [apart, between(total(["a"]), 0, 100)], protected=["a"], minimum_width=40)
    assert told.safe


def test_solutions_given_back_prove_the_same_without_a_solver(monkeypatch):
    told = [between(total(["a", "b"]), 10, 30), between(total(["b", "c"]), 5, 25)]
    first = audit([], told, protected=["a", "b", "c"], minimum_width=4)

    def no_solver(*_, **__):
        raise AssertionError("solved again")

    monkeypatch.setattr(optimize, "milp", no_solver)
    again = audit([], told, protected=["a", "b", "c"], minimum_width=4, known=first.solutions)
    assert again.safe
    assert again.findings == first.findings


def test_forged_or_outdated_solutions_prove_nothing():
    narrow = [between([Term(cell="a", coefficient=4)], 12, 20), between(total(["b"]), 0, 50)]
    forged = [SolutionBlock(cells=("a",), values=((0,), (40,), (-5,), (2**62,), (2**80,), ()))]
    told = audit([], narrow, protected=["a", "b"], minimum_width=4, known=forged)
    assert [item.cell for item in told.refused] == ["a"]
    outdated = audit([], narrow[1:], protected=["a", "b"], minimum_width=4).solutions
    assert not audit([], narrow, protected=["a", "b"], minimum_width=4, known=outdated).safe


def test_an_audit_that_ends_with_the_first_refusal_says_which():
    told = [between(total([cell]), 3, 4) for cell in ("a", "b", "c")]
    found = audit([], told, protected=["a", "b", "c"], minimum_width=4, first_refusal=True)
    assert [item.cell for item in found.refused] == ["a"]
    assert not found.safe
