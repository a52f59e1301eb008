"""Carry out an evaluation: one protocol x one submission x one hold-out version.

The steps, each leaving its artefact before the next begins, so that a process killed anywhere is followed by the
same command going on from there:

1. identity.json     what is evaluated, by digest
2. posture.json      the isolation that a probe measured; a missing control refuses the run
3. journal.jsonl     how each case ended
4. predictions.parquet, scored.parquet
5. results.json, selfchecks.json; stress.json where the protocol asks for stress (:mod:`sandbox.outcome.stress_step`)
6. finished.json     verdict, digests and ledger entries: its presence is the state "finished"

The hold-out is verified before and after the run, and each step stands in the ledger before its result is used. The
reference standard is opened once, in the host's memory: to check the plan against it, to plan stressed asks, to score.
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
from sandbox import submissions
from sandbox.asking import predictions
from sandbox.asking.asks import Journals
from sandbox.asking.journal import Ended, Journal
from sandbox.asking.run import contract_run, most_at_once, run_key, run_submission
from sandbox.asking.serving import RunTally
from sandbox.asking.staging_place import remove_work, work_folder
from sandbox.asking.stress_plan import make_plan
from sandbox.canonical import canonical_json
from sandbox.custody import holdouts
from sandbox.errors import EvaluationError, EvaluationRefusedError
from sandbox.evaluations.evaluation import Evaluation, read
from sandbox.evaluations.evaluation_entries import EvaluationEntries
from sandbox.evaluations.identity import Identity
from sandbox.evidence.durable import write_durable
from sandbox.institution import waivers
from sandbox.institution.examination import MachineExamination, examining
from sandbox.institution.policy import Policy, load_policy
from sandbox.institution.workspace import Workspace, secret_key, write_json
from sandbox.outcome.evaluation_scores import posture_digest, score_evaluation
from sandbox.outcome.stress_step import StressStep
from sandbox.plan import protocols
from sandbox.plan.protocols import RegisteredProtocol
from sandbox.release import gate
from sandbox.submissions import Submission
from sandbox.version import code_digest, package_version

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
        entries = EvaluationEntries(workspace, identity)
        # Even a check against the truth is a look: the entry stands before it is opened.
        entries.reference_opened(locked.cases.num_rows)
        reference = open_reference(locked, holdouts.reference_key(workspace, locked))
        holdouts.check_protocol(locked, registered.protocol, reference)
        for sentence in gate.check_before_run(
            workspace,
            policy,
            locked,
            registered.protocol,
            reference,
            evaluation=identity.evaluation,
            vendor=admitted.vendor,
            submission=admitted.digest,
            internal=internal,
        ):
            say(sentence)
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
            workspace, policy, drawn, admitted, registered, identity, reference, folder, say, progress
        )
        steps.carry_out(begun, internal=internal)
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
        reference: pa.Table,
        folder: Path,
        say: Say,
        progress: ProgressBar,
    ) -> None:
        self._workspace, self._policy, self._locked = workspace, policy, locked
        self._submission, self._protocol, self._identity = submission, registered.protocol, identity
        self._reference, self._folder, self._say, self._progress = reference, folder, say, progress
        self._entries = EvaluationEntries(workspace, identity)

    def carry_out(self, begun: Examining | None, *, internal: bool) -> None:
        with ExitStack() as opened:
            journal = opened.enter_context(Journal(self._folder / "journal.jsonl"))
            stress = self._stress_step()
            if stress is not None:
                opened.enter_context(stress.journal)
            if begun is not None:
                self._run(journal, stress, *begun, internal=internal)
            elif len(journal.ended) < self._locked.cases.num_rows or (stress is not None and not stress.done):
                actors = waivers.actor_keys(self._workspace)
                with examining(self._policy, actors, self._submission.contract) as late:
                    self._run(journal, stress, *late, internal=internal)
            self._predict(journal)
            if stress is not None:
                stress.write()
        self._say("scoring")
        score_evaluation(
            self._workspace,
            self._locked,
            self._protocol,
            self._reference,
            self._folder,
            self._entries,
            evaluation=self._identity.evaluation,
        )

    def _stress_step(self) -> StressStep | None:
        if self._protocol.stress is None:
            return None
        secret, contract = secret_key(self._workspace, "pseudonyms"), CONTRACTS[self._submission.contract]
        plan = make_plan(
            self._locked.cases,
            self._reference,
            self._protocol,
            run_key=run_key(secret, self._identity.evaluation),
            # One sample for every submission to this hold-out, so that they can be compared.
            sample_key=run_key(secret, self._identity.root),
            batches=contract.whole_set(self._submission.settings),
        )
        return StressStep(plan, self._folder, self._protocol, self._reference)

    def _run(
        self,
        journal: Journal,
        stress: StressStep | None,
        engine: Engine,
        examined: Future[MachineExamination],
        *,
        internal: bool,
    ) -> None:
        found = self._look_over("before")
        machine = self._measured(examined)
        self._verified("before", found)
        self._entries.started(
            vendor=self._submission.vendor,
            cases=self._locked.cases.num_rows,
            ended=len(journal.ended),
            internal=internal,
        )
        with self._progress("loading the image"):
            submissions.load(engine, self._submission, self._policy)
        tally, earlier = self._ask(engine, journal, stress), self._earlier()
        self._verified("after", self._look_over("after"))
        facts = {
            "tool": {"proctor": package_version(), "code": self._identity.code},
            "engine": machine.facts,
            "containers": tally.containers + earlier.get("containers", 0),
            "asked_again": tally.again + earlier.get("asked_again", 0),
            "failures": journal.failure_counts(),
            **({} if stress is None else {"stress_failures": stress.journal.failure_counts()}),
        }
        write_json(self._folder / "run.json", facts)

    def _measured(self, examined: Future[MachineExamination]) -> MachineExamination:
        with self._progress("measuring the posture"):
            machine = examined.result()
        write_json(self._folder / "posture.json", machine.data())
        self._entries.posture_measured(machine, posture_digest(self._folder))
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
        submission = self._submission
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
                    Journals(clean=journal)
                    if stress is None
                    else Journals(clean=journal, stressed=stress.journal, keep=stress.keep),
                    plan,
                    policy=self._policy,
                    protocol=self._protocol,
                    key=run_key(secret_key(self._workspace, "pseudonyms"), self._identity.evaluation),
                    work=work,
                    progress=bar,
                )
        except EvaluationRefusedError:
            self._entries.failed_smoke()
            raise
        finally:
            remove_work(self._folder)
            self._entries.accessed(len(journal.ended))
            if stress is not None:
                self._entries.stressed(stress.put, cases=len(stress.plan.sample))

    def _request(self, engine: Engine, work: Path) -> ContractRun:
        return contract_run(
            engine,
            self._submission,
            self._protocol,
            posture=self._policy.posture(datetime.now(UTC).date()),
            limits=self._policy.container_limits(self._protocol),
            input_root=work,
        )

    def _predict(self, journal: Journal) -> None:
        path = self._folder / "predictions.parquet"
        if not path.exists():
            predictions.write(
                (
                    _prediction(item, timed=self._protocol.task.kind == "triage")
                    for item in journal.ended.values()
                ),
                path,
            )

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
