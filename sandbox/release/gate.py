"""The gate before a run: is this hold-out version still in use, and can a release of this evaluation be paid.

An evaluation that nobody may be told about costs the hold-out nothing and the vendor everything, so one whose release
cannot be paid is refused before a case is shown. The institution may still run it for itself; then nothing of it is
ever released, and the ledger says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from holdout.lock import LockedHoldout
from sandbox.disclosure.fields import ReleasedField
from sandbox.disclosure.screen import plan
from sandbox.errors import ReleaseRefusedError
from sandbox.evidence.durable import write_durable
from sandbox.evidence.ledger import Ledger
from sandbox.institution.policy import Policy
from sandbox.institution.two_people import govern
from sandbox.institution.workspace import Workspace, entry, open_ledger
from sandbox.plan.applicability import join_strata
from sandbox.plan.protocol import Protocol
from sandbox.release.budget import check_payable
from sandbox.release.claims import find_claims
from sandbox.release.differences import check_versions
from sandbox.release.foresight import foresee
from sandbox.release.issued import charges, issued
from sandbox.release.selection import selection
from sandbox.release.wear import DRAWN, uses_of
from sandbox.reuse.chosen import choose
from sandbox.reuse.ladder import ladder_levels
from sandbox.reuse.pool import draw
from sandbox.reuse.thresholdout import thresholdout_levels
from sandbox.reuse.uses import retired, wear
from sandbox.scoring.strata import protocol_levels

_SCOPE = "planned"


def check_before_run(
    workspace: Workspace,
    policy: Policy,
    locked: LockedHoldout,
    protocol: Protocol,
    reference: pa.Table,
    *,
    evaluation: str,
    vendor: str,
    submission: str,
    internal: bool,
) -> tuple[str, ...]:
    """Let an evaluation begin: its hold-out is in use, and a release of it could be paid.

    ``reference`` is the opened reference standard.

    An evaluation that has begun goes on whatever was told since. ``internal``: nothing of it is ever released, so
    nothing has to be paid.

    Returns:
        What can be known now of what a release will withhold, in sentences.

    Raises:
        ReleaseRefusedError: the hold-out is retired, or the release could not be paid.
        ReuseRefusedError: the protocol asks for a mechanism that the policy does not allow.
    """
    with open_ledger(workspace) as ledger:
        if ledger.find(kind="evaluation-started", evaluation=evaluation):
            return ()
        ledger.require("evaluation-started")
        govern(workspace, ledger)
        check_in_use(workspace, ledger, policy, locked, today=datetime.now(UTC).date())
        if internal:
            return ()
        check_versions(workspace, ledger, locked, policy.disclosure.minimum_difference)
        check_release_payable(
            workspace,
            ledger,
            policy,
            locked,
            protocol,
            vendor=vendor,
            submission=submission,
            groups=_groups(locked, protocol, reference),
        )
        if choose(protocol.release, policy.reuse).mechanism != "full":
            return ()
        told = issued(workspace, ledger, holdout=locked.name, version=locked.version)
        return foresee(policy, protocol, locked, reference, told)


def _groups(locked: LockedHoldout, protocol: Protocol, reference: pa.Table) -> tuple[str, ...]:
    """``attribute=level`` of every level of every stratum, in the order in which results list them."""
    if not protocol.strata:
        return ()
    levels = protocol_levels(join_strata(protocol, locked.cases, reference), protocol)
    return tuple(f"{each.name}={level}" for each in levels for level in each.names)


def check_in_use(
    workspace: Workspace, ledger: Ledger, policy: Policy, locked: LockedHoldout, *, today: date
) -> None:
    """Let pass a hold-out version that was not retired, by a custodian or by the policy's count or date.

    Raises:
        ReleaseRefusedError: it was.
    """
    ended = ledger.find(kind="holdout-retired", holdout=locked.name, version=locked.version)
    if ended:
        raise ReleaseRefusedError(
            f"{locked.name} {locked.version} was retired on {ended[-1].time} ({ended[-1].subject['reason']}). Lock a "
            "fresh version."
        )
    used = wear(uses_of(workspace, ledger, locked), locked.cases["case_id"].to_pylist())
    reason = retired(policy.reuse.retire, most_uses=used.most, today=today)
    if reason is not None:
        raise ReleaseRefusedError(f"{reason} Lock a fresh version, or draw one: proctor holdout refresh.")


def check_release_payable(
    workspace: Workspace,
    ledger: Ledger,
    policy: Policy,
    locked: LockedHoldout,
    protocol: Protocol,
    *,
    vendor: str,
    submission: str,
    groups: Sequence[str],
) -> float:
    """Bits that a release of this evaluation would cost, which must be payable.

    Args:
        groups: ``attribute=level`` of every level of every stratum, in the protocol's order.

    Raises:
        ReleaseRefusedError: they cannot be paid.
    """
    fields = _planned(workspace, ledger, policy, locked, protocol, submission, groups)
    told = charges(issued(workspace, ledger, holdout=locked.name, version=locked.version))
    bits, _ = check_payable(fields, told, policy, vendor=vendor)
    return bits


def draw_cases(
    workspace: Workspace,
    policy: Policy,
    locked: LockedHoldout,
    *,
    evaluation: str,
    folder: Path,
    key: bytes,
) -> LockedHoldout:
    """The hold-out with the cases that this evaluation is to ask: all, or those of a random part of the patients.

    The draw is entered into the ledger before the run; the same evaluation meets the same patients.

    Args:
        folder: the evaluation's, where the drawn cases are kept.
        key: secret of the institution, 32 bytes or more.
    """
    share = policy.reuse.sampling.share
    if share >= 1:
        return locked
    patients = sorted(set(locked.cases["patient_key"].to_pylist()))
    drawn = draw(patients, share=share, key=key, purpose=evaluation)
    cases = locked.cases.filter(
        pc.is_in(locked.cases["patient_key"], value_set=pa.array(list(drawn.patients)))
    )
    with open_ledger(workspace) as ledger:
        if not ledger.find(kind="holdout-drawn", evaluation=evaluation):
            names = cases["case_id"].to_pylist()
            write_durable(folder / DRAWN, json.dumps({"digest": drawn.digest, "cases": names}).encode())
            ledger.append(
                entry(
                    "holdout-drawn",
                    subject={
                        "holdout": locked.name,
                        "version": locked.version,
                        "evaluation": evaluation,
                        "drawn": drawn.digest,
                        "pool": drawn.pool,
                    },
                    detail={"cases": cases.num_rows, "pool": locked.cases.num_rows},
                )
            )
    return replace(locked, cases=cases)


def _planned(
    workspace: Workspace,
    ledger: Ledger,
    policy: Policy,
    locked: LockedHoldout,
    protocol: Protocol,
    submission: str,
    groups: Sequence[str],
) -> tuple[ReleasedField, ...]:
    answers, cases = choose(protocol.release, policy.reuse), locked.cases.num_rows
    mechanism = answers.mechanism
    if mechanism == "full":
        chosen = selection(policy.release.fields)
        return plan(protocol, groups, cases, policy.disclosure, scope=_SCOPE, selection=chosen)
    if mechanism == "ladder":
        return (_field("ladder", ladder_levels(answers.ladder.fixed, cases)),)
    about = {
        "holdout": locked.name,
        "root": locked.root,
        "submission": submission,
        "protocol": protocol.digest,
    }
    claims = find_claims(workspace, ledger, about, len(ledger)).claims
    if mechanism == "claim":
        return tuple(_field(f"claim/{claim.name}", 2) for claim in claims.claims)
    return (_field("thresholdout", thresholdout_levels(answers.thresholdout.settings)),)


def _field(name: str, levels: int) -> ReleasedField:
    return ReleasedField(
        path=f"{_SCOPE}/{name}", kind="verdict", value=None, grid=None, levels=levels, bits=math.log2(levels)
    )
