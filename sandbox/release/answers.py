"""How a hold-out answers: by which mechanism, and with which fields.

Every mechanism answers from the numbers that the rules would let out. What the audit holds against the cells is
therefore always the numbers behind an answer, which tell at least as much as the answer does.

The ladder and Thresholdout remember what they said. Answer and new state are written in one step and an evaluation
is answered once: whoever asks again hears the same, and cannot average the noise away.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sandbox.disclosure.cells import ALL
from sandbox.disclosure.fields import ReleasedField, Screened
from sandbox.disclosure.screen import protocol_mark, screen
from sandbox.errors import ReleaseError, ReleaseRefusedError
from sandbox.policy import Policy
from sandbox.release.claims import Claims, StatedClaim
from sandbox.release.selection import Selection
from sandbox.results import Results
from sandbox.reuse.claim import answer_claim, claim_fields
from sandbox.reuse.ladder import LadderAnswer, LadderState, fixed_step, ladder_state, parameter_free
from sandbox.reuse.mechanisms import Mechanism, ladder_field, thresholdout_field
from sandbox.reuse.thresholdout import (
    ThresholdoutAnswer,
    ThresholdoutState,
    begin,
    thresholdout,
    thresholdout_state,
)
from sandbox.workspace import write_json

_END = {"value": "value", "lower": "low", "upper": "high"}
_ERROR_RATE = "error_rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Everything an answer rests on.

    Attributes:
        scope: name of the predictions.
        evaluation, folder: whose answer it is, and where its scored cases lie.
        memory: file in which a mechanism keeps its state for this vendor and hold-out version.
        told_before: whether this mechanism's answers were issued to this vendor, so that the file must be there.
        folders: folder of any evaluation by id, for the ladder's comparison with the best one.
        claims: what the vendor registered before the run, None without.
    """

    results: Results
    policy: Policy
    scope: str
    evaluation: str
    folder: Path
    memory: Path
    told_before: bool
    folders: Path
    claims: Claims | None
    selection: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Fields that would leave, and what the rules and the audit have to say of the numbers behind them."""

    fields: tuple[ReleasedField, ...]
    screened: Screened


def answer(question: Question, mechanism: Mechanism) -> Answer:
    """Answer by ``mechanism``.

    Raises:
        ReleaseRefusedError: the mechanism needs claims that were not registered or a value that is withheld, or no
            field was asked for.
        ReuseRefusedError: its budget is spent.
    """
    if mechanism == "full":
        screened = _screened(question, question.selection)
        if not screened.fields:
            raise ReleaseRefusedError(
                f"Nothing would leave: no field of {question.evaluation} fits these patterns. A field is named like "
                "verdict, acceptance/<criterion>, all/auroc/value or <operating point>/all/sensitivity/low."
            )
        return Answer(fields=screened.fields, screened=screened)
    if mechanism == "claim":
        return _claim(question)
    return _ladder(question) if mechanism == "ladder" else _thresholdout(question)


def _screened(question: Question, selection: Selection) -> Screened:
    return screen(question.results, question.policy.disclosure, scope=question.scope, selection=selection)


def _claim(question: Question) -> Answer:
    claims = _needed(question, "claim").claims
    if not claims:
        raise ReleaseRefusedError("The registered file declares a value but makes no claim.")
    paths = {claim.name: _path(question, claim) for claim in claims}
    screened = _screened(question, frozenset(paths.values()).__contains__)
    values = {field.path: field.value for field in screened.fields}
    answers = []
    for claim in claims:
        text = values.get(paths[claim.name])
        answers.append((claim.claim, answer_claim(claim.claim, None if text is None else float(text))))
    return Answer(fields=claim_fields(_head(question), answers), screened=screened)


def _path(question: Question, claim: StatedClaim) -> str:
    parts = (_head(question), claim.operating_point, claim.stratum or ALL, claim.metric, _END[claim.bound])
    return "/".join(part for part in parts if part)


def _head(question: Question) -> str:
    return f"{question.scope}/{protocol_mark(question.results.protocol_digest)}"


def _ladder(question: Question) -> Answer:
    point = _first_point(question.results)
    paths = {f"{_head(question)}/{point}/{ALL}/{metric}/value" for metric in ("sensitivity", "specificity")}
    screened = _screened(question, paths.__contains__)
    remembered = _remembered(question)
    if question.evaluation not in remembered["answers"]:
        state = ladder_state(remembered["state"]) if remembered["state"] else LadderState()
        losses = _losses(question.folder, question.results)
        best = None if state.holder is None else _losses(question.folders / state.holder, question.results)
        step = question.policy.reuse.ladder.step
        name = question.evaluation
        if step is None:
            state, found = parameter_free(state, submission=name, losses=losses, best_losses=best)
        else:
            loss = float(losses.mean())
            state, found = fixed_step(state, submission=name, loss=loss, step=Fraction(step))
        _remember(question, remembered, state, asdict(found))
    told = LadderAnswer(**remembered["answers"][question.evaluation])
    step = question.policy.reuse.ladder.step
    grid = Fraction(step) if step is not None else Fraction(1, question.results.analysis().n)
    return Answer(fields=(ladder_field(_head(question), _ERROR_RATE, told, grid),), screened=screened)


def _thresholdout(question: Question) -> Answer:
    declared = _needed(question, "thresholdout").declared
    if declared is None:
        raise ReleaseRefusedError("Thresholdout needs a value under `declared` in the registered claims.")
    stated = StatedClaim(
        name="declared",
        metric=declared.metric,
        operating_point=declared.operating_point,
        at_least=declared.value,
    )
    path = _path(question, stated)
    screened = _screened(question, {path}.__contains__)
    value = next((field.value for field in screened.fields if field.path == path), None)
    if value is None:
        raise ReleaseRefusedError(
            "The value that was declared is withheld by a rule, so it cannot be compared with the hold-out's."
        )
    settings = question.policy.reuse.thresholdout.settings
    remembered = _remembered(question)
    if question.evaluation not in remembered["answers"]:
        state = thresholdout_state(remembered["state"]) if remembered["state"] else begin(settings)
        state, found = thresholdout(
            state, holdout_value=float(value), declared=float(declared.value), settings=settings
        )
        _remember(question, remembered, state, asdict(found))
    told = ThresholdoutAnswer(**remembered["answers"][question.evaluation])
    field = thresholdout_field(_head(question), declared.metric, told, settings.grid)
    return Answer(fields=(field,), screened=screened)


def _needed(question: Question, mechanism: str) -> Claims:
    if question.claims is None:
        raise ReleaseRefusedError(
            f"The mechanism {mechanism} answers what was registered before the run, and nothing was. "
            "See: proctor claim register"
        )
    return question.claims


def _first_point(results: Results) -> str:
    points = results.analysis().operating_points
    if not points:
        raise ReleaseRefusedError("The ladder needs an operating point, and the protocol declares none.")
    return points[0].name


def _losses(folder: Path, results: Results) -> Any:
    """Loss of every case at the first operating point: 1 where the call is wrong or missing, else 0."""
    threshold = results.analysis().operating_points[0].threshold
    try:
        table = pq.read_table(folder / "scored.parquet", columns=["case_id", "reference", "score"])
    except (OSError, ValueError, KeyError) as error:
        raise ReleaseError(f"{folder} is damaged. Restore it from a backup of the workspace.") from error
    table = table.filter(table["reference"].is_valid()).sort_by("case_id")
    reference = table["reference"].to_numpy()
    score = table["score"].to_numpy(zero_copy_only=False)
    wrong = (score >= threshold) != (reference == 1)
    wrong[~table["score"].is_valid().to_numpy(zero_copy_only=False)] = True
    return wrong.astype(float)


def _remembered(question: Question) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(question.memory.read_bytes())
    except (OSError, ValueError) as error:
        # Without its memory a mechanism would draw fresh noise and begin a fresh budget.
        if isinstance(error, FileNotFoundError) and not question.told_before:
            return {"state": None, "answers": {}}
        raise ReleaseError(
            f"{question.memory} cannot be read, so nobody can say what this mechanism answered before. Restore it "
            "from a backup of the workspace."
        ) from error
    return found


def _remember(
    question: Question,
    remembered: dict[str, Any],
    state: LadderState | ThresholdoutState,
    found: dict[str, Any],
) -> None:
    remembered["state"] = state.to_plain()
    remembered["answers"][question.evaluation] = found
    question.memory.parent.mkdir(exist_ok=True, mode=0o700)
    write_json(question.memory, remembered)
