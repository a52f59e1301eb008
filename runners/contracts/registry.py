"""Which contract an image has: what the submission says, else what image or contract file say, else ``worker``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runners.contracts import application_package, files, grand_challenge, medperf, worker
from runners.contracts.answer_location import AnswerLocation, parse_location
from runners.contracts.interface import Contract, ImageDeclaration
from runners.errors import ContractRefused

CONTRACTS: Mapping[str, Contract] = {
    contract.name: contract
    for contract in (
        worker.CONTRACT,
        files.CONTRACT,
        grand_challenge.CONTRACT,
        medperf.CONTRACT,
        application_package.CONTRACT,
    )
}
LABEL = "io.proctor.contract"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The contract of one submission, checked; plain values for its record."""

    contract: str
    settings: dict[str, Any]
    answer: str | None

    @property
    def location(self) -> AnswerLocation | None:
        """Where the answer is."""
        return None if self.answer is None else parse_location(self.answer)


def detect(image: ImageDeclaration, document: Mapping[str, Any] | None = None) -> str:
    """Name the contract that an image declares, or else the one whose contract file was handed in with it.

    Raises:
        ContractRefused: its labels name one that is not known.
    """
    named = image.labels.get(LABEL)
    if named is not None:
        if named not in CONTRACTS:
            raise ContractRefused(f"The label {LABEL} must be one of {', '.join(CONTRACTS)}.")
        return named
    if grand_challenge.api_method(image.labels) is not None:
        return "grand-challenge"
    if files.MANIFEST in image.manifests:
        return "files"
    if image.manifests.keys() & {application_package.HOLOSCAN, application_package.MONAI}:
        return "map"
    # What a MedPerf model, or a Grand Challenge algorithm without its label, says of itself stands beside the image.
    for name, key in (("medperf", "tasks"), ("grand-challenge", "inputs"), ("files", "contract")):
        if document is not None and key in document:
            return name
    return "worker"


def declare(
    image: ImageDeclaration,
    *,
    contract: str | None = None,
    document: Mapping[str, Any] | None = None,
    answer: str | None = None,
    attached: frozenset[str] = frozenset(),
) -> Declared:
    """Settle the contract of a submission; ``attached`` names what is handed in beside the image.

    Raises:
        ContractRefused: it is not known, not declared in full, or its answer cannot be found by rule.
    """
    name = contract or detect(image, document)
    if name not in CONTRACTS:
        raise ContractRefused(f"The contract must be one of {', '.join(CONTRACTS)}.")
    chosen = CONTRACTS[name]
    settings = chosen.declare(image, document)
    _check_attached(chosen, settings, attached)
    if not chosen.needs_answer:
        if answer is not None:
            raise ContractRefused(f"The {name} contract answers on standard output. Leave --answer out.")
        return Declared(contract=name, settings=settings, answer=None)
    text = answer or settings.get("answer") or chosen.default_answer
    if text is None:
        raise ContractRefused(
            f"The {name} contract does not say where the answer is. Give --answer FILE.json#/json/pointer or "
            "--answer FILE.csv#KEY=VALUE, relative to the output folder."
        )
    location = parse_location(text)
    if chosen.whole_set(settings) and not location.by_case:
        raise ContractRefused(
            "One container answers all cases, so the place of the answer must hold {case}, or be a table "
            "(predictions.csv#case=score)."
        )
    return Declared(contract=name, settings=settings, answer=str(location))


def _check_attached(contract: Contract, settings: Mapping[str, Any], attached: frozenset[str]) -> None:
    needed = contract.needs(settings)
    missing, unasked = sorted(needed - attached), sorted(attached - needed - contract.takes)
    if missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise ContractRefused(f"The contract file asks for {', '.join(missing)}. Give {options}.")
    if unasked:
        raise ContractRefused(
            f"The submission's contract does not ask for {', '.join(unasked)}. Leave it out."
        )
