"""How many cases each group has in each stratum of a confounder: where groups can be compared, and where not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.scoring.cases import Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportRow:
    """One stratum: cases of each group, and whether every group has any."""

    stratum: str
    cases: tuple[int, ...]
    shared: bool


def support_table(n: Integers, groups: Sequence[str], strata: Sequence[str]) -> tuple[SupportRow, ...]:
    """Make the support table.

    Args:
        n: cases, shape (groups, strata).
        groups, strata: their names.
    """
    assert n.shape == (len(groups), len(strata))
    return tuple(
        SupportRow(
            stratum=name,
            cases=tuple(int(count) for count in n[:, index]),
            shared=bool((n[:, index] > 0).all()),
        )
        for index, name in enumerate(strata)
    )


def overlap(n: Integers) -> tuple[float, ...]:
    """Share of each group's cases that lie in strata which every group has; 0 is no overlap at all."""
    shared = (n > 0).all(axis=0)
    return tuple(float(row[shared].sum() / row.sum()) if row.sum() else 0.0 for row in n)
