"""The run: every case, clean and stressed, is put to the submission's containers in rounds.

The first round holds the clean cases and the stressed ones together, in one random order (:mod:`sandbox.asking.asks`).
After it come the clean cases whose containers were lost among stressed asks, and the repetitions that need containers
of their own. A contract that shows all cases to one container together answers two sets, clean and stressed, unless the
protocol asks for one.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from holdout.lock import LockedHoldout
from holdout.staging import Stager
from runners.contracts.interface import ContractRun
from runners.contracts.registry import CONTRACTS
from runners.engine import Engine
from runners.limits import Limits
from runners.posture import Posture
from sandbox.asking.asks import Ask, Journals, in_order
from sandbox.asking.making import AHEAD, AHEAD_STRESSED, child_processes, made_ahead
from sandbox.asking.serving import Round, RunTally, Serving, Smoke
from sandbox.asking.smoke import ask_smoke_case, judge_smoke_case, smoke_case
from sandbox.asking.stress_plan import SESSIONS, StressPlan
from sandbox.institution.policy import Policy
from sandbox.plan.output_schema import Number
from sandbox.plan.protocol import Protocol
from sandbox.plan.task_section import Output
from sandbox.submissions import Submission

_GROWTH = 4
"""A perturbed case may be larger than the compressed one that it was made from."""


def run_key(pseudonym_key: bytes, evaluation: str) -> bytes:
    """Key of one evaluation's pseudonyms and case order.

    Two evaluations share no pseudonym, so that two vendors cannot compare cases; the same evaluation resumed has
    the same ones.
    """
    return hmac.new(pseudonym_key, b"proctor-run-key/1\0" + evaluation.encode(), hashlib.sha256).digest()


def contract_run(
    engine: Engine,
    submission: Submission,
    protocol: Protocol,
    *,
    posture: Posture,
    limits: Limits,
    input_root: Path,
) -> ContractRun:
    """Say how a submission's containers are asked: by its contract, for the protocol's task."""
    task = {
        "kind": protocol.task.kind,
        "target": protocol.subject,
        "unit": protocol.task.unit,
        "output": _request(protocol.output),
    }
    return ContractRun(
        engine=engine,
        image=submission.loaded,
        posture=posture,
        limits=limits,
        input_root=input_root,
        task=task,
        settings=submission.settings,
        answer=submission.answer_location,
        attachments=submission.attachments,
        user=submission.user,
    )


def _request(output: Output) -> Mapping[str, Mapping[str, float | bool | str]]:
    part = output.mask or output.findings
    return part.request if part is not None else {number.name: _range(number) for number in output.numbers}


def _range(number: Number) -> dict[str, float | bool]:
    bounds: dict[str, float | bool] = {"minimum": number.minimum, "maximum": number.maximum}
    return {**bounds, "whole": True} if number.whole else bounds


def most_at_once(submission: Submission, policy: Policy, cases: int, plan: StressPlan | None) -> int:
    """How many cases lie ready at the same time, in sizes of the largest case of the hold-out."""
    asks = 0 if plan is None else len(plan.asks)
    if CONTRACTS[submission.contract].whole_set(submission.settings):
        return cases + _GROWTH * asks
    ahead = AHEAD if plan is None else _GROWTH * AHEAD_STRESSED
    return (2 * ahead + 2) * policy.run.containers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    name: str
    asks: Sequence[Ask]
    limits: Limits


def run_submission(
    submission: Submission,
    request: ContractRun,
    locked: LockedHoldout,
    journals: Journals,
    plan: StressPlan | None,
    *,
    policy: Policy,
    protocol: Protocol,
    key: bytes,
    work: Path,
    progress: Callable[[int, int | None], None] | None = None,
) -> RunTally:
    """Ask the container whatever the journals do not hold yet, after the smoke case.

    Args:
        request: what :func:`contract_run` made.
        plan: the stressed asks, or None.
        policy: it says how many containers run side by side; each sees one case at a time, or all when its
            contract says so.
        key: the run's; pseudonyms and order follow from it.
        work: a folder for staged cases; it is emptied again.

    Raises:
        EvaluationRefusedError: the smoke case failed; no container has seen a real one.
        HoldoutError, RunnerError: the host's side failed; the journals keep what had ended.
    """
    tally, contract = RunTally(), CONTRACTS[submission.contract]
    together = contract.whole_set(submission.settings)
    containers = 1 if together else policy.run.containers
    stager = Stager(
        locked,
        run_key=key,
        attributes=protocol.input.attributes,
        destination=work / "staging",
        processes=child_processes(containers),
        ahead=AHEAD * containers,
    )
    clean = [
        Ask(token=stager.pseudonym(case_id), case_id=case_id)
        for case_id in locked.cases["case_id"].to_pylist()
    ]
    stressed = () if plan is None else plan.asks
    left = [ask for ask in in_order((*clean, *stressed), key) if not journals.holds(ask)]
    if not left:
        return tally
    smoke: Smoke | None = Smoke(
        case=partial(smoke_case, protocol, work, key), judge=partial(judge_smoke_case, policy=policy)
    )
    if together:
        ask_smoke_case(submission, request, policy, protocol, work, key)
        smoke = None
    (work / "staging").mkdir()

    def put(planned: _Planned) -> Serving:
        this = Round(
            name=planned.name,
            asks=planned.asks,
            contract=contract,
            request=replace(request, limits=planned.limits),
            containers=containers,
            smoke=smoke,
            output=protocol.output,
            work=work,
        )
        seed = 0 if protocol.stress is None else protocol.stress.seed
        with made_ahead(planned.asks, stager, work / "staging", seed=seed, containers=containers) as source:
            serving = Serving(this, source, journals, tally, told)
            serving.put()
        return serving

    def told() -> None:
        if progress:
            progress(journals.ended, len(clean) + len(stressed))

    apart = together and protocol.stress is not None and protocol.stress.whole_set == "apart"
    for planned in _rounds(left, request.limits, cases=len(clean), apart=apart):
        served = put(planned)
        smoke = None
        if served.again:
            put(_again(served, request.limits, containers, key))
    return tally


def _again(served: Serving, limits: Limits, containers: int, key: bytes) -> _Planned:
    """The round of the clean cases that were handed back, with the time that clean cases have left."""
    rest = limits.seconds_per_run - served.clean_seconds / containers
    seconds = max(rest, limits.seconds_per_case)
    limits = replace(limits, seconds_per_run=seconds)
    return _Planned(name="again", asks=in_order(served.again, key), limits=limits)


def _rounds(left: Sequence[Ask], limits: Limits, *, cases: int, apart: bool) -> Iterator[_Planned]:
    """Rounds in their order; stressed asks bring the time along that as many cases have."""
    first = [ask for ask in left if ask.session == "main"]
    if apart:
        parts = [
            ("main", [ask for ask in first if not ask.stressed]),
            ("stress", [ask for ask in first if ask.stressed]),
        ]
    else:
        parts = [("main", first)]
    for name, asks in parts:
        if asks:
            more = sum(ask.stressed for ask in asks) / cases
            some_clean = any(not ask.stressed for ask in asks)
            seconds = limits.seconds_per_run * max(1.0, more + some_clean)
            yield _Planned(name=name, asks=asks, limits=replace(limits, seconds_per_run=seconds))
    for session in SESSIONS:
        asks = [ask for ask in left if ask.session == session]
        if session != "main" and asks:
            fewer = replace(limits, cpus=1.0 if limits.cpus > 1 else limits.cpus / 2)
            yield _Planned(name=session, asks=asks, limits=fewer if session == "threads" else limits)
