"""Which stressed asks are put, and on which patients: a function of hold-out, protocol and keys.

What a container can learn from being asked:

* Every perturbation is put to every sampled patient, also one that is meant for positive cases only: its presence
  tells no truth, and only the cases it is meant for are scored.
* The sample is half positive, half negative where the hold-out allows it, and the same for every submission.
* Each ask has a pseudonym and UIDs of its own, and its place among clean and stressed asks is random
  (:func:`sandbox.asking.asks.in_order`). Pixels are the patient's: a container that remembers pixels knows that it
  has met them. Nothing that identifies tells it.
* A donor is of the same class for some perturbations and of the other one for others, so an ask ties two patients
  together by equality or difference of class; which class, it does not tell.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from holdout.uids import keyed_token
from sandbox.asking.asks import Ask, Session, in_order
from sandbox.errors import EvaluationRefusedError
from sandbox.outcome.truth import REFERENCE, any_known, read_truth, truth_columns
from sandbox.plan.metric_catalogue import SCORED_KINDS
from sandbox.plan.protocol import Protocol
from sandbox.plan.stress_section import resolved_test
from sandbox.stress.asking import CLEAN, pseudonym_of
from sandbox.stress.perturbation import Donor, Perturbation, Run
from sandbox.stress.registry import find, registry

SESSION_OF: dict[Run, Session] = {
    "none": "main",
    "same case again": "main",
    "other order": "main",
    "fresh container": "fresh",
    "other thread count": "threads",
    "other batch": "batch",
}
SESSIONS: tuple[Session, ...] = ("main", "fresh", "threads", "batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class StressPlan:
    """The stressed asks in the run's order, and the sampled cases by case_id, one for each patient."""

    asks: tuple[Ask, ...]
    sample: tuple[str, ...]


def make_plan(
    cases: pa.Table,
    reference: pa.Table,
    protocol: Protocol,
    *,
    run_key: bytes,
    sample_key: bytes,
    batches: bool,
) -> StressPlan:
    """Plan the asks of one evaluation.

    Args:
        cases: the hold-out's cases (``case_id``, ``patient_key``).
        reference: the opened reference standard.
        protocol: with a section ``stress``.
        run_key: of the evaluation: pseudonyms and order follow from it.
        sample_key: of the hold-out: the same patients are drawn for every submission.
        batches: whether the contract shows several cases together, so that another batch means something.

    Raises:
        EvaluationRefusedError: the registry is not the one that the protocol was registered with.
    """
    stress = protocol.stress
    assert stress is not None, "a protocol without stress needs no plan"
    if not stress.tests:
        return StressPlan(asks=(), sample=())
    tests = [(CLEAN, (1,), None)] + [
        (test.name, test.severities, _checked(test.name, protocol)) for test in stress.tests
    ]
    sample, donors = _draw(cases, reference, protocol, sample_key)
    asks = []
    for name, severities, perturbation in tests:
        session = SESSION_OF["none" if perturbation is None else perturbation.run]
        if session == "batch" and not batches:
            continue
        of_case = {} if perturbation is None else donors[perturbation.donor]
        for severity in severities:
            for case_id in sample:
                key = bytes.fromhex(
                    keyed_token(run_key, "stress key", name, str(severity), case_id, length=64)
                )
                change = CLEAN if perturbation is None or perturbation.kind == "run" else name
                asks.append(
                    Ask(
                        token=pseudonym_of(key, change, severity, case_id),
                        case_id=case_id,
                        perturbation=name,
                        severity=severity,
                        donor=of_case.get(case_id),
                        session=session,
                        key=key,
                    )
                )
    return StressPlan(asks=tuple(in_order(asks, run_key)), sample=tuple(sample))


def _checked(name: str, protocol: Protocol) -> Perturbation:
    assert protocol.stress is not None
    registered = next(test for test in protocol.stress.tests if test.name == name)
    known = registry().get(name)
    if known is None or resolved_test(known, registered.severities) != registered:
        raise EvaluationRefusedError(
            f"The perturbation {name} is not the one that protocol {protocol.name} was registered with. Register the "
            "protocol again with this version of Proctor."
        )
    return find(name)


def _draw(
    cases: pa.Table, reference: pa.Table, protocol: Protocol, key: bytes
) -> tuple[list[str], dict[Donor, dict[str, str]]]:
    """Draw one labelled case a patient, half of each class where there are enough, and donors for each.

    A patient with cases of both classes stands for the positive ones. Cases with lesions and without are classes too.
    Without a yes or no there is one class, and the truth plays no part.
    """
    assert protocol.stress is not None
    size, seed = protocol.stress.sample, str(protocol.stress.seed)
    if protocol.task.kind in SCORED_KINDS:
        truth = read_truth(reference, protocol)[REFERENCE]
    elif protocol.output.findings is not None:
        # Lesions are held against false positives of cases without any.
        truth = pc.greater(read_truth(reference, protocol)[REFERENCE], 0)
    else:
        known = any_known(pa.table(read_truth(reference, protocol)), truth_columns(protocol))
        truth = pc.if_else(known, 0, pa.scalar(None, pa.int64()))
    row = pc.index_in(cases["case_id"], pa.array(reference["case_id"].to_pylist(), cases["case_id"].type))
    drawn: dict[bool, dict[str, str]] = {True: {}, False: {}}
    listed = zip(
        cases["patient_key"].to_pylist(),
        cases["case_id"].to_pylist(),
        truth.take(row).to_pylist(),
        strict=True,
    )
    ordered = sorted(
        (each for each in listed if each[2] is not None),
        key=lambda each: keyed_token(key, "stress case", seed, each[0], each[1]),
    )
    for patient, case_id, positive in ordered:
        drawn[bool(positive)].setdefault(patient, case_id)
    for patient in drawn[True]:
        drawn[False].pop(patient, None)
    classes = {
        positive: sorted(found, key=lambda patient: keyed_token(key, "stress patient", seed, patient))
        for positive, found in drawn.items()
    }
    half = size // 2
    positives = min(len(classes[True]), max(half, size - len(classes[False])))
    negatives = min(len(classes[False]), size - positives)
    ill, well = (
        [drawn[positive][patient] for patient in classes[positive][:number]]
        for positive, number in ((True, positives), (False, negatives))
    )
    donors: dict[Donor, dict[str, str]] = {
        "none": {},
        "same class, other patient": _next_of(ill) | _next_of(well),
        "other class": dict(zip(ill, itertools.cycle(well))) | dict(zip(well, itertools.cycle(ill))),
    }
    return sorted(ill + well), donors


def _next_of(chosen: Sequence[str]) -> dict[str, str]:
    return dict(zip(chosen, [*chosen[1:], chosen[0]], strict=True)) if len(chosen) > 1 else {}
