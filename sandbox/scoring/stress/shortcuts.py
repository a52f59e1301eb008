"""Whether site or scanner can be told from the score although the truth is the same: the sign of a shortcut.

Patients of one class differ by their disease alone, as far as the reference standard says; an algorithm that looks at
the disease gives them scores that tell nothing of where the image comes from. In each class, each group's patients are
compared with the others of the class by AUROC (0.5: the score tells nothing), on one number a patient, the mean of his
scores. No perturbed image is needed.

Chance is what comes of permuting scores among the patients of a class (Kruskal and Wallis 1952, JASA 47:583, for all
groups of an attribute together); all groups, of all attributes, in both classes, are one family of max-T (Westfall and
Young 1993); attributes are adjusted by Holm. Beyond 2,000 patients of a class the rank sums are drawn as normal with
the covariance that permutation gives them.

A difference is no proof: cases of one class may be harder at one place than at another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from sandbox.outcome.stress_results import ShortcutGroup, ShortcutResult, StressVerdict
from sandbox.outcome.truth import REFERENCE
from sandbox.plan.bands import CROSS
from sandbox.plan.protocol import Protocol
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import Bools, Floats, Integers, make_cases
from sandbox.scoring.multiplicity import holm
from sandbox.scoring.roc import auroc
from sandbox.scoring.strata import Levels, cross, levels_of

SEVERAL = "several"
"""The level of a patient whose cases of one class come from several groups."""
MOST_PERMUTED = 2_000
_BLOCK_NUMBERS = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Class:
    """The patients of one class: a score each, its rank less the mean rank, and who is in which group.

    ``members`` has shape (patients, groups), for the groups that are compared.
    """

    positive: bool
    score: Floats
    rank: Floats
    members: npt.NDArray[np.bool_]
    groups: tuple[tuple[str, str], ...]

    @property
    def sizes(self) -> Floats:
        """Patients of each group."""
        return np.asarray(self.members.sum(axis=0), dtype=np.float64)

    @property
    def patients(self) -> int:
        """How many there are."""
        return self.rank.size

    @property
    def variance(self) -> float:
        """Variance of a rank drawn at random."""
        return float((self.rank**2).sum()) / max(1, self.patients - 1)

    @property
    def spread(self) -> Floats:
        """Standard deviation of each group's rank sum when scores are permuted."""
        outside = (self.patients - self.sizes) / max(1, self.patients)
        return np.asarray(np.sqrt(self.variance * self.sizes * outside), dtype=np.float64)

    @property
    def z(self) -> Floats:
        """Each group's rank sum in units of :attr:`spread`; 0 where all scores are equal."""
        sums: Floats = self.rank @ self.members
        found: Floats = np.divide(sums, self.spread, out=np.zeros_like(sums), where=self.spread > 0)
        return found


def find_shortcuts(table: pa.Table, protocol: Protocol, evaluation: str) -> tuple[ShortcutResult, ...]:
    """Compare the scores of each site or scanner that the protocol names, given the truth.

    Args:
        table: scored cases of the evaluation, with the columns that ``protocol.stress.shortcuts`` names.
        evaluation: its id, which names the random stream.

    Returns:
        A result for each attribute, in the protocol's order.
    """
    stress = protocol.stress
    assert stress is not None
    if not stress.shortcuts:
        return ()
    known = table.filter(pc.and_(pc.is_valid(table["score"]), pc.is_valid(table[REFERENCE]))).combine_chunks()
    levels = [_levels(known, name) for name in stress.shortcuts]
    span = protocol.score.maximum - protocol.score.minimum
    classes = [_class(known, levels, positive, span, protocol.minimum.patients) for positive in (True, False)]
    replicates = protocol.intervals.bootstrap_replicates
    drawn = [_null(each, evaluation, replicates) for each in classes]
    largest = np.max([np.abs(z).max(axis=1, initial=0.0) for z in drawn], axis=0)
    reach = float(np.quantile(largest, stress.level))
    found, p = [], []
    for index, name in enumerate(stress.shortcuts):
        mine = [_of(each, name) for each in classes]
        observed = sum(
            _omnibus(each, each.z[None], chosen)[0] for each, chosen in zip(classes, mine, strict=True)
        )
        null = sum(_omnibus(each, z, chosen) for each, z, chosen in zip(classes, drawn, mine, strict=True))
        p.append((1 + int(np.count_nonzero(null >= observed - 1e-9))) / (1 + replicates))
        groups = [
            group
            for each, chosen in zip(classes, mine, strict=True)
            for group in _groups(each, chosen, largest, reach, stress.level)
        ]
        found.append((name, levels[index], groups))
    return tuple(
        _judged(name, len(level.names), groups, raw, adjusted, stress.margins.named["auroc"], stress.level)
        for (name, level, groups), raw, adjusted in zip(found, p, holm(p), strict=True)
    )


def _levels(table: pa.Table, name: str) -> Levels:
    parts = [levels_of(table[part], part, None) for part in name.split(CROSS)]
    return parts[0] if len(parts) == 1 else cross(parts, name)


def _class(table: pa.Table, levels: Sequence[Levels], positive: bool, span: float, smallest: int) -> _Class:
    """One number a patient, in units of the score's range.

    Of two groups that are each other's rest only the smaller one is kept.
    """
    reference = pc.cast(table[REFERENCE].combine_chunks(), pa.int8()).to_numpy().astype(bool)
    chosen = np.flatnonzero(reference == positive)
    keys = pc.dictionary_encode(table["patient_key"].combine_chunks()).indices.to_numpy()[chosen]
    _, patient = np.unique(keys, return_inverse=True)
    count = np.bincount(patient) if patient.size else np.zeros(0, dtype=np.int64)
    score = pc.cast(table["score"].combine_chunks(), pa.float64()).to_numpy()[chosen]
    mean = np.bincount(patient, weights=score) / np.maximum(count, 1) if patient.size else np.zeros(0)
    # Means of equal scores must be equal: their last digits would tell how many cases a patient has.
    mean = np.round(mean / span, 9)
    members, groups = [], []
    for level in levels:
        names, columns = _memberships(level, chosen, patient, count.size)
        sizes = columns.sum(axis=0)
        kept = [
            index
            for index in range(len(names))
            if min(sizes[index], count.size - sizes[index]) >= max(2, smallest)
        ]
        if len(kept) == 2 and sizes[kept].sum() == count.size:
            kept = [min(kept, key=lambda index: (sizes[index], names[index]))]
        members += [columns[:, index] for index in kept]
        groups += [(level.name, names[index]) for index in kept]
    return _Class(
        positive=positive,
        score=mean,
        rank=stats.rankdata(mean) - (mean.size + 1) / 2,
        members=np.column_stack(members) if members else np.zeros((count.size, 0), dtype=bool),
        groups=tuple(groups),
    )


def _memberships(
    level: Levels, chosen: Integers, patient: Integers, patients: int
) -> tuple[list[str], npt.NDArray[np.bool_]]:
    held = np.zeros((patients, len(level.names)), dtype=bool)
    held[patient, level.codes[chosen]] = True
    several = held.sum(axis=1) > 1
    held[several] = False
    return [*level.names, SEVERAL], np.column_stack([held, several])


def _null(of: _Class, evaluation: str, replicates: int) -> Floats:
    """Draw z of every group under permutation: shape (replicates, groups)."""
    size, groups = of.members.shape
    if not groups or not of.spread.any():
        return np.zeros((replicates, groups))
    seed = Seed(evaluation=evaluation, metric=f"shortcuts {of.positive}", purpose="permutation")
    generator = seed.generator()
    members = of.members.astype(np.float64)
    if size > MOST_PERMUTED:
        sizes = of.sizes
        covariance = (members.T @ members - np.outer(sizes, sizes) / size) * of.variance
        sums = generator.multivariate_normal(np.zeros(groups), covariance, size=replicates, method="eigh")
    else:
        step = max(1, _BLOCK_NUMBERS // size)
        blocks = []
        for start in range(0, replicates, step):
            rows = np.tile(of.rank, (min(step, replicates - start), 1))
            blocks.append(generator.permuted(rows, axis=1) @ members)
        sums = np.concatenate(blocks)
    return np.asarray(sums / of.spread, dtype=np.float64)


def _of(of: _Class, name: str) -> Integers:
    return np.array([index for index, group in enumerate(of.groups) if group[0] == name], dtype=np.int64)


def _omnibus(of: _Class, z: Floats, chosen: Integers) -> Floats:
    """Kruskal and Wallis' statistic over the chosen groups, as the weighted sum of their squared z."""
    weight = 1 - of.sizes[chosen] / max(1, of.patients)
    return np.asarray((z[:, chosen] ** 2) @ weight, dtype=np.float64)


def _groups(
    of: _Class, chosen: Integers, largest: Floats, reach: float, level: float
) -> Iterator[ShortcutGroup]:
    for index in chosen.tolist():
        member: Bools = of.members[:, index]
        inside, others = int(np.count_nonzero(member)), int(np.count_nonzero(~member))
        z, half = float(of.z[index]), reach * float(of.spread[index]) / (inside * others)
        p = (1 + int(np.count_nonzero(largest >= abs(z) - 1e-9))) / (1 + largest.size)
        yield ShortcutGroup(
            positive=of.positive,
            level=of.groups[index][1],
            patients=inside,
            others=others,
            auroc=auroc(make_cases(member, of.score), level, "group_auroc"),
            chance_low=max(0.0, 0.5 - half),
            chance_high=min(1.0, 0.5 + half),
            adjusted_p=p,
            shown=p < 1 - level,
        )


def _judged(
    name: str,
    levels: int,
    groups: Sequence[ShortcutGroup],
    p: float,
    adjusted_p: float,
    margin: float,
    level: float,
) -> ShortcutResult:
    verdict, reason = _verdict(groups, margin)
    return ShortcutResult(
        attribute=name,
        levels=levels,
        p=p if groups else 1.0,
        adjusted_p=adjusted_p if groups else 1.0,
        shown=bool(groups) and adjusted_p < 1 - level,
        groups=tuple(groups),
        verdict=verdict,
        reason=reason,
    )


def _verdict(groups: Sequence[ShortcutGroup], margin: float) -> tuple[StressVerdict, str]:
    if not groups:
        return "not_applicable", "No two groups have enough patients of one class."
    farthest = max(groups, key=lambda group: abs((group.auroc.value or 0.5) - 0.5))
    found = farthest.auroc
    truth = "positive" if farthest.positive else "negative"
    shown = (
        f"among {truth} patients, {farthest.level} against the others: AUROC {found.value:.3f} "
        f"({found.low:.3f} to {found.high:.3f}); chance reaches {farthest.chance_low:.3f} to {farthest.chance_high:.3f}"
    )
    if any(group.shown and _beyond(group, margin) for group in groups):
        return "outside", f"The score tells them apart: {shown}."
    if all(_inside(group, margin) for group in groups):
        return "within", f"No group is farther than {margin:g} from 0.5: {shown}."
    return "cannot_tell", f"Neither shown nor excluded beyond {margin:g}: {shown}."


def _beyond(group: ShortcutGroup, margin: float) -> bool:
    low, high = group.auroc.low, group.auroc.high
    return (low is not None and low > 0.5 + margin) or (high is not None and high < 0.5 - margin)


def _inside(group: ShortcutGroup, margin: float) -> bool:
    low, high = group.auroc.low, group.auroc.high
    return low is not None and high is not None and 0.5 - margin < low and high < 0.5 + margin
