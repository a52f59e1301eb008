"""What an evaluation enters into the ledger; what a killed process entered already is not entered twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.evaluations.identity import Identity
from sandbox.institution import waivers
from sandbox.institution.examination import MachineExamination
from sandbox.institution.workspace import Workspace, entry, open_ledger
from sandbox.outcome.results import Results


class EvaluationEntries:
    """Entries of one evaluation; each is in the ledger before what it tells of is used."""

    def __init__(self, workspace: Workspace, identity: Identity) -> None:
        self._workspace, self._identity = workspace, identity

    def reference_opened(self, cases: int) -> None:
        """The reference standard is opened: to check the plan against it, to draw stressed cases, to score."""
        self._once(
            "reference-opened",
            subject={"holdout": self._identity.holdout, "root": self._identity.root},
            detail={"cases": cases, "purpose": "evaluation"},
        )

    def started(self, *, vendor: str, cases: int, ended: int, internal: bool) -> None:
        """The run begins, or goes on after ``ended`` cases."""
        identity = self._identity
        with open_ledger(self._workspace) as ledger:
            begun = bool(ledger.find(kind="evaluation-started", evaluation=identity.evaluation))
        if begun:
            self._append("evaluation-resumed", detail={"cases": ended})
            return
        self._once(
            "evaluation-started",
            subject={
                "holdout": identity.holdout,
                "version": identity.version,
                "root": identity.root,
                "submission": identity.submission,
                "vendor": vendor,
                "protocol": identity.protocol,
                "policy": identity.policy,
                "code": identity.code,
            },
            detail={"cases": cases, "internal": internal},
        )

    def posture_measured(self, machine: MachineExamination, posture: str) -> None:
        """Isolation was measured; ``posture`` is the digest of what was found."""
        controls = machine.posture.controls
        detail = {
            "controls": len(controls),
            "held": sum(control.held for control in controls),
            "missing": len(machine.missing),
        }
        self._append("posture-measured", subject={"posture": posture}, detail=detail)
        with open_ledger(self._workspace) as ledger:
            waivers.enter(ledger, self._identity.policy, machine.waivers)

    def accessed(self, ended: int) -> None:
        """How many more cases were used; a killed run's are entered by the one that follows it."""
        with open_ledger(self._workspace) as ledger:
            known = ledger.find(kind="holdout-accessed", evaluation=self._identity.evaluation)
        new = ended - sum(item.detail["cases"] for item in known if "asks" not in item.detail)
        if new > 0:
            self._enter_access({"cases": new, "purpose": "evaluation"})

    def stressed(self, put: int, *, cases: int) -> None:
        """How many more stressed asks were put, about ``cases`` cases."""
        with open_ledger(self._workspace) as ledger:
            known = ledger.find(kind="holdout-accessed", evaluation=self._identity.evaluation)
        new = put - sum(item.detail.get("asks", 0) for item in known)
        if new > 0:
            self._enter_access({"cases": cases, "asks": new, "purpose": "stress"})

    def failed_smoke(self) -> None:
        """The container failed the synthetic case; none of the hold-out was asked."""
        self._append("evaluation-failed", subject={"reason": "smoke_case"}, detail={"asked": 0})

    def finished(self, digests: Mapping[str, str], results: Results, *, cases: int) -> tuple[int, str]:
        """The evaluation ended with these artefacts; returns the entry's index and time."""
        return self._once(
            "evaluation-finished",
            subject=digests,
            detail={
                "cases": cases,
                "answered": results.flow.answered,
                "failed": results.flow.failed,
                "failures": {item.code: item.cases for item in results.flow.failures},
                "verdict": results.verdict or "none",
            },
        )

    def _enter_access(self, detail: dict[str, Any]) -> None:
        subject = {"holdout": self._identity.holdout, "root": self._identity.root}
        self._append("holdout-accessed", subject=subject, detail=detail)

    def _append(self, kind: str, *, subject: Mapping[str, str] | None = None, detail: dict[str, Any]) -> None:
        named = {"evaluation": self._identity.evaluation, **(subject or {})}
        with open_ledger(self._workspace) as ledger:
            ledger.append(entry(kind, subject=named, detail=detail))

    def _once(self, kind: str, *, subject: Mapping[str, str], detail: dict[str, Any]) -> tuple[int, str]:
        event = entry(kind, subject={"evaluation": self._identity.evaluation, **subject}, detail=detail)
        with open_ledger(self._workspace) as ledger:
            known = [
                each for each in ledger.find(kind=kind, **event["subject"]) if each.detail == event["detail"]
            ]
            if known:
                return known[-1].index, known[-1].time
            return ledger.append(event), event["time"]
