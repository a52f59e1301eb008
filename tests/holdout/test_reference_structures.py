"""RT Structure Sets: contours drawn on made series, and a real set on its image."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from matplotlib.path import Path as Polygon

from holdout.image_grid import read_grid
from holdout.image_reading import ImageDefect
from holdout.object_reading import opened
from holdout.reference_forms import Roi, StructureSetForm
from holdout.reference_structures import structure_mask, structure_points
from tests.holdout import truth_objects as made

ZOO = Path(__file__).parents[3] / "shared/data/dicom-zoo"
OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)
OUTER = [(2, 3), (17, 3), (17, 15), (2, 15)]
INNER = [(6, 6), (10, 6), (10, 12), (6, 12)]


def form(**parts):
    return StructureSetForm(form="structure_set", **{"roi": Roi(name="lesion"), **parts})


def square(rows, columns, shape=(20, 24)):
    mask = np.zeros(shape, dtype=bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def read(images, contours, folder, reader=structure_mask, **parts):
    grid = read_grid(made.save_all(folder / "images", images))
    regions = contours if isinstance(contours, dict) else {"other": [], "lesion": contours}
    return reader(opened(made.content_of(made.structure_set(images, regions))), grid, form(**parts))


@pytest.mark.parametrize("orientation", [made.AXIAL, OBLIQUE])
def test_contours_come_to_their_slices_with_their_holes(tmp_path, orientation):
    images = made.ct_series(orientation=orientation)
    contours = [
        ("CLOSED_PLANAR", made.in_patient(images[1], OUTER)),
        ("CLOSED_PLANAR", made.in_patient(images[1], INNER)),
        ("CLOSED_PLANAR", made.in_patient(images[4], OUTER)),
    ]
    found = read(images, contours, tmp_path)
    expected = np.zeros((5, 20, 24), dtype=bool)
    expected[1] = square((3, 15), (2, 17)) & ~square((6, 12), (6, 10))
    expected[4] = square((3, 15), (2, 17))
    assert np.array_equal(found.mask, expected)
    assert not found.resampled
    expected[1] = square((3, 15), (2, 17))
    assert np.array_equal(read(images, contours, tmp_path, inner="union").mask, expected)


def test_contours_of_the_exclusive_type_make_holes_always(tmp_path):
    images = made.ct_series()
    contours = [("CLOSEDPLANAR_XOR", made.in_patient(images[0], each)) for each in (OUTER, INNER)]
    found = read(images, contours, tmp_path, inner="union")
    assert np.array_equal(found.mask[0], square((3, 15), (2, 17)) & ~square((6, 12), (6, 10)))


def test_random_contours_are_what_matplotlib_fills(tmp_path):
    images = made.ct_series(orientation=OBLIQUE)
    centres = np.array([(c + 0.5, r + 0.5) for r in range(20) for c in range(24)])
    random = np.random.default_rng(5)
    contours, expected = [], []
    for image in images:
        angles = np.sort(random.uniform(0, 2 * np.pi, 40))
        drawn = (12, 10) + np.column_stack((np.cos(angles), np.sin(angles))) * random.uniform(3, 9, (40, 1))
        contours.append(("CLOSED_PLANAR", made.in_patient(image, drawn)))
        expected.append(Polygon(drawn).contains_points(centres).reshape(20, 24))
    assert np.array_equal(read(images, contours, tmp_path).mask, np.stack(expected))


def test_regions_are_chosen_by_name_or_number(tmp_path):
    images = made.ct_series()
    regions = {
        "liver": [("CLOSED_PLANAR", made.in_patient(images[0], INNER))],
        "lesion": [("CLOSED_PLANAR", made.in_patient(images[0], OUTER))],
    }
    assert read(images, regions, tmp_path, roi=Roi(number=1)).mask.sum() == 24
    assert read(images, regions, tmp_path, roi=Roi(name="lesion")).mask.sum() == 180
    assert read(images, regions, tmp_path, roi=Roi(name="spleen")) is None
    assert read(images, {"lesion": []}, tmp_path).mask.sum() == 0


def test_contours_between_slices_are_refused_or_go_to_the_nearest(tmp_path):
    images = made.ct_series(slices=6, gap=2.0)
    # Planes of contours every 4 mm, off by 0.5 mm: each reaches the slices within 2 mm of it.
    contours = [
        ("CLOSED_PLANAR", made.in_patient(images[0], corners) + np.array([0, 0, height]))
        for height, corners in ((0.5, OUTER), (4.5, INNER))
    ]
    with pytest.raises(ImageDefect, match="between the images"):
        read(images, contours, tmp_path)
    found = read(images, contours, tmp_path, on_mismatch="resample")
    assert found.resampled
    assert found.mask.sum(axis=(1, 2)).tolist() == [180, 180, 24, 24, 0, 0]


def test_contours_across_the_slices_are_refused_always(tmp_path):
    images = made.ct_series()
    upright = np.array([(0.0, -15.0, 30.0), (0.0, -10.0, 30.0), (0.0, -10.0, 40.0), (0.0, -15.0, 40.0)])
    with pytest.raises(ImageDefect, match="in the plane"):
        read(images, [("CLOSED_PLANAR", upright)], tmp_path, on_mismatch="resample")


def test_points_enclose_nothing_and_are_findings_on_their_slice(tmp_path):
    images = made.ct_series()
    contours = [
        ("POINT", made.in_patient(images[2], [(7.5, 9.25)])),
        ("POINT", made.in_patient(images[3], [(1.5, 1.5)])),
        ("CLOSED_PLANAR", made.in_patient(images[2], OUTER)),
    ]
    with pytest.raises(ImageDefect, match="boxes: true"):
        read(images, contours, tmp_path)
    with pytest.raises(ImageDefect, match="--unit image"):
        read(images, contours, tmp_path, structure_points)
    grid = read_grid(made.save_all(tmp_path, images[2:3]))
    dataset = opened(made.content_of(made.structure_set(images, {"lesion": contours})))
    boxes = structure_points(dataset, grid, form())
    assert np.allclose(boxes, [(7, 8.75, 8, 9.75), (2, 3, 17, 15)], atol=1e-3)


def test_another_frame_of_reference_is_refused(tmp_path):
    images = made.ct_series()
    others = made.ct_series("P2", seed=1)
    grid = read_grid(made.save_all(tmp_path, others))
    contours = [("CLOSED_PLANAR", made.in_patient(images[0], OUTER))]
    dataset = opened(made.content_of(made.structure_set(images, {"lesion": contours})))
    with pytest.raises(ImageDefect, match="Frame of Reference"):
        structure_mask(dataset, grid, form())


def test_a_real_structure_set_on_its_image():
    folder = ZOO / "linked/dicompyler"
    if not folder.is_dir():
        pytest.skip("../shared/data/dicom-zoo is missing")
    grid = read_grid([folder / "ct.0.dcm"])
    dataset = opened((folder / "rtss.dcm").read_bytes())
    image = pydicom.dcmread(folder / "ct.0.dcm")
    x, y, z = map(float, image.ImagePositionPatient)
    down, right = map(float, image.PixelSpacing)
    names = {item.ROINumber: item.ROIName for item in dataset.StructureSetROISequence}
    centres = np.array([(c, r) for r in range(image.Rows) for c in range(image.Columns)])
    compared = 0
    for region in dataset.ROIContourSequence:
        kinds = {each.ContourGeometricType for each in region.get("ContourSequence", [])}
        chosen = form(roi=Roi(number=int(region.ReferencedROINumber)))
        if kinds != {"CLOSED_PLANAR"}:
            if kinds:
                with pytest.raises(ImageDefect):
                    structure_mask(dataset, grid, chosen)
            continue
        found = structure_mask(dataset, grid, chosen)
        expected = np.zeros((image.Rows, image.Columns), dtype=bool)
        for each in region.ContourSequence:
            points = np.reshape([float(v) for v in each.ContourData], (-1, 3))
            if abs(points[0, 2] - z) < 0.01:
                pixels = (points[:, :2] - (x, y)) / (right, down)
                expected ^= Polygon(pixels).contains_points(centres).reshape(expected.shape)
        if expected.any():
            compared += 1
            # Corners in tenths of a pixel hit centres: the border itself may count on either side.
            assert (found.mask[0] ^ expected).sum() <= 0.02 * expected.sum(), names[
                region.ReferencedROINumber
            ]
    assert compared == 1
