"""Mask files of a reference standard: read, checked against their images, and refused when they cannot be meant."""

import csv
import io

import numpy as np
import pydicom
import pytest
from PIL import Image

from holdout import ingest, synthetic
from holdout.errors import ReferenceStandardError
from holdout.index import read_index
from holdout.mask_runs import decode, true_mask
from holdout.reference import load

DECLARATION = """
proctor: reference/1
table: masks.csv
key: {sop_instance_uid: uid}
labels: {lesion: {column: mask, mask: true, unlabelled: [none]}}
method: {value: drawn}
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """An ingested folder of synthetic radiographs: the index, and the images by UID."""
    folder = tmp_path_factory.mktemp("images")
    synthetic.generate(folder / "data", patients=10, seed=1)
    ingest.ingest(folder / "data" / "dicom", folder / "index.parquet")
    found = [pydicom.dcmread(path) for path in sorted((folder / "data" / "dicom").rglob("*.dcm"))]
    return read_index(folder / "index.parquet"), {image.SOPInstanceUID: image for image in found}


def declare(folder, names):
    (folder / "reference.yaml").write_text(DECLARATION)
    with (folder / "masks.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("uid", "mask"), *names.items()])
    return folder / "reference.yaml"


def png(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def test_masks_come_with_the_spacing_of_their_image(images, tmp_path):
    index, found = images
    first, second, *_ = found.values()
    mask = np.zeros((first.Rows, first.Columns), dtype=np.uint8)
    mask[3:9, 5:20] = 255
    (tmp_path / "one.png").write_bytes(png(mask))
    reference = load(
        declare(tmp_path, {first.SOPInstanceUID: "one.png", second.SOPInstanceUID: "none"}), index
    )
    kept = true_mask(reference.by_case[first.SOPInstanceUID].labels["lesion"])
    assert np.array_equal(decode(kept.runs), mask > 0)
    spacing = first.get("PixelSpacing") or first.get("ImagerPixelSpacing")
    assert kept.spacing == tuple(map(float, spacing))
    assert reference.by_case[second.SOPInstanceUID].labels["lesion"] is None
    reference.check()


@pytest.mark.parametrize(
    ("name", "make", "why"),
    [
        ("turned.png", lambda shape: png(np.zeros((shape[0], shape[1] + 1), np.uint8)), "its image"),
        (
            "levels.png",
            lambda shape: png(np.arange(shape[0] * shape[1], dtype=np.uint8).reshape(shape)),
            "two values",
        ),
        ("broken.png", lambda shape: png(np.zeros(shape, np.uint8))[:60], "damaged"),
        ("text.png", lambda _shape: b"not an image", "neither"),
        ("../outside.png", None, "leads out"),
        ("absent.png", None, "no such file"),
    ],
)
def test_files_that_cannot_be_meant_are_named(images, tmp_path, name, make, why):
    index, found = images
    image = next(iter(found.values()))
    folder = tmp_path / "declared"
    folder.mkdir()
    if make is not None:
        (folder / name).write_bytes(make((image.Rows, image.Columns)))
    with pytest.raises(ReferenceStandardError, match=why):
        load(declare(folder, {image.SOPInstanceUID: name}), index)


def test_a_link_is_not_followed(images, tmp_path):
    index, found = images
    image = next(iter(found.values()))
    (tmp_path / "secret.png").write_bytes(png(np.zeros((image.Rows, image.Columns), np.uint8)))
    folder = tmp_path / "declared"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ReferenceStandardError, match="is a link"):
        load(declare(folder, {image.SOPInstanceUID: "link.png"}), index)


def test_masks_of_images_go_with_images(images, tmp_path):
    index, found = images
    image = next(iter(found.values()))
    with pytest.raises(ReferenceStandardError, match="--unit image"):
        load(declare(tmp_path, {image.SOPInstanceUID: "one.png"}), index, unit="study")
