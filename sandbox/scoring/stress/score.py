"""From the clean and the stressed answers of one evaluation to its stress results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from sandbox.outcome.results import Estimate
from sandbox.outcome.stress_results import (
    VERDICTS,
    StressCell,
    StressGroup,
    StressLoss,
    StressMarginsUsed,
    StressResults,
    StressTestResult,
    VerdictCount,
)
from sandbox.plan.protocol import Protocol
from sandbox.plan.stress_margins import StressMargins
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import make_cases
from sandbox.scoring.differences import two_sided
from sandbox.scoring.proportions import proportion
from sandbox.scoring.roc import auroc
from sandbox.scoring.stress.answers import Put, Sample, put_of, ranked_scores, sample_of
from sandbox.scoring.stress.cells import ScoredCell, judged, score_cell
from sandbox.scoring.stress.family import adjusted_p
from sandbox.scoring.stress.findings import clean_figures
from sandbox.scoring.stress.groups import Range, adjusted, compare_groups, harm_of
from sandbox.scoring.stress.masks import clean_worth
from sandbox.scoring.stress.pairs import Setting, setting_of
from sandbox.scoring.stress.shortcuts import find_shortcuts
from sandbox.scoring.stress.verdicts import of_test, ranking
from sandbox.stress.asking import CLEAN, CLEAN_COPY
from sandbox.stress.perturbation import Perturbation
from sandbox.stress.registry import find


def score_stress(table: pa.Table, asked: pa.Table, protocol: Protocol, evaluation: str) -> StressResults:
    """Score the stressed asks of one evaluation.

    Args:
        table: its scored cases (``sandbox.outcome.scored.scored_cases``), with digests where answers mark places.
        asked: its answers to the asks (``sandbox.outcome.stress_step.schema_of``).
        protocol: with a section ``stress``.
        evaluation: its id, which names the random streams.

    Raises:
        ScoringError: the two tables do not belong together.
    """
    stress = protocol.stress
    assert stress is not None
    setting = setting_of(protocol, evaluation)
    sample = sample_of(table, asked, protocol)
    answers = put_of(asked, sample, protocol)
    chosen: list[tuple[Perturbation, tuple[int, ...]]] = [(CLEAN_COPY, (1,))] if stress.tests else []
    chosen += [
        (find(test.name), test.severities)
        for test in stress.tests
        if (test.name, test.severities[0]) in answers
    ]
    cells = _judged(_scored(chosen, answers, sample, setting), sample, setting)
    tests = [_test(perturbation, cells[perturbation.name]) for perturbation, _ in chosen]
    groups = adjusted(
        [
            _groups(perturbation, answers[perturbation.name, severities[-1]], sample, protocol)
            for perturbation, severities in chosen
        ],
        stress.level,
    )
    tests = [replace(test, groups=found) for test, found in zip(tests, groups, strict=True)]
    counts = Counter(test.verdict for test in tests)
    return StressResults(
        evaluation=evaluation,
        protocol_digest=protocol.digest,
        suite=stress.suite,
        level=stress.level,
        wanted=stress.sample,
        patients=int(sample.reference.size),
        positives=int(np.count_nonzero(sample.reference)),
        negatives=int(np.count_nonzero(~sample.reference)),
        margins=_margins(stress.margins, setting),
        clean=tuple(_clean(sample, setting)) if tests else (),
        tests=tuple(tests),
        ranked=ranking([test for test in tests if test.name != CLEAN]),
        verdicts=tuple(
            VerdictCount(verdict=verdict, tests=counts[verdict]) for verdict in VERDICTS if counts[verdict]
        ),
        notes=tuple(_notes(tests, protocol, answers, sample)) if tests else (),
        shortcuts=find_shortcuts(table, protocol, evaluation),
    )


def _margins(given: StressMargins, setting: Setting) -> StressMarginsUsed:
    """The margins as declared; that of a score in its units."""
    return StressMarginsUsed(
        auroc=given.auroc,
        sensitivity=given.sensitivity,
        specificity=given.specificity,
        score=None if given.score is None else setting.margins.score,
        dice=given.dice,
        nsd=given.nsd,
        wafroc=given.wafroc,
        froc_sensitivity=given.froc_sensitivity,
    )


def _scored(
    chosen: list[tuple[Perturbation, tuple[int, ...]]],
    answers: dict[tuple[str, int], Put],
    sample: Sample,
    setting: Setting,
) -> list[ScoredCell]:
    return [
        score_cell(
            sample,
            answers[perturbation.name, severity],
            perturbation,
            severity,
            perturbation.severity_label(severity),
            setting,
        )
        for perturbation, severities in chosen
        for severity in severities
    ]


def _judged(scored: list[ScoredCell], sample: Sample, setting: Setting) -> dict[str, tuple[StressCell, ...]]:
    """The cells of each perturbation, every loss adjusted for all of them."""
    tested = [
        (index, change)
        for index, each in enumerate(scored)
        for change in each.changes
        if change.beyond is not None and each.cell.different
    ]
    contributions = []
    for index, change in tested:
        of_sample = np.zeros(sample.reference.size)
        of_sample[scored[index].row] = change.contribution
        contributions.append(of_sample)
    seed = Seed(evaluation=setting.evaluation, metric="stress", purpose="max-t-stress")
    beyond = [change.beyond or 0.0 for _, change in tested]
    losses: dict[int, list[StressLoss]] = {}
    for (index, change), size, of_all in zip(
        tested, beyond, adjusted_p(beyond, contributions, seed, setting.replicates), strict=True
    ):
        losses.setdefault(index, []).append(
            StressLoss(
                metric=change.estimate.metric,
                subject=change.estimate.subject,
                p=two_sided(size) if size > 0 else 1.0,
                adjusted_p=of_all,
                shown=of_all < 1 - setting.level,
            )
        )
    found: dict[str, list[StressCell]] = {}
    for index, each in enumerate(scored):
        cell = judged(each, tuple(losses.get(index, ())), setting)
        found.setdefault(each.perturbation.name, []).append(cell)
    return {name: tuple(cells) for name, cells in found.items()}


def _test(perturbation: Perturbation, cells: tuple[StressCell, ...]) -> StressTestResult:
    verdict, reason, crosses, breaks = of_test(cells)
    return StressTestResult(
        name=perturbation.name,
        family=perturbation.family,
        kind=perturbation.kind,
        expectation=perturbation.expectation,
        readout=perturbation.readout,
        sentence=perturbation.sentence,
        source=perturbation.source,
        cells=cells,
        crosses_at=crosses,
        breaks_at=breaks,
        verdict=verdict,
        reason=reason,
        groups=(),
    )


def _groups(
    perturbation: Perturbation, put: Put, sample: Sample, protocol: Protocol
) -> tuple[StressGroup, ...]:
    compared = (
        perturbation.expectation == "may change within a margin"
        and perturbation.readout == "paired difference"
        and perturbation.cases == "all"
    )
    if not compared or protocol.stress is None or sample.marks:
        return ()
    score = protocol.output.score
    ends = Range(low=0.0, high=1.0) if score is None else Range(low=score.minimum, high=score.maximum)
    if sample.digest is not None:
        # Of what masks are worth, less is worse in every case.
        sample = replace(sample, reference=np.ones_like(sample.reference))
    harm = harm_of(sample, put, ends)
    return compare_groups(sample, harm, protocol.stress.level, protocol.minimum.patients)


def _clean(sample: Sample, setting: Setting) -> Iterator[Estimate]:
    if setting.figures:
        yield from clean_figures(
            sample.marks,
            sample.patient,
            setting.figures,
            evaluation=setting.evaluation,
            level=setting.level,
            replicates=setting.replicates,
        )
    if setting.masks:
        yield from clean_worth(
            sample.worth,
            sample.patient,
            evaluation=setting.evaluation,
            level=setting.level,
            replicates=setting.replicates,
        )
    if not setting.scored:
        return
    score = ranked_scores(sample.score, sample.reference)
    yield auroc(make_cases(sample.reference, score, sample.patient), setting.level)
    for name, threshold in setting.thresholds.items():
        for metric, positive in (("sensitivity", True), ("specificity", False)):
            kind = sample.reference == positive
            found = proportion(
                metric,
                (score[kind] >= threshold) == positive,
                sample.patient[kind],
                positives=int(np.count_nonzero(kind)) if positive else 0,
                level=setting.level,
                method="clopper-pearson" if setting.proportion == "clopper-pearson" else "wilson",
                empty="There is no case of this class in the sample.",
            )
            yield replace(found, subject=name)


def _notes(
    tests: list[StressTestResult], protocol: Protocol, answers: dict[tuple[str, int], Put], sample: Sample
) -> Iterator[str]:
    assert protocol.stress is not None
    if tests[0].verdict != "equal":
        yield (
            "The same case asked again is not answered alike: a difference under stress may be the container's own "
            "variation."
        )
    if protocol.stress.left_out:
        yield (
            f"Left out of the suite {protocol.stress.suite}, as they move or cover what the truth marks, or are judged "
            f"by a score about a yes or no: {', '.join(protocol.stress.left_out)}."
        )
    if sample.reference.size < protocol.stress.sample:
        yield f"The hold-out has {sample.reference.size} patients for the {protocol.stress.sample} that were wanted."
    if sample.marks:
        yield "Groups are not compared: the figures of findings are no sums over cases."
    left = [test.name for test in protocol.stress.tests if (test.name, test.severities[0]) not in answers]
    if left:
        yield f"Not asked, as the contract shows one case at a time: {', '.join(left)}."
    yield (
        "Intervals hold for one perturbation at one severity. A loss beyond a margin counts as shown only when it is "
        "so after allowing for every metric of every perturbation and severity (max-T over the sampled patients); "
        "groups are adjusted over all groups and perturbations (Holm)."
    )
