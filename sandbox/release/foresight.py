"""What can be known before a run of what a release of it will not hold: better said now than after hours of asking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pyarrow as pa

from holdout.lock import LockedHoldout
from sandbox.disclosure.cells import ALL
from sandbox.disclosure.means import MEAN_TASKS, MEANS
from sandbox.disclosure.rules import DisclosureRules
from sandbox.disclosure.screen import why_verdicts_only
from sandbox.disclosure.suppression import rate_end_step, rate_step
from sandbox.institution.policy import Policy
from sandbox.plan.applicability import join_strata
from sandbox.plan.protocol import Protocol
from sandbox.release.issued import Issued
from sandbox.release.selection import selection
from sandbox.scoring.strata import protocol_levels


def foresee(
    policy: Policy,
    protocol: Protocol,
    locked: LockedHoldout,
    reference: pa.Table,
    told: Sequence[Issued],
) -> tuple[str, ...]:
    """Sentences on what a full release of an evaluation will withhold, or may, whatever the container says.

    Args:
        reference: the opened reference standard.
        told: what was issued of this hold-out version.
    """
    rules, kind = policy.disclosure, protocol.task.kind
    reason = why_verdicts_only(kind, rules)
    if reason is not None:
        return (reason,)
    small = (
        _small_means(policy, locked)
        if kind in MEAN_TASKS
        else _small_groups(policy, protocol, locked, reference)
    )
    return (*small, *_similar(rules, told))


def _small_means(policy: Policy, locked: LockedHoldout) -> Iterator[str]:
    """Means that are asked for by the policy's patterns and rest on too few patients in any case."""
    rules, chosen = policy.disclosure, selection(policy.release.fields)
    cases = np.unique(locked.cases["patient_key"].to_pylist(), return_counts=True)[1]
    worth = Fraction(int(cases.sum()), int(cases.max()))
    no_value = cases.size < rules.minimum_cell or rate_step(rules, worth) is None
    no_end = no_value or rate_end_step(rules, worth) is None
    small = [
        f"{ALL}/{name}/{part}"
        for name in MEANS
        for part, none in (("value", no_value), ("low", no_end), ("high", no_end))
        if none and name in rules.metrics and chosen(f"s/p/{ALL}/{name}/{part}")
    ]
    if small:
        yield (
            f"A release will withhold {', '.join(small)}: fewer patients than the policy's grids ask for. Leave these "
            "out of release.fields to save their bits."
        )


def _small_groups(
    policy: Policy, protocol: Protocol, locked: LockedHoldout, reference: pa.Table
) -> Iterator[str]:
    """Groups whose numbers are asked for by the policy's patterns and that have too few patients in any case."""
    rules, chosen = policy.disclosure, selection(policy.release.fields)
    patients = np.asarray(locked.cases["patient_key"].to_pylist())
    small = []
    if np.unique(patients).size < rules.minimum_cell:
        small.append(ALL)
    if protocol.strata and rules.strata == "rules":
        for levels in protocol_levels(join_strata(protocol, locked.cases, reference), protocol):
            for name, members in zip(levels.names, levels.slices(), strict=True):
                group = f"{levels.name}={name}"
                asked = any(chosen(f"s/p/{group}/{part}") for part in ("auroc/value", "patients"))
                asked = asked or any(
                    chosen(f"s/p/{point.name}/{group}/sensitivity/value")
                    for point in protocol.operating_points
                )
                if asked and np.unique(patients[members]).size < rules.minimum_cell:
                    small.append(group)
    if small:
        yield (
            f"A release will withhold every number of {', '.join(small)}: fewer patients than the policy asks for. "
            "Leave these out of release.fields to save their bits."
        )


def _similar(rules: DisclosureRules, told: Sequence[Issued]) -> Iterator[str]:
    others = len({each.evaluation for each in told})
    if others:
        yield (
            f"Numbers of {others} other evaluation(s) of this hold-out version were released. A release will withhold "
            "numbers over answers that differ from theirs in some patients but in fewer than "
            f"{rules.minimum_difference}, and numbers that would tell a count too exactly beside theirs."
        )
