"""New identifiers for a perturbed case: nothing in a file tells which clean case it was made from.

A container that could tell would be able to give the clean answer again. UIDs and pseudonym are HMACs under the
key of the run: consistent within the perturbed case, unrelated to those of the clean one.
"""

from __future__ import annotations

import hashlib

import numpy as np
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import UID

from holdout.uids import keyed_token, keyed_uid
from sandbox.stress.case import OpenCase

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
    known: dict[str, UID] = {}
    for number, image in enumerate(case.images):
        for keyword in _OWN:
            old = str(image.dataset.get(keyword) or "")
            if old:
                # A duplicated slice is another instance of the same image.
                place = str(number) if keyword == "SOPInstanceUID" else ""
                known[old] = UID(keyed_uid(key, *parts, keyword, old, place))
                image.dataset[keyword].value = known[old]
    pseudonym = keyed_token(key, *parts, "pseudonym")
    for image in case.images:
        _replace_references(image.dataset, known, key, parts)
        for keyword in ("PatientID", "PatientName"):
            if keyword in image.dataset:
                setattr(image.dataset, keyword, pseudonym)
    return pseudonym


def _replace_references(dataset: Dataset, known: dict[str, UID], key: bytes, parts: tuple[str, ...]) -> None:
    fresh = set(known.values())
    # Elements that nobody touched stay undecoded: decoding all of them costs more than the pixels do.
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        vr = raw.VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "UN")
        if vr == "SQ":
            for item in dataset[tag].value or ():
                _replace_references(item, known, key, parts)
        elif vr == "UI" and isinstance(value := dataset[tag].value, str):
            if value in known:
                dataset[tag].value = known[value]
            elif value and not value.startswith(_OF_THE_STANDARD) and value not in fresh:
                # An instance outside the case, or one that a conversion left behind: it would tell the clean case.
                dataset[tag].value = UID(keyed_uid(key, *parts, "reference", value))
