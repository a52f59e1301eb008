"""Carry out an evaluation: one protocol x one submission x one hold-out version.

The steps, each leaving its artefact before the next begins, so that a process killed anywhere is followed by the
same command going on from there:

1. identity.json     what is evaluated, by digest
2. posture.json      the isolation that a probe measured; a missing control refuses the run
3. journal.jsonl     how each case ended
4. predictions.parquet, scored.parquet
5. results.json, selfchecks.json; stress.json where the protocol asks for stress (:mod:`sandbox.stress_step`)
6. finished.json     verdict, digests and ledger entries: its presence is the state "finished"

The hold-out is verified before and after the run, and each step stands in the ledger before its result is used.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from holdout.lock import LockedHoldout, open_reference
from holdout.verification import Verification
from runners.contracts.interface import ContractRun
from runners.contracts.registry import CONTRACTS
from runners.engine import Engine
from sandbox import holdouts, predictions, protocols, stress_results, submissions, waivers
from sandbox.asks import Journals
from sandbox.canonical import canonical_json, digest, digest_bytes
from sandbox.errors import EvaluationError, EvaluationRefusedError
from sandbox.evaluation import Evaluation, read
from sandbox.evidence.durable import write_durable
from sandbox.evidence.ledger import Ledger
from sandbox.examination import MachineExamination, examining
from sandbox.holdout_summary import write_holdout_summary
from sandbox.identity import Identity
from sandbox.journal import Ended, Journal
from sandbox.policy import Policy, load_policy
from sandbox.protocols import RegisteredProtocol
from sandbox.release import gate
from sandbox.results import to_json
from sandbox.run import contract_run, most_at_once, run_key, run_submission
from sandbox.scored import scored_cases
from sandbox.scoring.score import StepCounts, score
from sandbox.scoring.stress.score import score_stress
from sandbox.selfcheck import run_selfchecks
from sandbox.serving import RunTally
from sandbox.staging_place import remove_work, work_folder
from sandbox.stress_step import StressStep, read_answers
from sandbox.submissions import Submission
from sandbox.tables import write_table
from sandbox.version import code_digest, package_version
from sandbox.workspace import Workspace, entry, open_ledger, secret_key, write_json

Say = Callable[[str], None]
Examining = tuple[Engine, Future[MachineExamination]]
ProgressBar = Callable[[str], AbstractContextManager[Callable[[int, int | None], None]]]


def evaluate(
    workspace: Workspace,
    *,
    holdout: str,
    submission: str,
    protocol: str,
    say: Say,
    progress: ProgressBar,
    internal: bool = False,
) -> Evaluation:
    """Carry out an evaluation, go on with an interrupted one, or give a finished one as it is.

    Args:
        internal: nothing of it will ever be released, so that no budget has to pay for it.

    Raises:
        EvaluationRefusedError, PostureRefused, ProtocolError, ReleaseRefusedError: a rule does not allow it.
        ProctorError, HoldoutError, RunnerError: something is broken; what was finished is kept.
    """
    policy = load_policy(workspace.policy_path)
    locked = holdouts.open_holdout(workspace, holdout)
    admitted = submissions.find(workspace, submission)
    registered = protocols.find(workspace, protocol)
    identity = Identity(
        holdout=locked.name,
        version=locked.version,
        root=locked.root,
        submission=admitted.digest,
        protocol=registered.digest,
        policy=policy.digest,
        code=code_digest(),
    )
    folder = workspace.evaluation(identity.evaluation)
    if (folder / "finished.json").exists():
        say(f"{identity.evaluation} is finished; nothing is run again.")
        return read(workspace, folder)
    with ExitStack() as opened:
        # What only waits for the engine goes on while the host reads the hold-out.
        begun = (
            None
            if (folder / "run.json").exists()
            else opened.enter_context(examining(policy, waivers.actor_keys(workspace), admitted.contract))
        )
        holdouts.check_protocol(workspace, locked, registered.protocol)
        gate.check_before_run(
            workspace,
            policy,
            locked,
            registered.protocol,
            evaluation=identity.evaluation,
            vendor=admitted.vendor,
            submission=admitted.digest,
            internal=internal,
        )
        folder.mkdir(parents=True, exist_ok=True)
        opened.enter_context(_alone(folder))
        write_json(folder / "identity.json", {**asdict(identity), "vendor": admitted.vendor})
        write_durable(folder / "policy.json", canonical_json(policy.document))
        drawn = gate.draw_cases(
            workspace,
            policy,
            locked,
            evaluation=identity.evaluation,
            folder=folder,
            key=secret_key(workspace, "pseudonyms"),
        )
        steps = _Steps(
            workspace, policy, drawn, admitted, registered, identity, folder, say, progress, internal=internal
        )
        steps.carry_out(begun)
    return read(workspace, folder)


class _Steps:
    """The steps of one evaluation, over the facts that all of them need."""

    def __init__(
        self,
        workspace: Workspace,
        policy: Policy,
        locked: LockedHoldout,
        submission: Submission,
        registered: RegisteredProtocol,
        identity: Identity,
        folder: Path,
        say: Say,
        progress: ProgressBar,
        *,
        internal: bool,
    ) -> None:
        self._workspace, self._policy, self._locked = workspace, policy, locked
        self._submission, self._registered, self._identity = submission, registered, identity
        self._folder, self._say, self._progress = folder, say, progress
        self._internal = internal

    def carry_out(self, begun: Examining | None) -> None:
        with ExitStack() as opened:
            journal = opened.enter_context(Journal(self._folder / "journal.jsonl"))
            stress = self._stress_step()
            if stress is not None:
                opened.enter_context(stress.journal)
            if begun is not None:
                self._run(journal, stress, *begun)
            elif len(journal.ended) < self._locked.cases.num_rows or (stress is not None and not stress.done):
                actors = waivers.actor_keys(self._workspace)
                with examining(self._policy, actors, self._submission.contract) as late:
                    self._run(journal, stress, *late)
            self._predict(journal)
            if stress is not None:
                stress.write()
        self._score()

    def _stress_step(self) -> StressStep | None:
        protocol, submission = self._registered.protocol, self._submission
        if protocol.stress is None:
            return None
        batches = CONTRACTS[submission.contract].whole_set(submission.settings)
        return StressStep(
            self._workspace, self._locked, protocol, self._identity, self._folder, batches=batches
        )

    def _run(
        self,
        journal: Journal,
        stress: StressStep | None,
        engine: Engine,
        examined: Future[MachineExamination],
    ) -> None:
        found = self._look_over("before")
        machine = self._measured(examined)
        self._verified("before", found)
        with open_ledger(self._workspace) as ledger:
            self._enter_start(ledger, journal)
        with self._progress("loading the image"):
            submissions.load(engine, self._submission, self._policy)
        containers = self._ask(engine, journal, stress).containers
        self._verified("after", self._look_over("after"))
        facts = {
            "tool": {"proctor": package_version(), "code": self._identity.code},
            "engine": machine.facts,
            "containers": containers + self._earlier().get("containers", 0),
            "failures": journal.failure_counts(),
            **({} if stress is None else {"stress_failures": stress.journal.failure_counts()}),
        }
        write_json(self._folder / "run.json", facts)

    def _measured(self, examined: Future[MachineExamination]) -> MachineExamination:
        with self._progress("measuring the posture"):
            machine = examined.result()
        write_json(self._folder / "posture.json", machine.data())
        controls = machine.posture.controls
        with open_ledger(self._workspace) as ledger:
            ledger.append(
                entry(
                    "posture-measured",
                    subject={"evaluation": self._identity.evaluation, "posture": self._posture()},
                    detail={
                        "controls": len(controls),
                        "held": sum(control.held for control in controls),
                        "missing": len(machine.missing),
                    },
                )
            )
            waivers.enter(ledger, self._identity.policy, machine.waivers)
        for control, words in machine.waived.items():
            self._say(f"WAIVED: {control}, by {words}")
        machine.refuse_if_missing()
        return machine

    def _look_over(self, moment: str) -> Verification:
        with self._progress(f"verifying the hold-out {moment} the run") as bar:
            return holdouts.look_over(
                self._workspace, self._locked, self._policy, moment=moment, progress=bar
            )

    def _verified(self, moment: str, found: Verification) -> None:
        holdouts.settle_verification(
            self._workspace, self._locked, found, moment=moment, evaluation=self._identity.evaluation
        )

    def _ask(self, engine: Engine, journal: Journal, stress: StressStep | None) -> RunTally:
        submission, protocol = self._submission, self._registered.protocol
        plan = None if stress is None else stress.plan
        work = work_folder(
            self._folder,
            self._locked,
            at_once=most_at_once(submission, self._policy, self._locked.cases.num_rows, plan),
        )
        try:
            with self._progress(f"asking {submission.vendor}") as bar:
                return run_submission(
                    submission,
                    self._request(engine, work),
                    self._locked,
                    Journals(clean=journal, stressed=None if stress is None else stress.journal),
                    plan,
                    policy=self._policy,
                    protocol=protocol,
                    key=run_key(secret_key(self._workspace, "pseudonyms"), self._identity.evaluation),
                    work=work,
                    progress=bar,
                )
        except EvaluationRefusedError:
            with open_ledger(self._workspace) as ledger:
                subject = {"evaluation": self._identity.evaluation, "reason": "smoke_case"}
                ledger.append(entry("evaluation-failed", subject=subject, detail={"asked": 0}))
            raise
        finally:
            remove_work(self._folder)
            self._enter_access(len(journal.ended))
            if stress is not None:
                stress.enter_access()

    def _request(self, engine: Engine, work: Path) -> ContractRun:
        return contract_run(
            engine,
            self._submission,
            self._registered.protocol,
            posture=self._policy.posture(datetime.now(UTC).date()),
            limits=self._policy.container_limits(self._registered.protocol),
            input_root=work,
        )

    def _predict(self, journal: Journal) -> None:
        path = self._folder / "predictions.parquet"
        if not path.exists():
            predictions.write(
                (
                    _prediction(item, timed=self._registered.protocol.task.kind == "triage")
                    for item in journal.ended.values()
                ),
                path,
            )

    def _score(self) -> None:
        self._say("scoring")
        protocol = self._registered.protocol
        key = holdouts.reference_key(self._workspace, self._locked)
        reference = open_reference(self._locked, key)
        with open_ledger(self._workspace) as ledger:
            self._once(
                ledger, "reference-opened", detail={"cases": reference.num_rows, "purpose": "scoring"},
                holdout=self._identity.holdout, root=self._identity.root,
            )  # fmt: skip
        write_holdout_summary(
            self._workspace, self._locked, reference, protocol, self._folder / "holdout.json"
        )
        checks = run_selfchecks(reference, self._locked.cases, protocol)
        write_json(
            self._folder / "selfchecks.json", [{**asdict(check), "passed": check.passed} for check in checks]
        )
        answered = predictions.read(self._folder / "predictions.parquet")
        table = scored_cases(self._locked.cases, reference, answered, protocol)
        write_table(table, self._folder / "scored.parquet")
        cases = self._locked.cases.num_rows
        staged = cases - _count(answered, "staging_failed")
        results = score(
            table,
            protocol,
            self._identity.evaluation,
            StepCounts(locked=cases, staged=staged, asked=staged - _count(answered, "not_started")),
        )
        write_durable(self._folder / "results.json", to_json(results))
        stressed = {}
        if protocol.stress is not None:
            found = score_stress(
                table, read_answers(self._folder / "stress.parquet"), protocol, self._identity.evaluation
            )
            write_durable(self._folder / "stress.json", stress_results.to_json(found))
            stressed = {"stress": self._digest("stress.json")}
        with open_ledger(self._workspace) as ledger:
            finished = self._once(
                ledger,
                "evaluation-finished",
                results=self._digest("results.json"),
                predictions=self._digest("predictions.parquet"),
                posture=self._posture(),
                **stressed,
                detail={
                    "cases": self._locked.cases.num_rows,
                    "answered": results.flow.answered,
                    "failed": results.flow.failed,
                    "failures": {item.code: item.cases for item in results.flow.failures},
                    "verdict": results.verdict or "none",
                },
            )
        write_json(
            self._folder / "finished.json",
            {"verdict": results.verdict, "entry": finished[0], "time": finished[1]},
        )

    def _enter_start(self, ledger: Ledger, journal: Journal) -> None:
        known = ledger.find(kind="evaluation-started", evaluation=self._identity.evaluation)
        if known:
            ledger.append(
                entry(
                    "evaluation-resumed",
                    subject={"evaluation": self._identity.evaluation},
                    detail={"cases": len(journal.ended)},
                )
            )
            return
        self._once(
            ledger,
            "evaluation-started",
            holdout=self._identity.holdout,
            version=self._identity.version,
            root=self._identity.root,
            submission=self._identity.submission,
            vendor=self._submission.vendor,
            protocol=self._identity.protocol,
            policy=self._identity.policy,
            code=self._identity.code,
            detail={"cases": self._locked.cases.num_rows, "internal": self._internal},
        )

    def _enter_access(self, ended: int) -> None:
        """Enter how many more cases were used; a killed run's are entered by the one that follows it."""
        with open_ledger(self._workspace) as ledger:
            known = ledger.find(kind="holdout-accessed", evaluation=self._identity.evaluation)
            new = ended - sum(item.detail["cases"] for item in known if "asks" not in item.detail)
            if new > 0:
                subject = {
                    "evaluation": self._identity.evaluation,
                    "holdout": self._identity.holdout,
                    "root": self._identity.root,
                }
                ledger.append(
                    entry("holdout-accessed", subject=subject, detail={"cases": new, "purpose": "evaluation"})
                )

    def _once(
        self, ledger: Ledger, kind: str, *, detail: dict[str, Any] | None = None, **subject: Any
    ) -> tuple[int, str]:
        """Enter an event of this evaluation unless a killed process entered the same one already."""
        event = entry(kind, subject={"evaluation": self._identity.evaluation, **subject}, detail=detail)
        known = [
            each for each in ledger.find(kind=kind, **event["subject"]) if each.detail == event["detail"]
        ]
        if known:
            return known[-1].index, known[-1].time
        return ledger.append(event), event["time"]

    def _posture(self) -> str:
        """Digest of the measured controls, apart from the machine's names and versions beside them."""
        return digest(json.loads((self._folder / "posture.json").read_bytes())["controls"])

    def _digest(self, name: str) -> str:
        return digest_bytes((self._folder / name).read_bytes())

    def _earlier(self) -> dict[str, Any]:
        try:
            facts: dict[str, Any] = json.loads((self._folder / "run.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return facts


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the evaluation's folder; a second process on the same evaluation is told so."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EvaluationError(
                f"Another process is at work on {folder.name}. Wait for it, or stop it; then run the command again."
            ) from error
        yield
    finally:
        os.close(descriptor)


def _prediction(item: Ended, *, timed: bool) -> predictions.Prediction:
    return predictions.Prediction(
        case_id=item.case_id,
        levels=None if item.levels is None else tuple(item.levels),
        failure=item.failure,
        seconds=item.seconds if timed and item.failure is None else None,
    )


def _count(answered: pa.Table, code: str) -> int:
    return sum(each == code for each in answered["failure"].to_pylist())
