"""How a hold-out answers: by which mechanism, and with which fields.

Every mechanism answers from the numbers that the rules and the audit would let out: those behind an answer tell at
least as much as the answer does.

The ladder and Thresholdout remember what they said (:mod:`sandbox.release.memory`). Answer and new state are kept in
one step and an evaluation is answered once: whoever asks again hears the same, and cannot average the noise away.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sandbox.disclosure.cells import ALL
from sandbox.disclosure.fields import ReleasedField, Screened
from sandbox.disclosure.screen import protocol_mark, screen, why_verdicts_only
from sandbox.errors import ReleaseError, ReleaseRefusedError
from sandbox.institution.policy import Policy
from sandbox.outcome.results import Results
from sandbox.release.claims import Claims, StatedClaim
from sandbox.release.memory import Memory
from sandbox.release.selection import Selection, field_name, selection
from sandbox.reuse.bits import cost
from sandbox.reuse.chosen import Chosen
from sandbox.reuse.claim import answer_claim, claim_fields
from sandbox.reuse.ladder import (
    LadderAnswer,
    LadderState,
    fixed_step,
    ladder_levels,
    ladder_state,
    parameter_free,
)
from sandbox.reuse.mechanisms import Mechanism, ladder_field, thresholdout_field
from sandbox.reuse.thresholdout import (
    ThresholdoutAnswer,
    ThresholdoutState,
    begin,
    thresholdout,
    thresholdout_levels,
    thresholdout_state,
)

_END = {"value": "value", "lower": "low", "upper": "high"}
_ERROR_RATE = "error_rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Everything an answer rests on.

    Attributes:
        scope: name of the predictions.
        evaluation, folder: whose answer it is, and where its scored cases lie.
        chosen: the mechanism that protocol and policy settled on, with the parameters of each.
        memory: what the mechanisms said to this vendor of this hold-out version.
        folders: folder of any evaluation by id, for the ladder's comparison with the best one.
        claims: what the vendor registered before the run, None without.
        secret: of the institution, by which means are rounded.
    """

    results: Results
    policy: Policy
    scope: str
    evaluation: str
    folder: Path
    chosen: Chosen
    memory: Memory
    folders: Path
    claims: Claims | None
    selection: Selection
    secret: bytes


def numbers_behind(question: Question, mechanism: Mechanism) -> Screened:
    """The numbers that an answer by ``mechanism``, the protocol's or one that tells less, rests on, after the rules.

    Raises:
        ReleaseRefusedError: the mechanism needs claims that were not registered or an operating point, or another
            mechanism than the protocol's would cost more.
    """
    _check_cheaper(question, mechanism)
    chosen = question.selection
    if mechanism == "claim":
        chosen = frozenset(_path(question, claim) for claim in _claims(question)).__contains__
    elif mechanism == "ladder":
        chosen = _ladder_paths(question).__contains__
    elif mechanism == "thresholdout":
        chosen = frozenset([_path(question, _declared(question))]).__contains__
    return _screened(question, chosen)


def answer(question: Question, mechanism: Mechanism, screened: Screened) -> tuple[ReleasedField, ...]:
    """Answer by ``mechanism`` from the numbers behind it that were found safe; gives the fields that would leave.

    Raises:
        ReleaseRefusedError: the mechanism needs a value that is withheld, or nothing that was asked for would leave.
    """
    if mechanism == "full":
        return _full(question, screened)
    if mechanism == "claim":
        return _claim(question, screened)
    return _ladder(question, screened) if mechanism == "ladder" else _thresholdout(question, screened)


def _check_cheaper(question: Question, mechanism: Mechanism) -> None:
    """Hold a request for another mechanism than the protocol's against what that one costs: many claims cost more."""
    settled = question.chosen.mechanism
    if mechanism == settled:
        return
    bits, planned = _price(question, mechanism), _price(question, settled)
    if bits > planned:
        raise ReleaseRefusedError(
            f"The mechanism {mechanism} would cost {bits:.1f} bits here, and {settled}, which was settled before the "
            f"run, costs {planned:.1f}. A request may only ask for less."
        )


def _price(question: Question, mechanism: Mechanism) -> float:
    """Bits of one answer by ``mechanism``."""
    if mechanism == "full":
        return cost(_screened(question, selection(question.policy.release.fields)).fields)
    if mechanism == "claim":
        return float(len(_needed(question, mechanism).claims))
    if mechanism == "ladder":
        return math.log2(ladder_levels(question.chosen.ladder.fixed, question.results.analysis().n))
    return math.log2(thresholdout_levels(question.chosen.thresholdout.settings))


def _screened(question: Question, selection: Selection) -> Screened:
    return screen(
        question.results,
        question.policy.disclosure,
        scope=question.scope,
        selection=selection,
        secret=question.secret,
    )


def _full(question: Question, screened: Screened) -> tuple[ReleasedField, ...]:
    if not screened.fields:
        why = why_verdicts_only(question.results.task, question.policy.disclosure)
        raise ReleaseRefusedError(
            f"Nothing would leave: no field of {question.evaluation} fits these patterns. "
            + (
                why
                or "A field is named like verdict, acceptance/<criterion>, all/auroc/value, all/mean_dice/value or "
                "<operating point>/all/sensitivity/low."
            )
        )
    if not screened.released:
        reasons = (f"\n  {field_name(each.field)}: {each.sentence}" for each in screened.verdicts)
        raise ReleaseRefusedError(
            f"Nothing would leave: every field that was asked for is withheld.{''.join(reasons)}"
        )
    return screened.fields


def _claims(question: Question) -> tuple[StatedClaim, ...]:
    claims = _needed(question, "claim").claims
    if not claims:
        raise ReleaseRefusedError("The registered file declares a value but makes no claim.")
    return claims


def _claim(question: Question, screened: Screened) -> tuple[ReleasedField, ...]:
    values = {field.path: field.value for field in screened.fields}
    answers = []
    for claim in _claims(question):
        text = values.get(_path(question, claim))
        answers.append((claim.claim, answer_claim(claim.claim, None if text is None else float(text))))
    return claim_fields(_head(question), answers)


def _path(question: Question, claim: StatedClaim) -> str:
    parts = (_head(question), claim.operating_point, claim.stratum or ALL, claim.metric, _END[claim.bound])
    return "/".join(part for part in parts if part)


def _head(question: Question) -> str:
    return f"{question.scope}/{protocol_mark(question.results.protocol_digest)}"


def _ladder_paths(question: Question) -> frozenset[str]:
    point = _first_point(question.results)
    return frozenset(
        f"{_head(question)}/{point}/{ALL}/{metric}/value" for metric in ("sensitivity", "specificity")
    )


def _ladder(question: Question, screened: Screened) -> tuple[ReleasedField, ...]:
    for each in screened.verdicts:
        # The ladder counts cases itself, so that small cells are its own matter; what was told before is not.
        if each.rule in ("difference", "audit"):
            raise ReleaseRefusedError(f"The ladder may not answer here. {each.sentence}")
    remembered = question.memory.recall("ladder")
    if question.evaluation not in remembered["answers"]:
        state = ladder_state(remembered["state"]) if remembered["state"] else LadderState()
        losses = _losses(question.folder, question.results)
        best = None if state.holder is None else _losses(question.folders / state.holder, question.results)
        step = question.chosen.ladder.fixed
        name = question.evaluation
        if step is None:
            state, found = parameter_free(state, submission=name, losses=losses, best_losses=best)
        else:
            loss = float(losses.mean())
            state, found = fixed_step(state, submission=name, loss=loss, step=step)
        _remember(question, "ladder", remembered, state, asdict(found))
    told = LadderAnswer(**remembered["answers"][question.evaluation])
    grid = question.chosen.ladder.fixed or Fraction(1, question.results.analysis().n)
    return (ladder_field(_head(question), _ERROR_RATE, told, grid),)


def _declared(question: Question) -> StatedClaim:
    declared = _needed(question, "thresholdout").declared
    if declared is None:
        raise ReleaseRefusedError("Thresholdout needs a value under `declared` in the registered claims.")
    return StatedClaim(
        name="declared",
        metric=declared.metric,
        operating_point=declared.operating_point,
        at_least=declared.value,
    )


def _thresholdout(question: Question, screened: Screened) -> tuple[ReleasedField, ...]:
    declared = _declared(question)
    path = _path(question, declared)
    value = next((field.value for field in screened.fields if field.path == path), None)
    if value is None:
        raise ReleaseRefusedError(
            "The value that was declared is withheld by a rule, so it cannot be compared with the hold-out's."
        )
    settings = question.chosen.thresholdout.settings
    remembered = question.memory.recall("thresholdout")
    if question.evaluation not in remembered["answers"]:
        state = thresholdout_state(remembered["state"]) if remembered["state"] else begin(settings)
        # Protocols with budgets of their own draw on one count of noisy answers.
        given = sum(
            each["value"] is not None and not each["agrees"] for each in remembered["answers"].values()
        )
        state = replace(state, budget_left=max(0, settings.budget - given))
        state, found = thresholdout(
            state, holdout_value=float(value), declared=declared.claim.limit, settings=settings
        )
        _remember(question, "thresholdout", remembered, state, asdict(found))
    told = ThresholdoutAnswer(**remembered["answers"][question.evaluation])
    return (thresholdout_field(_head(question), declared.metric, told, settings.grid),)


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


def _remember(
    question: Question,
    mechanism: Mechanism,
    remembered: dict[str, Any],
    state: LadderState | ThresholdoutState,
    found: dict[str, Any],
) -> None:
    remembered["state"] = state.to_plain()
    remembered["answers"][question.evaluation] = found
    question.memory.remember(mechanism, question.evaluation, remembered)
