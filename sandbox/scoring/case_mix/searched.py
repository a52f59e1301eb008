"""The search for slices that a protocol asks for: which wrong calls are searched, over which attributes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sandbox.errors import ScoringError
from sandbox.outcome.case_mix_results import SliceSearch
from sandbox.outcome.results import FailureRule
from sandbox.plan.protocol import Protocol
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.case_mix import slices as search
from sandbox.scoring.cases import ScoredCases
from sandbox.scoring.strata import Levels

VERSION = 1


def search_slices(
    cases: ScoredCases,
    levels: Sequence[Levels],
    cutoffs: Sequence[tuple[str, float]],
    protocol: Protocol,
    evaluation: str,
    rule: FailureRule,
) -> SliceSearch | None:
    """Search for slices; None where the protocol does not ask.

    Args:
        cases: those that entered the analysis.
        levels: their levels in each stratum.
        cutoffs: name and lowest positive score of each operating point.
        protocol: says what is searched.
        evaluation, rule: seed the permutations.
    """
    section = protocol.slices
    if section is None:
        return None
    point = section.operating_point or cutoffs[0][0]
    called = cases.score >= dict(cutoffs)[point]
    counted = {
        "any": np.ones(cases.n, dtype=bool),
        "misses": cases.reference,
        "false_alarms": ~cases.reference,
    }[section.errors]
    chosen = np.flatnonzero(counted)
    wrong = (called != cases.reference)[chosen]
    known = {each.name: each for each in levels}
    seed = Seed(evaluation=evaluation, metric=f"slices@{point}", purpose=f"permutation-{rule}")
    made, reason = None, None
    try:
        made = search.find_slices(
            wrong,
            [known[name].where(chosen) for name in section.attributes],
            cases.patient[chosen],
            seed,
            ways=section.depth,
            minimum=section.minimum,
            permutations=section.permutations,
            level=protocol.intervals.level,
        )
    except ScoringError as error:
        reason = f"Not searched: {error}."
    if made is not None and not made.searched:
        reason = "No combination of levels has enough cases inside and outside."
    return SliceSearch(
        attributes=section.attributes,
        depth=section.depth,
        operating_point=point,
        errors=section.errors,
        cases=int(chosen.size),
        wrong=int(np.count_nonzero(wrong)),
        searched=0 if made is None else made.searched,
        minimum=section.minimum,
        permutations=0 if made is None else made.permutations,
        level=protocol.intervals.level,
        label=search.LABEL,
        slices=() if made is None else made.slices,
        method="none" if made is None else made.method,
        version=VERSION,
        reason=reason,
    )
