"""Objects whose bytes were altered: each ends as truth on the images' grid, as a defect in words, or as a failure."""

import random

import numpy as np
import pytest

from holdout.bounded import BoundedPool, Failure
from holdout.object_reading import ReadingTask, read_object
from holdout.reference_forms import (
    PresentationForm,
    ReportForm,
    Roi,
    SegmentationForm,
    StructureSetForm,
    VolumeForm,
)
from tests.holdout import truth_objects as made
from tests.holdout.test_reference_presentations import presented
from tests.holdout.test_reference_reports import planar, region, report, sr
from tests.holdout.test_reference_volumes import affine_of, nifti

SQUARE = [(3.0, 4.0), (9.0, 4.0), (9.0, 11.0), (3.0, 11.0), (3.0, 4.0)]
MUTANTS = 40


def forms(images):
    """Content, form, and whether it is read as a mask."""
    mask = np.zeros((2, 20, 24), dtype=np.uint8)
    mask[0, 4:11, 3:9] = 1
    contour = ("CLOSED_PLANAR", made.in_patient(images[0], SQUARE[:-1]))
    nodule = planar(region(images[0], sr.GraphicTypeValues.POLYLINE, SQUARE))
    return {
        "segmentation": (
            made.content_of(made.segmentation(images, mask)),
            SegmentationForm(form="segmentation"),
            True,
        ),
        "nifti": (nifti(mask.transpose(2, 1, 0), affine_of(images)), VolumeForm(form="nifti"), True),
        "structure_set": (
            made.content_of(made.structure_set(images, {"a": [contour]})),
            StructureSetForm(form="structure_set", roi=Roi(name="a")),
            True,
        ),
        "report": (made.content_of(report(images, [nodule])), ReportForm(form="report"), False),
        "presentation_state": (
            made.content_of(presented(images[0], [("ONE", "POLYLINE", SQUARE)])),
            PresentationForm(form="presentation_state"),
            False,
        ),
    }


def altered(content, seed):
    """Bytes set, cut off, or doubled, at random."""
    chance = random.Random(seed)
    content = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(132, len(content)) if len(content) > 140 else 0
        content[at] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
    if chance.random() < 0.2:
        del content[chance.randrange(len(content)) :]
    return bytes(content)


@pytest.mark.parametrize("kind", ["segmentation", "nifti", "structure_set", "report", "presentation_state"])
def test_altered_objects_end_in_words(tmp_path, kind):
    images = made.ct_series(slices=2)
    paths = [str(path) for path in made.save_all(tmp_path / "images", images)]
    content, reading, mask = forms(images)[kind]
    tasks = []
    for seed in range(MUTANTS):
        path = tmp_path / f"{seed}"
        path.write_bytes(altered(content, seed) if seed else content)
        shown = tuple(paths if mask else paths[:1])
        tasks.append(
            ReadingTask(
                label="a", reading=reading, mask=mask, boxes=not mask, path=str(path), cases=(("c", shown),)
            )
        )
    with BoundedPool(read_object, processes=2, memory_bytes=2 << 30, seconds_per_task=20) as pool:
        outcomes = [outcome for _, outcome in pool.map(tasks, ordered=True)]
    assert not any(isinstance(each, Failure) and each.code in ("timeout", "crash") for each in outcomes)
    found = [each.cases[0] for each in outcomes if not isinstance(each, Failure)]
    assert len(found) >= 0.8 * MUTANTS
    if mask:
        assert found[0].mask is not None
        assert sum(found[0].mask[5::2]) == 42
        assert all(each.mask[:4] == (3, 2, 20, 24) for each in found if each.mask is not None)
    else:
        assert found[0].boxes == ((3, 4, 9, 11),)
