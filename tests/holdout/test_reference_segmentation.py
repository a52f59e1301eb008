"""DICOM Segmentation as truth: objects that highdicom writes, real ones, and what highdicom reads of them."""

import warnings
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from holdout import synthetic
from holdout.image_grid import read_grid
from holdout.image_reading import ImageDefect
from holdout.mask_runs import decode
from holdout.object_reading import opened
from holdout.reference_forms import Segment, SegmentationForm
from holdout.reference_masks import read_plane
from holdout.reference_segmentation import segmentation_mask
from tests.holdout import truth_objects as made

ZOO = Path(__file__).parents[3] / "shared/data/dicom-zoo"
OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)


def form(**parts):
    return SegmentationForm(form="segmentation", **parts)


def blob(shape, seed=0, share=0.3):
    return np.random.default_rng(seed).random(shape) < share


def read(segmented, images, folder, **parts):
    grid = read_grid(made.save_all(folder / "images", images))
    return segmentation_mask(opened(made.content_of(segmented)), grid, form(**parts))


@pytest.mark.parametrize("orientation", [made.AXIAL, OBLIQUE])
@pytest.mark.parametrize("numbers", [None, [5, 4, 3, 2, 1], [3, 1, 5, 2, 4]])
def test_frames_come_to_their_slices_along_the_normal(tmp_path, orientation, numbers):
    images = made.ct_series(orientation=orientation, numbers=numbers)
    mask = blob((5, 20, 24))
    mask[2] = False
    shuffled = [3, 0, 4, 2, 1]
    found = read(
        made.segmentation([images[i] for i in shuffled], mask[shuffled], omit_empty_frames=True),
        images,
        tmp_path,
    )
    assert np.array_equal(found.mask, mask)
    assert not found.resampled


def test_segments_are_chosen_and_may_overlap(tmp_path):
    images = made.ct_series()
    masks = np.stack([blob((5, 20, 24), seed) for seed in range(3)], axis=-1)
    segmented = made.segmentation(
        images, masks.astype(np.uint8), labels=("left", "right", "liver"), types={"liver": made.LIVER}
    )
    grid = read_grid(made.save_all(tmp_path, images))
    dataset = opened(made.content_of(segmented))

    def chosen(**segment):
        found = segmentation_mask(dataset, grid, form(segment=Segment(**segment)))
        return None if found is None else found.mask

    assert np.array_equal(chosen(number=2), masks[..., 1])
    assert np.array_equal(chosen(label="liver"), masks[..., 2])
    assert np.array_equal(chosen(property="SCT:4147007"), masks[..., 0] | masks[..., 1])
    # The code of liver in the SNOMED of old (PS3.16 annex O maps T-62000 to 10200004).
    assert np.array_equal(chosen(property="SRT:T-62000"), masks[..., 2])
    assert chosen(label="spleen") is None
    assert chosen(number=7) is None
    with pytest.raises(ImageDefect, match="3 segments"):
        segmentation_mask(dataset, grid, form())


@pytest.mark.parametrize(("stated", "declared"), [("PROBABILITY", "probability"), ("OCCUPANCY", "occupancy")])
def test_fractions_are_held_against_the_threshold(tmp_path, stated, declared):
    images = made.ct_series()
    fractions = np.random.default_rng(3).integers(0, 11, (5, 20, 24)) / 10.0
    segmented = made.segmentation(
        images, fractions, kind="FRACTIONAL", fractional_type=stated, max_fractional_value=10
    )
    found = read(segmented, images, tmp_path, fraction=declared, threshold=0.3)
    assert np.array_equal(found.mask, fractions >= 0.3)
    other = {"probability": "occupancy", "occupancy": "probability"}[declared]
    with pytest.raises(ImageDefect, match=f"fractions of {other}"):
        read(segmented, images, tmp_path, fraction=other, threshold=0.3)
    with pytest.raises(ImageDefect, match="declare its fraction"):
        read(segmented, images, tmp_path)


def test_label_maps(tmp_path):
    images = made.ct_series()
    labels = np.random.default_rng(4).integers(0, 3, (5, 20, 24)).astype(np.uint8)
    segmented = made.segmentation(images, labels, labels=("one", "two"), kind="LABELMAP")
    assert np.array_equal(read(segmented, images, tmp_path, segment=Segment(number=2)).mask, labels == 2)


def test_a_segmentation_that_names_no_image_is_put_by_its_place(tmp_path):
    images = made.ct_series(orientation=OBLIQUE)
    mask = blob((5, 20, 24))
    segmented = made.segmentation(images, mask)
    for group in segmented.PerFrameFunctionalGroupsSequence:
        del group.DerivationImageSequence
    del segmented.ReferencedSeriesSequence
    assert np.array_equal(read(segmented, images, tmp_path).mask, mask)
    segmented.FrameOfReferenceUID = generate_uid()
    with pytest.raises(ImageDefect, match="Frame of Reference"):
        read(segmented, images, tmp_path)


def test_an_image_without_place_is_known_by_its_uid(tmp_path):
    images = made.ct_series(slices=3)
    mask = blob((3, 20, 24))
    segmented = made.segmentation(images, mask)
    for image in images:
        del image.ImagePositionPatient
    assert np.array_equal(read(segmented, [images[1]], tmp_path).mask, mask[1:2])


def test_one_slice_of_a_series_takes_its_own_frame(tmp_path):
    images = made.ct_series()
    mask = blob((5, 20, 24))
    mask[3] = False
    segmented = made.segmentation(images, mask)
    for index in (1, 3):
        found = read(segmented, [images[index]], tmp_path / str(index))
        assert np.array_equal(found.mask, mask[index : index + 1])


def test_another_grid_is_refused_or_resampled_to_the_nearest(tmp_path):
    fine = made.ct_series(slices=6, rows=40, columns=48, spacing=(0.4, 0.35), gap=1.25)
    coarse = made.ct_series(slices=3, origin=(-9.9, -19.95, 30.1))
    for image in coarse:
        image.FrameOfReferenceUID = fine[0].FrameOfReferenceUID
    mask = blob((6, 40, 48))
    segmented = made.segmentation(fine, mask)
    with pytest.raises(ImageDefect, match="another grid"):
        read(segmented, coarse, tmp_path)
    found = read(segmented, coarse, tmp_path, on_mismatch="resample")
    assert found.resampled
    # Brute force: the nearest centre of the fine grid, element by element.
    expected = np.zeros((3, 20, 24), dtype=bool)
    for s in range(3):
        for r in range(20):
            for c in range(24):
                x, y, z = -9.9 + 0.7 * c + 10, -19.95 + 0.8 * r + 20, 30.1 + 2.5 * s - 30
                at = [int(np.floor(v + 0.5)) for v in (z / 1.25, y / 0.4, x / 0.35)]
                if all(0 <= a < n for a, n in zip(at, mask.shape, strict=True)):
                    expected[s, r, c] = mask[tuple(at)]
    assert np.array_equal(found.mask, expected)
    assert 0 < expected.sum() < expected.size


def test_frames_beyond_the_images_are_not_lost_in_silence(tmp_path):
    images = made.ct_series()
    mask = np.ones((5, 20, 24), dtype=bool)
    segmented = made.segmentation(images, mask)
    with pytest.raises(ImageDefect, match="beyond them"):
        read(segmented, images[:3], tmp_path)
    found = read(segmented, images[:3], tmp_path, on_mismatch="resample")
    assert found.mask.shape == (3, 20, 24)
    assert found.mask.all()


def test_frames_that_do_not_say_what_they_show_are_not_taken_for_empty_ones(tmp_path):
    images = made.ct_series()
    segmented = made.segmentation(images, blob((5, 20, 24)))
    shared = segmented.SharedFunctionalGroupsSequence
    for group in (*shared, *segmented.PerFrameFunctionalGroupsSequence):
        group.pop("SegmentIdentificationSequence", None)
    with pytest.raises(ImageDefect, match="which segment"):
        read(segmented, images, tmp_path)
    segmented.DimensionOrganizationType = "TILED_FULL"
    with pytest.raises(ImageDefect, match="whole slide"):
        read(segmented, images, tmp_path)


@pytest.mark.parametrize("cut", [132, 300, 1000])
def test_a_cut_object_is_refused(tmp_path, cut):
    images = made.ct_series()
    content = made.content_of(made.segmentation(images, blob((5, 20, 24))))[:cut]
    grid = read_grid(made.save_all(tmp_path, images))
    with pytest.raises((ImageDefect, AttributeError)):
        segmentation_mask(opened(content), grid, form())


def test_without_a_declared_form_one_binary_segment_of_one_image_is_taken(tmp_path):
    synthetic.generate(tmp_path / "data", patients=10, seed=1)
    image = pydicom.dcmread(next(iter(sorted((tmp_path / "data" / "dicom").rglob("*.dcm")))))
    mask = blob((image.Rows, image.Columns))
    segmented = made.segmentation([image], mask[None], omit_empty_frames=False)
    runs = read_plane(made.content_of(segmented), mask.shape, image.SOPInstanceUID)
    assert np.array_equal(decode(runs), mask)
    with pytest.raises(ImageDefect, match="sources"):
        read_plane(made.content_of(segmented), mask.shape, generate_uid())


def zoo_object(name):
    if not ZOO.is_dir():
        pytest.skip("../shared/data/dicom-zoo is missing")
    return ZOO / name


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("linked/dcmqi-liver/liver.dcm", "linked/dcmqi-liver/0?.dcm"),
        ("linked/dcmqi-liver/partial_overlaps.dcm", "linked/dcmqi-liver/0?.dcm"),
        ("linked/dcmqi-23x38x3/seg_label.seg", "linked/dcmqi-23x38x3/image_*.dcm"),
    ],
)
def test_real_segmentations_are_what_highdicom_reads(name, images):
    path = zoo_object(name)
    paths = sorted(ZOO.glob(images))
    grid = read_grid(paths)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = highdicom.seg.segread(path)
        uids = [uid for uid, _ in grid.instances]
        for number in oracle.segment_numbers:
            # The frames of these objects reference their images, or lie in their planes.
            found = segmentation_mask(
                opened(path.read_bytes()), grid, form(segment=Segment(number=int(number)))
            )
            volume = oracle.get_volume(segment_numbers=[number], combine_segments=False)
            expected = np.zeros_like(found.mask)
            for index, position in enumerate(grid.positions):
                at = np.rint(volume.map_reference_to_indices(np.array([position])))[0].astype(int)
                if 0 <= at[0] < volume.array.shape[0]:
                    expected[index] = volume.array[at[0], ..., 0] > 0
            assert len(uids) == len(paths)
            assert found.mask.sum() > 0
            assert np.array_equal(found.mask, expected)


@pytest.mark.parametrize(
    "name", ["282_liver_deflate", "283_liver_expb", "284_liver_j2k", "286_liver_nonbyte_aligned_rle"]
)
def test_every_transfer_syntax_of_one_real_segmentation_is_the_same_mask(name):
    path = zoo_object(f"SEG/{name}.dcm")
    images = ZOO / "linked/dcmqi-liver"
    grid = read_grid(sorted(images.glob("0?.dcm")))
    # Some were cut to 510 x 510 elements by their publisher: a part of the images' grid.
    chosen = form(segment=Segment(number=1))
    found = segmentation_mask(opened(path.read_bytes()), grid, chosen)
    whole = segmentation_mask(opened((images / "liver.dcm").read_bytes()), grid, chosen)
    assert whole.mask.sum() == 107_098
    assert np.array_equal(found.mask, whole.mask)


def test_real_objects_of_every_kind_are_read_or_refused(tmp_path):
    zoo_object("SEG")
    images = made.ct_series()
    grid = read_grid(made.save_all(tmp_path, images))
    outcomes = {}
    for path in sorted((ZOO / "SEG").glob("*.dcm")):
        try:
            found = segmentation_mask(opened(path.read_bytes()), grid, form(segment=Segment(number=1)))
            outcomes[path.name] = "absent" if found is None else "read"
        except ImageDefect as defect:
            outcomes[path.name] = str(defect)
    # None of them is about these images: nothing may be taken for truth.
    assert "read" not in outcomes.values()
    assert len(outcomes) > 10
