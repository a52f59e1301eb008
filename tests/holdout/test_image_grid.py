"""Grids of images: slices in the order in which a container gets them, and their places."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from holdout.image_grid import read_grid
from holdout.image_reading import ImageDefect
from holdout.object_reading import opened
from holdout.reference_forms import SegmentationForm
from holdout.reference_segmentation import segmentation_mask
from tests.holdout import truth_objects as made

ZOO = Path(__file__).parents[3] / "shared/data/dicom-zoo/linked/dcmqi-23x38x3"
OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)


@pytest.mark.parametrize("orientation", [made.AXIAL, OBLIQUE])
def test_slices_lie_along_the_normal_with_their_spacing(tmp_path, orientation):
    images = made.ct_series(orientation=orientation, numbers=[3, 1, 5, 2, 4])
    grid = read_grid(made.save_all(tmp_path, [images[i] for i in (2, 0, 4, 1, 3)]))
    assert [uid for uid, _ in grid.instances] == [image.SOPInstanceUID for image in images]
    assert grid.shape == (5, 20, 24)
    assert grid.element_spacing == pytest.approx((2.5, 0.8, 0.7))
    point = made.in_patient(images[3], [(7.25, 9.5)])
    assert np.allclose(grid.in_plane(point, 3), [(6.75, 9.0, 0.0)])
    assert np.allclose(grid.in_plane(point, 1)[0, 2], 5.0)


def test_a_missing_slice_leaves_no_distance_between_slices(tmp_path):
    images = made.ct_series()
    grid = read_grid(made.save_all(tmp_path, [images[i] for i in (0, 1, 2, 4)]))
    assert grid.placed
    assert grid.element_spacing is None


def test_slices_in_one_place_have_no_place_in_common(tmp_path):
    images = made.ct_series()
    images[2].ImagePositionPatient = images[1].ImagePositionPatient
    assert not read_grid(made.save_all(tmp_path, images)).placed


def test_images_that_are_no_single_image_are_refused(tmp_path):
    images = made.ct_series()
    images[1].Rows = 10
    images[1].PixelData = images[1].PixelData[:480]
    with pytest.raises(ImageDefect, match="differ in size"):
        read_grid(made.save_all(tmp_path / "sizes", images))
    with pytest.raises(ImageDefect, match="several series"):
        read_grid(made.save_all(tmp_path / "series", [*made.ct_series(), *made.ct_series("P2", seed=1)]))
    (tmp_path / "text.dcm").write_bytes(b"no image at all")
    with pytest.raises(ImageDefect, match="cannot be read"):
        read_grid([tmp_path / "text.dcm"])


def test_frames_keep_the_order_of_their_image(tmp_path):
    if not ZOO.is_dir():
        pytest.skip("../shared/data/dicom-zoo is missing")
    series = read_grid(sorted(ZOO.glob("image_*.dcm")))
    enhanced = pydicom.dcmread(ZOO / "multiframe_mf.dcm")
    frames = enhanced.PerFrameFunctionalGroupsSequence
    places = [float(each.PlanePositionSequence[0].ImagePositionPatient[2]) for each in frames]
    grid = read_grid([ZOO / "multiframe_mf.dcm"])
    assert [position[2] for position in grid.positions] == places
    segmented = opened((ZOO / "seg_label.seg").read_bytes())
    form = SegmentationForm(form="segmentation")
    by_file = segmentation_mask(segmented, series, form).mask
    by_frame = segmentation_mask(segmented, grid, form).mask
    order = np.argsort(places)
    assert np.array_equal(by_file, by_frame[order])
    turned = enhanced.PerFrameFunctionalGroupsSequence
    enhanced.PerFrameFunctionalGroupsSequence = list(turned)[::-1]
    enhanced.save_as(tmp_path / "turned.dcm")
    downwards = read_grid([tmp_path / "turned.dcm"])
    assert downwards.element_spacing == pytest.approx(grid.element_spacing)
    assert np.array_equal(segmentation_mask(segmented, downwards, form).mask, by_frame[::-1])
