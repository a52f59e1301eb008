"""Bits, noise, claims, uses and pools."""

import math
import random
from collections import Counter
from datetime import date
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from sandbox.disclosure.fields import ReleasedField
from sandbox.reuse import bits, noise
from sandbox.reuse.claim import Claim, answer_claim, claim_fields
from sandbox.reuse.errors import ReuseError
from sandbox.reuse.pool import draw, refresh
from sandbox.reuse.rules import Retirement
from sandbox.reuse.uses import Use, retired, uses_per_case, wear

KEY = bytes(range(32))


def field(path, levels=101):
    return ReleasedField(
        path=path, kind="rate", value="0.5", grid="0.01", levels=levels, bits=math.log2(levels)
    )


@pytest.mark.parametrize(
    ("n", "b", "expected"),
    [(1000, 10, 0.073), (1000, 40, 0.125), (1000, 100, 0.191), (5000, 100, 0.085), (5000, 1000, 0.264)],
)
def test_half_width_by_hoeffding_and_a_union_over_all_answers(n, b, expected):
    """By hand: 2 * 2**b * exp(-2 n w**2) = d, solved for w."""
    width = bits.reuse_adjusted_half_width(b, n, 0.05)
    assert round(width, 3) == expected
    assert math.isclose(math.log(2) + b * math.log(2) - 2 * n * width**2, math.log(0.05))


def test_what_was_told_twice_is_charged_once():
    fields = [field("s/p/all/auroc/value"), field("s/p/verdict", 4)]
    issued = [*bits.charges("acme", fields), *bits.charges("acme", fields), *bits.charges("bolt", fields[:1])]
    found = bits.account("acme", issued, budget=10, pooled_budget=100)
    assert math.isclose(found.spent, math.log2(101) + 2)
    assert math.isclose(found.pooled_spent, found.spent)
    assert bits.unpaid([*fields, field("new")], "acme", issued) == (field("new"),)
    assert bits.unpaid(fields, "bolt", issued) == (fields[1],)
    assert math.isclose(found.left, 10 - found.spent)
    assert bits.shares(issued)["bolt"] == math.log2(101)


def test_the_pool_of_all_vendors_can_be_what_is_spent():
    issued = [*bits.charges("a", [field("x")]), *bits.charges("b", [field("y")])]
    found = bits.account("c", issued, budget=100, pooled_budget=14)
    assert found.spent == 0
    assert 0 < found.left < 1


def test_discrete_laplace_has_the_published_distribution():
    """Canonne, Kamath and Steinke 2020: P(x) = (e^(1/t) - 1)/(e^(1/t) + 1) e^(-|x|/t)."""
    scale, size = Fraction(3, 2), 20_000
    source = random.Random(7)
    drawn = Counter(int(noise.laplace(scale * noise.STEP, source) / noise.STEP) for _ in range(size))
    decay = math.exp(-1 / float(scale))
    values = np.arange(-6, 7)
    share = (1 - decay) / (1 + decay) * decay ** np.abs(values)
    seen = np.array([drawn[int(v)] for v in values] + [size - sum(drawn[int(v)] for v in values)])
    assert stats.chisquare(seen, size * np.append(share, 1 - share.sum())).pvalue > 0.001


def test_discrete_gaussian_has_the_published_distribution():
    """P(x) proportional to exp(-x**2 / (2 s**2)) on the whole numbers."""
    deviation, size = Fraction(2), 10_000
    source = random.Random(8)
    drawn = Counter(int(noise.gaussian(deviation * noise.STEP, source) / noise.STEP) for _ in range(size))
    values = np.arange(-30, 31)
    share = np.exp(-(values**2) / 8)
    share /= share.sum()
    kept = np.abs(values) <= 5
    seen = np.array([drawn[int(v)] for v in values[kept]])
    expected = np.append(share[kept], share[~kept].sum())
    assert stats.chisquare(np.append(seen, size - seen.sum()), size * expected).pvalue > 0.001


def test_fine_noise_has_the_scale_that_was_asked_for():
    source = random.Random(9)
    laplace = np.array([float(noise.laplace(Fraction(1, 50), source)) for _ in range(4000)])
    gaussian = np.array([float(noise.gaussian(Fraction(1, 50), source)) for _ in range(4000)])
    assert stats.kstest(laplace, "laplace", args=(0, 0.02)).pvalue > 0.001
    assert stats.kstest(gaussian, "norm", args=(0, 0.02)).pvalue > 0.001
    assert all(Fraction(x).denominator <= 2**20 for x in laplace[:100])


def test_the_default_source_is_the_operating_systems():
    assert isinstance(noise.system_source(), random.SystemRandom)
    with pytest.raises(ValueError, match="positive"):
        noise.laplace(Fraction(0), random.Random(1))


def test_claims_cost_one_bit_each():
    first = Claim(name="auroc", metric="auroc", limit=0.8)
    second = Claim(name="misses", metric="failure_rate", direction="at_most", limit=0.02)
    answers = [(first, answer_claim(first, 0.8)), (second, answer_claim(second, 0.03))]
    fields = claim_fields("s", answers)
    assert [found.value for found in fields] == ["met", "not_met"]
    assert bits.cost(fields) == 2
    assert not answer_claim(first, None)
    with pytest.raises(ReuseError, match="same name"):
        claim_fields("s", [answers[0], answers[0]])


def test_uses_are_counted_by_case_and_never_twice():
    uses = [Use(evaluation="e1", cases=("a", "b")), Use(evaluation="e2", cases=("b",))]
    again = [*uses, uses[0]]
    assert uses_per_case(again) == {"a": 1, "b": 2}
    found = wear(again, ["a", "b", "c"])
    assert (found.evaluations, found.most, found.least, found.mean) == (2, 2, 0, 1.0)


def test_a_version_retires_by_uses_or_by_date():
    rules = Retirement(uses=3, date="2027-01-01")
    assert retired(rules, most_uses=2, today=date(2026, 12, 31)) is None
    assert "3 times" in retired(rules, most_uses=3, today=date(2026, 12, 31))
    assert "2027-01-01" in retired(rules, most_uses=0, today=date(2027, 1, 1))
    assert retired(Retirement(uses=None), most_uses=10**6, today=date(2099, 1, 1)) is None


def test_a_draw_is_the_same_for_the_same_purpose_and_even_over_purposes():
    pool = [f"p{index:03d}" for index in range(50)]
    first = draw(pool, share=0.3, key=KEY, purpose="e1")
    assert first == draw(reversed(pool), share=0.3, key=KEY, purpose="e1")
    assert len(first.patients) == 15
    assert first.patients != draw(pool, share=0.3, key=KEY, purpose="e2").patients
    assert first.patients != draw(pool, share=0.3, key=KEY[::-1], purpose="e1").patients
    drawn = Counter(
        p for n in range(1000) for p in draw(pool, share=0.3, key=b"k" * 32, purpose=str(n)).patients
    )
    # Each patient is binomial(1000, 0.3); drawing without replacement makes the sum of squares smaller, not larger.
    chance = sum((drawn[p] - 300) ** 2 / 210 for p in pool)
    assert stats.chi2.sf(chance, 50) > 0.001


def test_a_pool_is_refreshed_from_what_was_never_asked():
    pool, uses = ["a", "b", "c", "d"], {"a": 5, "b": 4, "c": 9}
    found = refresh(pool, uses, ["x", "y", "z"], most_uses=5, size=4, key=KEY)
    assert found.left == ("a", "c")
    assert len(found.came) == 2
    assert set(found.patients) == {"b", "d", *found.came}
    with pytest.raises(ReuseError, match="too small"):
        refresh(pool, uses, ["x"], most_uses=5, size=4, key=KEY)
    with pytest.raises(ReuseError, match="used before"):
        refresh(pool, {"x": 1}, ["x"], most_uses=5, size=4, key=KEY)
    with pytest.raises(ReuseError, match="32 bytes"):
        draw(pool, share=0.5, key=b"short", purpose="e")
