"""Attacks on a hold-out through what it answers, as the literature describes them; vectorised numpy.

Each returns what the attacker gained through a full release, what through Proctor's default, and the bound. A gain is
in the attack's own unit: by how much a value beats the truth, or how many labels are known beyond guessing.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import stats

from sandbox.disclosure.grid import text_on
from sandbox.disclosure.means import offset
from sandbox.disclosure.rules import DisclosureRules
from sandbox.disclosure.suppression import rate_step
from sandbox.reuse.bits import reuse_adjusted_half_width
from sandbox.reuse.ladder import LadderState, parameter_free
from sandbox.reuse.rules import ReuseRules
from tests.attacks.reusable_holdout import reusable_holdout

RULES, REUSE = DisclosureRules(), ReuseRules()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Gains of one attack: ``full`` without rules, ``default`` under the shipped policy, ``bound`` on the latter."""

    name: str
    unit: str
    full: float
    default: float
    bound: float
    note: str


def rounded(values, grid):
    step = float(Fraction(grid))
    return np.floor(np.asarray(values) / step + 0.5) * step


def affordable(bits_each):
    """How many answers of this size the default budget of one vendor pays."""
    return int(REUSE.bits_per_vendor // bits_each)


def grid_bits(grids):
    return float(np.log2(sum(int(1 / Fraction(grid)) + 1 for grid in grids) + 1))


RATE_BITS = grid_bits(RULES.rate_grids)
SCORE_BITS = grid_bits((RULES.score_grid,))


def majority_vote_loss(labels, votes, kept):
    """Loss of the majority of the kept random submissions on the same labels; a tie is decided for 1."""
    if not kept.any():
        return 0.5
    return float(np.mean((votes[:, kept].mean(axis=1) >= 0.5) != labels))


def boosting_losses(*, n, k, repetitions, seed, told):
    """Loss of the majority vote by ``told(losses of all submissions) -> kept`` over repetitions."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(repetitions):
        labels = random.random(n) < 0.5
        votes = random.random((n, k)) < 0.5
        found.append(majority_vote_loss(labels, votes, told(votes != labels[:, None])))
    return np.array(found)


def keep_by_ladder(wrong):
    """Submissions that the parameter-free ladder called better."""
    state, best, kept = LadderState(), None, np.zeros(wrong.shape[1], dtype=bool)
    for index in range(wrong.shape[1]):
        losses = wrong[:, index].astype(float)
        state, answer = parameter_free(state, submission=str(index), losses=losses, best_losses=best)
        if answer.improved:
            kept[index], best = True, losses
    return kept


def keep_by_budget(wrong):
    """Submissions that look better than chance through the default: rounded answers, as many as the budget pays."""
    told = rounded(wrong.mean(axis=0), RULES.rate_grids[0])
    kept = told <= 0.5
    # Rounded to a grid, most answers are just 0.5; those clearly below it are worth more to the attacker.
    kept &= (told < 0.5) | (np.count_nonzero(told < 0.5) == 0)
    kept[affordable(RATE_BITS) :] = False
    return kept


def wacky_boosting(*, n=4000, k=400, repetitions=20, seed=1):
    """Majority vote of random submissions that seemed better than chance (Blum and Hardt 2015)."""

    def keep_full(wrong):
        return np.round(wrong.mean(axis=0), 5) <= 0.5

    full = 0.5 - boosting_losses(n=n, k=k, repetitions=repetitions, seed=seed, told=keep_full).mean()
    ladder = 0.5 - boosting_losses(n=n, k=k, repetitions=repetitions, seed=seed, told=keep_by_ladder).mean()
    default = 0.5 - boosting_losses(n=n, k=k, repetitions=repetitions, seed=seed, told=keep_by_budget).mean()
    return Outcome(
        name=f"majority vote of {k} random submissions, n = {n}",
        unit="accuracy above the truth",
        full=full,
        default=default,
        bound=reuse_adjusted_half_width(REUSE.bits_per_vendor, n, REUSE.delta),
        note=f"ladder {ladder:.3f}; the default pays {affordable(RATE_BITS)} answers",
    )


def feature_selection(*, n=1000, k=100, repetitions=30, seed=2):
    """Choosing features by their hold-out correlations, without any signal.

    Under the default each correlation is one answer of a rate's bits: the attacker learns those of as many
    features as the budget pays, and tells the rest from the training set alone.
    """
    random = np.random.default_rng(seed)
    arms = reusable_holdout(n=n, sizes=(k,), repetitions=repetitions, seed=seed)
    full, answered = arms[k, False], arms[k, True]
    gains = []
    for _ in range(repetitions):
        features, labels = random.standard_normal((2, n, n)), np.sign(random.standard_normal((2, n)))
        train = labels[0] @ features[0] / n
        asked = np.argsort(-abs(train))[: affordable(RATE_BITS) - 1]
        agree = ((features[1][:, asked] > 0) == (labels[1] > 0)[:, None]).mean(axis=0)
        signs = np.sign(train[asked]) * (
            np.sign(rounded(agree, RULES.rate_grids[0]) - 0.5) == np.sign(train[asked])
        )
        signs = signs if signs.any() else np.sign(train[asked])
        told = rounded((np.sign(features[1][:, asked] @ signs) == labels[1]).mean(), RULES.rate_grids[0])
        gains.append(told - 0.5)
    return Outcome(
        name=f"features chosen on the hold-out, no signal, n = {n}",
        unit="accuracy above the truth",
        full=full.told - full.fresh,
        default=float(np.mean(gains)),
        bound=reuse_adjusted_half_width(REUSE.bits_per_vendor, n, REUSE.delta),
        note=f"Thresholdout {answered.told - answered.fresh:.3f}",
    )


def auroc(labels, scores):
    """AUROC by midranks."""
    ranks = stats.rankdata(scores)
    positives = int(labels.sum())
    return (ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * (labels.size - positives))


def label_bound(n):
    """Most labels known beyond guessing after the default budget, in expectation: Pinsker's inequality.

    b bits about n fair labels make the sum of |P(label) - 1/2| at most n sqrt(ln 2 (b/n) / 2).
    """
    return min(n / 2, float(np.sqrt(n * REUSE.bits_per_vendor * np.log(2) / 2)))


def subsets_of(size):
    return (np.arange(2**size)[:, None] >> np.arange(size) & 1).astype(bool)


def block_scores(n, block):
    """Every case at 0.5 but those of ``block``, which stand above in rising order."""
    scores = np.full(n, 0.5)
    scores[block] = 0.6 + 0.3 * np.arange(len(block)) / len(block)
    return scores


def auroc_oracle(*, n=1000, seed=3, release=None):
    """AUROC as an oracle of labels (Matthews and Harel 2013; Whitehill 2015, arXiv 1506.01339).

    All cases tie but a few. The exact AUROC tells which of three are positive, so n/3 questions tell everything.
    Rounded, it tells about how many of a larger block are positive, and the block is called by its majority.

    Args:
        n: cases, half of them positive, which the attacker knows.
        seed: of the labels.
        release: scores to the AUROC's text through the release path; rounding alone when None.
    """
    labels = np.random.default_rng(seed).permutation(np.arange(n) < n // 2)
    right = 0
    for start in range(0, n, 3):
        block = np.arange(start, min(start + 3, n))
        told = auroc(labels, block_scores(n, block))
        guesses = subsets_of(block.size)
        values = [possible_auroc(guess, n) for guess in guesses]
        right += np.count_nonzero(guesses[int(np.argmin(np.abs(np.array(values) - told)))] == labels[block])
    asks = affordable(SCORE_BITS)
    known = 0
    for block in np.array_split(np.arange(n), asks):
        scores = block_scores(n, block)
        told = (
            float(release(labels, scores))
            if release
            else float(rounded(auroc(labels, scores), RULES.score_grid))
        )
        known += np.count_nonzero(labels[block] == (told >= 0.5))
    return Outcome(
        name=f"labels read from AUROC, n = {n}",
        unit="labels known beyond guessing",
        full=right - n / 2,
        default=known - n / 2,
        bound=label_bound(n),
        note=f"default: {asks} answers of {SCORE_BITS:.1f} bits",
    )


def possible_auroc(guess, n):
    """AUROC of :func:`block_scores` when ``guess`` are the positives of the block; half of n are positive."""
    positives, negatives = n // 2, n - n // 2
    k, m = int(guess.sum()), guess.size
    outside_positive, outside_negative = positives - k, negatives - (m - k)
    inside = sum(np.count_nonzero(~guess[:j]) for j in np.flatnonzero(guess))
    wins = k * outside_negative + 0.5 * outside_positive * outside_negative + inside
    return wins / (positives * negatives)


def log_loss_oracle(*, n=1000, seed=4):
    """Log-loss as an oracle of labels (Whitehill 2017, arXiv 1707.01825): the exact value tells a block of ten.

    The default releases neither log-loss nor Brier score. What is left are verdicts of criteria on the Brier
    score: whether it is at most a limit, which tells whether a block is mostly positive.
    """
    labels = np.random.default_rng(seed).random(n) < 0.5
    right = 0
    for start in range(0, n, 10):
        own = labels[start : start + 10]
        guesses = subsets_of(own.size)
        odds = np.log(2.0) * 2.0 ** np.arange(own.size) / 2**own.size
        told = -(own @ odds) / n
        right += np.count_nonzero(guesses[int(np.argmin(np.abs(-(guesses @ odds) / n - told)))] == own)
    verdicts = affordable(2.0)
    known = 0
    for block in np.array_split(np.arange(n), verdicts):
        scores = np.full(n, 0.5)
        scores[block] = 1.0
        brier = np.mean((scores - labels) ** 2)
        met = brier <= ((n - block.size) / 4 + block.size / 2) / n
        known += np.count_nonzero(labels[block] == met)
    return Outcome(
        name=f"labels read from log-loss, n = {n}",
        unit="labels known beyond guessing",
        full=right - n / 2,
        default=known - n / 2,
        bound=label_bound(n),
        note=f"default: no log-loss, {verdicts} verdicts on Brier",
    )


def stratum_code(*, positives=60, negatives=140):
    """A container that codes a message in its scores for one stratum, read back from what is released.

    It is given everything: it knows the truth and sets TP, FP and the ranking as it likes. The message is at most
    log2 of the different releases that it can cause.
    """
    exact = np.log2(positives + 1) + np.log2(negatives + 1) + np.log2(2 * positives * negatives + 1)
    texts = sum(np.log2(len(rate_texts(size))) for size in (positives, negatives))
    scores = np.unique(
        rounded(np.arange(positives * negatives + 1) / (positives * negatives), RULES.score_grid)
    ).size
    return Outcome(
        name=f"message coded in a stratum's scores, {positives} + {negatives} cases",
        unit="bits",
        full=float(exact),
        default=float(texts + np.log2(scores)),
        bound=2 * RATE_BITS + SCORE_BITS,
        note="sensitivity, specificity and AUROC of the stratum",
    )


def rate_texts(size):
    """Every text that a rate over ``size`` cases can have under the rules, "withheld" included."""
    step = rate_step(RULES, size)
    if step is None:
        return {None}
    least = RULES.minimum_cell
    return {
        None if min(hits, size - hits) < least else text_on(Fraction(hits, size), step)
        for hits in range(size + 1)
    }


LEVELS = np.arange(101) / 100
"""Values that a patient's Dice may have, all as likely beforehand."""


def one_patients_dice(*, n=1000, repetitions=100, seed=6, release=None):
    """One patient's Dice from repeated releases, by somebody who knows everybody else's and can set their sum.

    Two masks of one patient beside equal others are withheld, so the attacker gives some others another mask with
    each answer, of values that it knows (a mask that is surely wrong has the value 0), and so brings their mean to
    wherever it tells most. The exact mean tells the rest. Rounded to the nearest step, bisection does: each answer
    says on which side of a point the value lies; so does each verdict on the mean. Rounded at random a mean tells
    most from a multiple of the step, where a value of 0 is never rounded up.

    Args:
        n: patients with a case each.
        repetitions: values of the patient, of which the information is the mean.
        seed: of these values.
        release: predictions' name, sum and number of cases to the text that is told.
    """
    random = np.random.default_rng(seed)
    step, asks = rate_step(RULES, n), affordable(RATE_BITS)
    base = 50 * step * n
    gained = []
    for repetition in range(repetitions):
        value = random.integers(LEVELS.size)
        chance = np.full(LEVELS.size, 1 / LEVELS.size)
        for ask in range(asks):
            told = (release or rounded_mean)(f"{repetition}-{ask}", base + Fraction(int(value), 100), n)
            up = LEVELS / float(step * n)
            chance = chance * (up if Fraction(told) > 50 * step else 1 - up)
            chance /= chance.sum()
        gained.append(np.log2(chance[value] * LEVELS.size))
    bisected = float(min(np.log2(LEVELS.size), asks))
    return Outcome(
        name=f"one patient's Dice from means of known others, n = {n}",
        unit="bits about it",
        full=float(np.log2(LEVELS.size)),
        default=float(np.mean(gained)),
        bound=asks * z_capacity(1 / RULES.count_base),
        note=f"{asks} answers; to the nearest step, or by {affordable(2.0)} verdicts: {bisected:.1f}",
    )


def rounded_mean(name, total, n):
    """A mean as it is told, but for the thresholds."""
    step = rate_step(RULES, n)
    return text_on(step * int(total / n / step + offset(b"secret", name, "mean_dice", "value")), step)


def z_capacity(share):
    """Bits that one answer tells at most about a value that makes it with a chance between p and p + ``share``.

    Most at p = 0, where it is the capacity of the Z-channel.
    """
    kept = 1 - share
    return float(np.log2(1 + share * kept ** (kept / share)))


def all_attacks(*, small=False):
    """Every attack, at the size of the publication or at one for the normal suite."""
    if small:
        return [
            wacky_boosting(n=1000, k=100, repetitions=5),
            feature_selection(n=500, k=60, repetitions=4),
            auroc_oracle(n=300),
            log_loss_oracle(n=300),
            stratum_code(),
            one_patients_dice(repetitions=40),
        ]
    return [
        wacky_boosting(),
        feature_selection(),
        auroc_oracle(),
        log_loss_oracle(),
        stratum_code(),
        one_patients_dice(),
    ]
