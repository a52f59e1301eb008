"""New identifiers for a perturbed case: nothing in a file tells which clean case it was made from.

A container that could tell would be able to give the clean answer again. UIDs and pseudonym are HMACs under the
key of the run: consistent within the perturbed case, unrelated to those of the clean one.
"""

from __future__ import annotations

import hashlib

import numpy as np
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from holdout.uids import keyed_token, keyed_uid
from sandbox.stress.case import OpenCase
from sandbox.stress.undecoded import has, set_text, set_text_at, text_at, text_of

_OF_THE_STANDARD = "1.2.840.10008."
_OWN = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID")


def random_numbers(seed: int, case: str, perturbation: str) -> np.random.Generator:
    """Give the random numbers of a perturbed case: the same in every process and for every severity.

    One noise field for all severities, scaled, is what makes severities comparable and monotone.
    """
    text = f"{seed}\0{case}\0{perturbation}".encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:16], "big"))


def new_identity(case: OpenCase, key: bytes, parts: tuple[str, ...]) -> str:
    """Replace the UIDs of the case, wherever its files refer to each other, and the patient's pseudonym.

    Returns the new pseudonym.
    """
    known: dict[str, str] = {}
    fresh: set[str] = set()
    for number, image in enumerate(case.images):
        for keyword in _OWN:
            if old := text_of(image.dataset, keyword):
                # A duplicated slice is another instance of the same image.
                place = str(number) if keyword == "SOPInstanceUID" else ""
                known[old] = keyed_uid(key, *parts, keyword, old, place)
                fresh.add(known[old])
                set_text(image.dataset, keyword, known[old])
    pseudonym = keyed_token(key, *parts, "pseudonym")
    for image in case.images:
        _replace_references(image.dataset, known, fresh, key, parts)
        for keyword in ("PatientID", "PatientName"):
            if has(image.dataset, keyword):
                set_text(image.dataset, keyword, pseudonym)
    return pseudonym


def _replace_references(
    dataset: Dataset, known: dict[str, str], fresh: set[str], key: bytes, parts: tuple[str, ...]
) -> None:
    # Elements that nobody touched stay undecoded: decoding all of them costs more than the pixels do.
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        vr = element.VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "UN")
        if vr == "SQ":
            if isinstance(element, RawDataElement) and _without_uids(element):
                continue
            for item in dataset[tag].value or ():
                _replace_references(item, known, fresh, key, parts)
        elif vr == "UI" and (text := text_at(dataset, tag)):
            changed = "\\".join(_replaced(value, known, fresh, key, parts) for value in text.split("\\"))
            set_text_at(dataset, tag, "UI", changed)


def _without_uids(sequence: RawDataElement) -> bool:
    """Whether an undecoded sequence holds no element of VR UI; in implicit VR that does not show."""
    return not sequence.is_implicit_VR and b"UI" not in (sequence.value or b"")


def _replaced(uid: str, known: dict[str, str], fresh: set[str], key: bytes, parts: tuple[str, ...]) -> str:
    if uid in known:
        return known[uid]
    if not uid or uid.startswith(_OF_THE_STANDARD) or uid in fresh:
        return uid
    # An instance outside the case, or one that a conversion left behind: it would tell the clean case.
    return keyed_uid(key, *parts, "reference", uid)
