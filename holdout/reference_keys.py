"""Key Object Selection Documents as truth (PS3.16 TID 2010): a case that one references under a title is positive."""

from __future__ import annotations

from typing import Any

from holdout.coded import is_code
from holdout.image_grid import ImageGrid
from holdout.image_reading import ImageDefect
from holdout.reference_forms import SOP_CLASSES, KeyObjectsForm


def referenced_as(dataset: Any, grid: ImageGrid, form: KeyObjectsForm) -> str | None:
    """'1' when the document has the title and selects an image of the case, else None.

    Raises:
        ImageDefect: it is no such document.
    """
    if str(dataset.get("SOPClassUID")) not in SOP_CLASSES["key_objects"]:
        raise ImageDefect("not a Key Object Selection Document")
    if not any(is_code(item, form.title) for item in dataset.get("ConceptNameCodeSequence") or []):
        return None
    own = {uid for uid, _ in grid.instances}
    # What is selected stands in the content; the evidence sequences may list more.
    selected = {
        str(reference.get("ReferencedSOPInstanceUID"))
        for item in dataset.get("ContentSequence") or []
        for reference in item.get("ReferencedSOPSequence") or []
    }
    return "1" if own & selected else None
