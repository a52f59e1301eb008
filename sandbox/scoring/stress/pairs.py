"""The sampled cases, clean and under one perturbation at one severity, side by side; what every cell is made from."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import Bools, Floats, Integers, count_patients
from sandbox.scoring.detection.compared import Figure
from sandbox.scoring.detection.marks import CaseMarks
from sandbox.scoring.estimates import Basis
from sandbox.scoring.stress.answers import Put, Sample
from sandbox.scoring.stress.findings import judged_figures
from sandbox.scoring.stress.masks import MEASURES
from sandbox.scoring.stress.verdicts import Margins
from sandbox.stress.perturbation import Perturbation

NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What every cell needs: the protocol's choices, and the lowest score of each threshold that is a call.

    ``scored``: the task answers one score about a yes or no; of others the distance to the clean answer is judged, of
    ``masks`` what they are worth, and of findings the ``figures`` (metric, subject, function of counts).
    """

    evaluation: str
    level: float
    replicates: int
    margins: Margins
    thresholds: dict[str, float]
    proportion: str
    scored: bool
    masks: bool
    figures: tuple[tuple[str, str | None, Figure], ...]


def setting_of(protocol: Protocol, evaluation: str) -> Setting:
    """Read the setting off a protocol with a section ``stress``."""
    stress, score = protocol.stress, protocol.output.score
    assert stress is not None
    # Distances to the clean answer are shares of the range.
    span = 1.0 if score is None else score.maximum - score.minimum
    given = stress.margins.named
    masks, findings = protocol.output.mask is not None, protocol.output.findings is not None
    return Setting(
        evaluation=evaluation,
        level=stress.level,
        replicates=protocol.intervals.bootstrap_replicates,
        margins=Margins(
            losses={f"{name}_change": margin for name, margin in given.items() if name != "score"},
            score=given[MEASURES[0]] if masks else given["score"] * span,
            score_word="Dice" if masks else "of the range" if findings else "",
        ),
        # Scores are multiples of a step: a threshold on one of them must not miss it by rounding.
        thresholds={
            point.name: point.threshold - 1e-9 * span
            for point in protocol.operating_points
            if score is not None and point.threshold is not None
        },
        proportion=protocol.intervals.proportion,
        scored=score is not None,
        masks=masks,
        figures=tuple(judged_figures(protocol)) if findings else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The cases that are analysed: ``counted`` are stressed, the others stand with their clean answers.

    ``row`` is the place of each in the sample; scores are NaN without an answer. ``worth`` is (clean, stressed) of each
    measure of masks, ``marks`` the same of findings; ``altered`` marks answers that are not the clean one where there
    are both.
    """

    reference: Bools
    clean: Floats
    stressed: Floats
    flipped: Bools | None
    donor: Floats
    counted: Bools
    patient: Integers
    row: Integers
    worth: Mapping[str, tuple[Floats, Floats]]
    altered: Bools
    marks: tuple[tuple[CaseMarks, ...], tuple[CaseMarks, ...]]

    def basis(self, kept: Bools, level: float) -> Basis:
        """Basis of an estimate over ``kept`` cases."""
        return Basis(
            n=int(np.count_nonzero(kept)),
            positives=int(np.count_nonzero(self.reference[kept])),
            patients=count_patients(self.patient[kept]),
            level=level,
        )


def pairs_of(sample: Sample, put: Put, perturbation: Perturbation) -> Pairs:
    """Pair the answers of the cases for which the perturbation is meant, and has a meaning."""
    meant = {
        "all": np.ones_like(sample.reference),
        "positive": sample.reference,
        "negative": ~sample.reference,
    }[perturbation.cases]
    counted = (put.failure != NOT_APPLICABLE) & meant
    # Where only one class is perturbed, the other stands for itself: what changes is how the two are told apart.
    kept = counted if perturbation.cases == "all" else counted | ~meant
    stressed = np.where(counted, put.score, sample.score)
    # NaN differs from everything, and is no answer that was altered.
    altered = np.abs(stressed - sample.score) > 0 if put.altered is None else put.altered
    return Pairs(
        reference=sample.reference[kept],
        clean=sample.score[kept],
        stressed=stressed[kept],
        flipped=None if put.flipped is None else put.flipped[kept],
        donor=np.where(put.donor >= 0, sample.score[put.donor], np.nan)[kept],
        counted=counted[kept],
        patient=sample.patient[kept],
        row=np.flatnonzero(kept).astype(np.int64),
        worth={name: (sample.worth[name][kept], put.worth[name][kept]) for name in put.worth},
        altered=altered[kept],
        marks=(
            tuple(itertools.compress(sample.marks, kept)),
            tuple(itertools.compress(put.marks, kept)),
        ),
    )
