"""Tables of a task with several classes or labels: estimates by subject, and counts shaded by their share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.outcome.result_figures import CountTable
from sandbox.outcome.results import Estimate, OperatingPointResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectTable:
    """Estimates in a grid: a row for each subject, a column for each metric; None where there is none."""

    title: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Estimate | None, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A count, its share of the row in steps of a tenth, and whether it lies on the diagonal."""

    count: int
    tenth: int
    right: bool


def whole_task(estimates: Sequence[Estimate]) -> list[Estimate]:
    """Give the estimates that are about the task as a whole."""
    return [each for each in estimates if each.subject is None]


def by_subject(estimates: Sequence[Estimate], title: str = "") -> list[SubjectTable]:
    """Give one table for each set of subjects that share their metrics."""
    metrics: dict[str, dict[str, Estimate]] = {}
    for each in estimates:
        if each.subject is not None:
            metrics.setdefault(each.subject, {})[each.metric] = each
    groups: dict[tuple[str, ...], list[str]] = {}
    for subject, found in metrics.items():
        groups.setdefault(tuple(found), []).append(subject)
    return [
        SubjectTable(
            title=title,
            metrics=names,
            rows=tuple(
                (subject, tuple(metrics[subject].get(name) for name in names)) for subject in subjects
            ),
        )
        for names, subjects in groups.items()
    ]


def points_by_subject(
    points: Sequence[OperatingPointResult],
) -> list[tuple[OperatingPointResult, list[SubjectTable]]]:
    """Give each operating point of a task with labels, its rates over all labels first, with a table by label."""
    found = []
    for name in dict.fromkeys(point.name for point in points):
        named = [point for point in points if point.name == name]
        own = [each for point in named for each in point.estimates if each.subject is not None]
        found.append((named[-1], by_subject(own)))
    return found


def shaded(table: CountTable) -> list[tuple[str, list[Cell], int]]:
    """Give each row of a count table: its name, its cells, its total."""
    rows = []
    for index, (name, counts) in enumerate(zip(table.rows, table.counts, strict=True)):
        total = sum(counts)
        cells = [
            Cell(
                count=each,
                tenth=0 if total == 0 else round(10 * each / total),
                right=table.diagonal and column == index,
            )
            for column, each in enumerate(counts)
        ]
        rows.append((name, cells, total))
    return rows


def counterpart(estimates: Sequence[Estimate], wanted: Estimate) -> Estimate | None:
    """Give the estimate of the same metric and subject."""
    key = (wanted.metric, wanted.subject)
    return next((each for each in estimates if (each.metric, each.subject) == key), None)
