"""Waivers: a person's signed word that a control may be missing on one engine until a day.

A waiver that anybody could write would be no waiver, and one without an end or for every machine would be a hole. So
it is signed (Ed25519, RFC 8032) over everything it says, by a key that the policy names or else by the workspace's
operator; it names one control and one pair of engine and runtime; it ends within a year. Controls that keep images
in cannot be waived at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from runners.errors import PostureRefused
from sandbox.canonical import canonical_json, digest
from sandbox.errors import NoteError, UsageError
from sandbox.evidence.durable import write_durable
from sandbox.evidence.encoding import decode_base64, encode_base64
from sandbox.evidence.keys import SIGNATURE_SIZE, SigningKey, VerifierKey, parse_verifier
from sandbox.evidence.ledger import Ledger
from sandbox.institution.isolation_rules import Waiver, waiver_faults
from sandbox.institution.policy import WAIVERS_NAME, Policy, load_waivers
from sandbox.institution.workspace import Workspace, entry, open_ledger

ENTRY_KIND = "waiver-granted"
_HEAD = "# Written by `proctor waiver sign`. Each is signed over all that it says; a changed one refuses every run.\n"
State = Literal["in force", "ended", "not yet", "other engine", "unsigned", "unknown key", "wrong signature"]
_FALSE: frozenset[State] = frozenset({"unsigned", "unknown key", "wrong signature"})


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedWaiver:
    """A waiver of the policy and whether it counts today on this engine; ``sentence`` says so to a person."""

    waiver: Waiver
    state: State
    sentence: str


def signed_text(waiver: Waiver, policy: str) -> bytes:
    """What is signed: canonical JSON (RFC 8785) of all that the waiver says, and the name of the policy."""
    said = waiver.model_dump(mode="json", exclude={"signature"})
    return canonical_json({"format": "proctor-waiver/1", "policy": policy, **said})


def asked_for(
    *, control: str, engine: str, reason: str, approved_by: str, signed_on: date, until: str
) -> Waiver:
    """Make an unsigned waiver from what a person typed.

    Raises:
        UsageError: something of it has not the form that it must have.
    """
    try:
        return Waiver(
            control=control,
            engine=engine,
            reason=reason,
            approved_by=approved_by,
            signed_on=signed_on.isoformat(),
            until=until,
        )
    except ValidationError as error:
        names = ", ".join(sorted({str(each["loc"][0]).replace("_", "-") for each in error.errors()}))
        raise UsageError(
            f"This is not the form of a waiver's {names}. See: proctor waiver sign --help"
        ) from None


def add(policy_path: Path, waiver: Waiver, own: Collection[str] = ()) -> Path:
    """Put a waiver into ``waivers.yaml`` beside the policy, in place of one for the same control and engine.

    ``own``: :attr:`sandbox.institution.policy.Policy.own_pairs`.
    """
    path = policy_path.with_name(WAIVERS_NAME)
    same = (waiver.control, waiver.engine)
    kept = [each for each in load_waivers(path, own) if (each.control, each.engine) != same]
    rows = [each.model_dump(mode="json") for each in (*kept, waiver)]
    text = yaml.safe_dump(
        {"proctor": "waivers/1", "waivers": rows}, sort_keys=False, allow_unicode=True, width=100
    )
    write_durable(path, (_HEAD + text).encode())
    return path


def is_false(judged: JudgedWaiver) -> bool:
    """Tell whether nobody answers for the waiver: unsigned, by an unknown key, or changed."""
    return judged.state in _FALSE


def sign(waiver: Waiver, policy: str, key: SigningKey, own: Collection[str] = ()) -> Waiver:
    """Return the waiver signed by ``key``; ``own``: :attr:`sandbox.institution.policy.Policy.own_pairs`.

    Raises:
        UsageError: it asks for more than a waiver may.
    """
    faults = waiver_faults(waiver, own)
    if faults:
        raise UsageError(f"This waiver cannot be signed: {' '.join(faults)}")
    named = waiver.model_copy(update={"signed_by": key.name, "signature": None})
    return named.model_copy(update={"signature": encode_base64(key.sign(signed_text(named, policy)))})


def actor_keys(workspace: Workspace) -> tuple[VerifierKey, ...]:
    """Give the keys of the workspace's actors who may sign a waiver: its operators and approvers."""
    with open_ledger(workspace) as ledger:
        return tuple(
            VerifierKey(name=actor.name, public=actor.public)
            for actor in ledger.actors().values()
            if actor.may(ENTRY_KIND)
        )


def judge(
    policy: Policy, *, engine: str, today: date, actors: Sequence[VerifierKey] = ()
) -> tuple[JudgedWaiver, ...]:
    """Judge every waiver of the policy for ``engine`` (a pair of engine and runtime) on ``today``.

    ``actors`` are the keys of the workspace (:func:`actor_keys`); a policy that names keys trusts only those.
    """
    named = policy.isolation.waiver_keys
    trusted = [parse_verifier(text) for text in named] if named else actors
    keys = {key.name: key for key in trusted}
    judged = []
    for waiver in policy.isolation.waivers:
        state = _state(waiver, policy.name, engine, today, keys)
        judged.append(JudgedWaiver(waiver=waiver, state=state, sentence=_sentence(waiver, state)))
    return tuple(judged)


def enter(ledger: Ledger, policy: str, judged: Iterable[JudgedWaiver]) -> None:
    """Enter each waiver in force into the ledger, once for each digest of a ``policy``: its own digest, its last day.

    The digest is of all that the waiver says, signature included; the run's record holds the text.
    """
    for each in judged:
        subject = {"policy": policy, "control": each.waiver.control}
        if each.state == "in force" and not ledger.find(kind=ENTRY_KIND, **subject):
            detail = {"waiver": digest(each.waiver.model_dump(mode="json")), "until": each.waiver.until}
            ledger.append(entry(ENTRY_KIND, subject=subject, detail=detail))


def in_force(judged: Iterable[JudgedWaiver]) -> dict[str, str]:
    """Give the controls that may be missing, with the words that every report shows."""
    return {each.waiver.control: each.sentence for each in judged if each.state == "in force"}


def refuse_false(judged: Iterable[JudgedWaiver]) -> None:
    """Refuse a policy with a waiver that nobody answers for, even where its control is not missing.

    Raises:
        PostureRefused: unsigned, by an unknown key, or changed after it was signed.
    """
    false = [each.sentence for each in judged if is_false(each)]
    if false:
        raise PostureRefused(" ".join(false))


def _state(waiver: Waiver, policy: str, engine: str, today: date, keys: Mapping[str, VerifierKey]) -> State:
    if waiver.signed_by is None or waiver.signature is None:
        return "unsigned"
    if waiver.signed_by not in keys:
        return "unknown key"
    try:
        signature = decode_base64(waiver.signature, what="a waiver's signature", size=SIGNATURE_SIZE)
    except NoteError:
        return "wrong signature"
    if not keys[waiver.signed_by].holds(signed_text(waiver, policy), signature):
        return "wrong signature"
    if date.fromisoformat(waiver.signed_on) > today:
        return "not yet"
    if date.fromisoformat(waiver.until) < today:
        return "ended"
    return "in force" if waiver.engine == engine else "other engine"


def _sentence(waiver: Waiver, state: State) -> str:
    name = f"The waiver of {waiver.control}"
    match state:
        case "in force":
            return f"{waiver.approved_by} until {waiver.until}, signed by {waiver.signed_by}: {waiver.reason}"
        case "ended":
            return (
                f"{name} ended on {waiver.until}. Repair the engine, or sign a new one (proctor waiver sign)."
            )
        case "not yet":
            return f"{name} begins on {waiver.signed_on}."
        case "other engine":
            return f"{name} is for {waiver.engine} and does not count here."
        case "unsigned":
            return f"{name} is not signed. Sign it (proctor waiver sign), or take it out of the policy."
        case "unknown key":
            return (
                f"{name} is signed by {waiver.signed_by}, whose key the policy does not name (isolation.waiver_keys). "
                "Name the key, or sign it as the operator."
            )
        case "wrong signature":
            return (
                f"The signature of {name[0].lower()}{name[1:]} does not hold: it was changed after it was signed, or "
                "signed for another policy. Sign it again (proctor waiver sign)."
            )


def as_data(judged: Iterable[JudgedWaiver]) -> list[dict[str, Any]]:
    """Give all waivers as JSON-ready values, for the record of a run."""
    return [
        {**each.waiver.model_dump(mode="json"), "state": each.state, "sentence": each.sentence}
        for each in judged
    ]
