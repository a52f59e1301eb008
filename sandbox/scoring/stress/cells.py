"""One perturbation at one severity against the clean answers of the same cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sandbox.outcome.results import Estimate
from sandbox.outcome.stress_results import PairedCalls, StressCell, StressLoss
from sandbox.scoring.cases import Bools, Integers, make_cases
from sandbox.scoring.failures import count_failures
from sandbox.scoring.proportions import proportion
from sandbox.scoring.roc import auroc
from sandbox.scoring.stress.answers import Put, Sample, ranked_scores
from sandbox.scoring.stress.changes import Change, changes_of, mean_of
from sandbox.scoring.stress.masks import counted_worth
from sandbox.scoring.stress.pairs import NOT_APPLICABLE, Pairs, Setting, pairs_of
from sandbox.scoring.stress.verdicts import judge
from sandbox.stress.perturbation import Perturbation


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCell:
    """A cell that is not judged yet, with its changes and where in the sample their cases stand.

    ``lost`` cases had an answer without the stress and have none under it; ``altered`` ones have another.
    """

    cell: StressCell
    perturbation: Perturbation
    changes: tuple[Change, ...]
    row: Integers
    lost: int
    altered: int


def score_cell(
    sample: Sample, put: Put, perturbation: Perturbation, severity: int, label: str, setting: Setting
) -> ScoredCell:
    """Score one perturbation at one severity."""
    pairs = pairs_of(sample, put, perturbation)
    clean, stressed = pairs.clean[pairs.counted], pairs.stressed[pairs.counted]
    both = ~np.isnan(clean) & ~np.isnan(stressed)
    reference = pairs.reference[pairs.counted]
    differences = np.abs(stressed[both] - clean[both])
    altered = int(np.count_nonzero(pairs.altered & pairs.counted))
    moved = altered + int(np.count_nonzero(np.isnan(clean) != np.isnan(stressed)))
    compared = perturbation.readout == "paired difference" and perturbation.expectation != "must refuse"
    changes = tuple(changes_of(pairs, setting)) if compared and pairs.counted.any() else ()
    not_applicable = put.failure == NOT_APPLICABLE
    counted = np.zeros(not_applicable.size, dtype=bool)
    counted[pairs.row[pairs.counted]] = True
    cell = StressCell(
        severity=severity,
        label=label,
        planned=int(sample.reference.size),
        not_applicable=int(np.count_nonzero(not_applicable)),
        not_put=int(np.count_nonzero(~not_applicable & ~counted)),
        cases=int(np.count_nonzero(counted)),
        positives=int(np.count_nonzero(reference)),
        negatives=int(np.count_nonzero(~reference)),
        answered=int(np.count_nonzero(~np.isnan(stressed))),
        failures=count_failures(put.failure[counted].tolist(), reference),
        different=moved,
        largest_difference=float(differences.max()) if differences.size else None,
        calls=() if perturbation.readout == "score follows the pixels" else tuple(_calls(pairs, setting)),
        estimates=(*(change.estimate for change in changes), *_others(pairs, perturbation, setting)),
        verdict="not_applicable",
        reason="",
    )
    lost = int(np.count_nonzero(~np.isnan(clean) & np.isnan(stressed)))
    return ScoredCell(
        cell=cell, perturbation=perturbation, changes=changes, row=pairs.row, lost=lost, altered=altered
    )


def judged(scored: ScoredCell, losses: tuple[StressLoss, ...], setting: Setting) -> StressCell:
    """The cell with its verdict; ``losses`` are its changes, adjusted over all cells."""
    cell = replace(scored.cell, losses=losses)
    verdict, reason = judge(
        cell, scored.perturbation, setting.margins, lost=scored.lost, altered=scored.altered
    )
    return replace(cell, verdict=verdict, reason=reason)


def _calls(pairs: Pairs, setting: Setting) -> Iterator[PairedCalls]:
    clean, stressed = (ranked_scores(score, pairs.reference) for score in (pairs.clean, pairs.stressed))
    for name, threshold in setting.thresholds.items():
        for positive in (True, False):
            kind = pairs.counted & (pairs.reference == positive)
            first, second = ((score[kind] >= threshold) == positive for score in (clean, stressed))
            yield PairedCalls(
                operating_point=name,
                positive=positive,
                both=int(np.count_nonzero(first & second)),
                only_clean=int(np.count_nonzero(first & ~second)),
                only_stressed=int(np.count_nonzero(~first & second)),
                neither=int(np.count_nonzero(~first & ~second)),
            )


def _others(pairs: Pairs, perturbation: Perturbation, setting: Setting) -> Iterator[Estimate]:
    """What is estimated beside changes."""
    if not pairs.counted.any():
        return
    if perturbation.readout == "auroc near 0.5":
        answered = ~np.isnan(pairs.stressed)
        cases = make_cases(pairs.reference[answered], pairs.stressed[answered], pairs.patient[answered])
        yield auroc(cases, setting.level)
    elif perturbation.readout == "score follows the pixels":
        yield mean_of("difference_to_pixels", pairs, np.abs(pairs.stressed - pairs.donor), setting)
        yield mean_of("difference_to_header", pairs, np.abs(pairs.stressed - pairs.clean), setting)
    compared = perturbation.readout == "paired difference" and perturbation.expectation != "must refuse"
    for name, (clean, stressed) in pairs.worth.items() if compared else ():
        margin = setting.margins.losses.get(f"{name}_change")
        if margin is not None:
            loss = counted_worth(clean) - counted_worth(stressed)
            # A loss of the margin itself is within it, whatever the last digit of a difference is.
            yield _share(f"{name}_loss_rate", loss > margin + 1e-9, pairs, setting)
    if pairs.flipped is not None:
        yield _share("flip_rate", pairs.flipped, pairs, setting)
    yield _share("failure_rate", np.isnan(pairs.stressed), pairs, setting)


def _share(metric: str, hit: Bools, pairs: Pairs, setting: Setting) -> Estimate:
    """Share of the counted cases with ``hit``."""
    return proportion(
        metric,
        hit[pairs.counted],
        pairs.patient[pairs.counted],
        positives=int(np.count_nonzero(pairs.reference[pairs.counted])),
        level=setting.level,
        method="clopper-pearson" if setting.proportion == "clopper-pearson" else "wilson",
        empty="There is no case.",
    )
