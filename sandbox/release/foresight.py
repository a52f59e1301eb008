"""What can be known before a run of what a release of it will not hold: better said now than after hours of asking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from holdout.lock import LockedHoldout
from sandbox.disclosure.cells import ALL
from sandbox.disclosure.rules import DisclosureRules
from sandbox.disclosure.screen import SCORED_TASKS
from sandbox.disclosure.subjects import SUBJECT_TASKS
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
    rules = policy.disclosure
    if protocol.task.kind not in SCORED_TASKS | SUBJECT_TASKS:
        return (
            f"Of a task of the kind {protocol.task.kind} only verdicts can be released: the audit cannot follow its "
            "numbers.",
        )
    return (*_small_groups(policy, protocol, locked, reference), *_similar(rules, told))


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
