"""Lesions in a volume as truth: tables as LUNA16's, objects of masks, points of reports; and what is refused."""

import json
import re

import nibabel
import numpy as np
import pytest

from holdout import ingest
from holdout.errors import MaskError, ReferenceStandardError
from holdout.image_grid import read_grid
from holdout.image_reading import ImageDefect
from holdout.index import read_index
from holdout.mask_lesions import mask_lesions
from holdout.object_reading import opened
from holdout.reference import load
from holdout.reference_forms import ReportForm
from holdout.reference_reports import reported_places
from holdout.volume_lesions import VolumeLesions, volume_lesions
from tests.holdout import truth_objects as made
from tests.holdout.test_reference_objects import declare, index_of, uid
from tests.holdout.test_reference_reports import NODULE, planar, region, report, sr

TABLE = "table: t.csv\nkey: {series_instance_uid: seriesuid}\n"
SPHERES = "nodule: {lesions: spheres, columns: [coordX, coordY, coordZ, diameter_mm]}"
OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def scans(tmp_path):
    """Three patients with a series of 5 slices each; x from -10, y from -20, z from 30 to 40 mm."""
    series = [made.ct_series(name, seed=number) for number, name in enumerate(("P1", "P2", "P3"))]
    for images in series:
        made.save_all(tmp_path / "data" / images[0].PatientID, images)
    return tmp_path, series


def table(folder, *rows, header="seriesuid,coordX,coordY,coordZ,diameter_mm"):
    (folder / "t.csv").write_text("\n".join([header, *rows]) + "\n")


def read(folder, label=SPHERES, *, prefix=TABLE, unit="series"):
    path = declare(folder, label, table=prefix)
    return load(path, index_of(folder), unit=unit, source=folder / "data")


def lesions(standard, images, label="nodule"):
    return volume_lesions(standard.by_case[uid(images)].labels[label]).lesions


def test_a_table_has_a_row_for_each_lesion(scans):
    folder, (one, two, three) = scans
    rows = [f"{uid(one)},-3.5,-10,34,6", f"{uid(one)},2,-12.25,36,4.5", f"{uid(one)},2,-12.25,36,4.5"]
    table(folder, *rows, f"{uid(two)},none,,,", f"{uid(three)},,,,")
    found = read(folder)
    found.check()
    assert lesions(found, one) == ((-3.5, -10.0, 34.0, 6.0), (2.0, -12.25, 36.0, 4.5))
    assert lesions(found, two) == ()
    assert found.by_case[uid(three)].labels["nodule"] is None
    assert found.notes == ()


def test_a_table_of_findings_alone_says_what_silence_means(scans):
    folder, (one, two, three) = scans
    table(folder, f"{uid(one)},-3.5,-10,34,6", f"{uid(three)},,,,")
    found = read(folder, SPHERES.replace("}", ", absent: negative}"))
    assert lesions(found, one)
    assert lesions(found, two) == ()
    # A row without numbers speaks of its case, and says that nothing is known.
    assert found.by_case[uid(three)].labels["nodule"] is None
    assert found.by_case[uid(two)].method == "consensus"
    assert found.notes == ("nodule: 1 of 3 cases are negative because no row is about them",)


@pytest.mark.parametrize(
    ("label", "header", "row", "kept"),
    [
        ("points, columns: [x, y, z]", "x,y,z", "1,-9,33", (1, -9, 33)),
        ("boxes, columns: [a, b, c, d, e, f]", "a,b,c,d,e,f", "-1,-9,33,2,-8,35", (-1, -9, 33, 2, -8, 35)),
    ],
)
def test_points_and_boxes_are_lesions_too(scans, label, header, row, kept):
    folder, (one, *_) = scans
    table(folder, f"{uid(one)},{row}", header=f"seriesuid,{header}")
    found = read(folder, f"nodule: {{lesions: {label}}}")
    assert lesions(found, one) == (kept,)


@pytest.mark.parametrize(
    "cells",
    ["1,2,3", "1,2,three,4", "1,2,3,0.1", "1,2,3,nan", "1,2,inf,4", "1,2,1e6,4", "none,2,,", "1,2,3,-4"],
)
def test_what_is_no_lesion_is_named_with_its_line(scans, cells):
    folder, (one, *_) = scans
    cells += "," * (3 - cells.count(","))
    table(folder, f"{uid(one)},none,,,", f"{uid(one)},{cells}")
    with pytest.raises(ReferenceStandardError, match=r"line 3: coordX, .* is not the 4 numbers"):
        read(folder)


@pytest.mark.parametrize(
    ("row", "beyond"),
    [
        # The first element's centre is at x -10, y -20, z 30; the last one's at 6.1, -4.8, 40.
        ("-10,-20,30,4", False),
        ("6.1,-4.8,40,4", False),
        ("8,-3,41,4", False),
        ("10,20,34,4", True),
        ("-13,-10,34,4", True),
        ("0,-10,44,4", True),
        ("12,10,2,4", True),
    ],
)
def test_lesions_that_do_not_touch_their_images_are_refused(scans, row, beyond):
    folder, (one, *_) = scans
    table(folder, f"{uid(one)},{row}")
    if not beyond:
        assert len(lesions(read(folder), one)) == 1
        return
    with pytest.raises(ReferenceStandardError, match="1 of 1 lesions of nodule lie beyond the images"):
        read(folder)


def test_single_slices_are_no_volume(scans):
    folder, (one, *_) = scans
    table(folder, f"{uid(one)},0,-10,34,4")
    with pytest.raises(ReferenceStandardError, match="lock with --unit series"):
        read(folder, unit="image")


def test_images_without_a_place_take_no_lesions_in_mm(scans):
    folder, (one, *_) = scans
    for image in one:
        del image.ImagePositionPatient
    made.save_all(folder / "data" / "P1", one)
    table(folder, f"{uid(one)},0,-10,34,4")
    with pytest.raises(ReferenceStandardError, match="no common place in the patient"):
        read(folder)
    # Nothing is asked of images that have nothing to place.
    table(folder, f"{uid(one)},none,,,")
    with pytest.raises(ReferenceStandardError, match="no common place in the patient"):
        read(folder)


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("{lesions: spheres, columns: [coordX, coordY, coordZ]}", "need 4 columns"),
        ("{lesions: spheres}", "need 4 columns"),
        ("{lesions: cubes, columns: [coordX]}", "lesions"),
        ("{lesions: points, column: coordX}", "have columns"),
        ("{column: coordX, columns: [coordY]}", "belong to lesions"),
        ("{column: coordX, absent: negative}", "belong to lesions"),
        ("{lesions: points, boxes: true, columns: [coordX, coordY, coordZ]}", "give one of these"),
        ("{lesions: spheres, read: {form: report}}", "declare lesions: points"),
        ("{lesions: points, read: {form: presentation_state}}", "declare mask: true or boxes: true"),
        ("{lesions: points, read: {form: key_objects, title: 'DCM:1'}}", "no kind of label"),
        ("{lesions: points, columns: [coordX], read: {form: segmentation}}", "columns are for a table"),
    ],
)
def test_declarations_that_cannot_be_meant(tmp_path, label, why):
    table(tmp_path)
    with pytest.raises(ReferenceStandardError, match=why):
        load(declare(tmp_path, f"x: {label}", table=TABLE), None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"boxes":[]}',
        '{"lesions":[[1,2,3]],"kind":"spheres"}',
        '{"lesions":[],"kind":"cubes"}',
        '{"lesions":[]}',
    ],
)
def test_a_label_that_holds_no_lesions(text):
    with pytest.raises(MaskError):
        volume_lesions(text)


def test_the_text_is_the_same_whatever_the_order():
    some = VolumeLesions(kind="points", lesions=((1.0, 2.0, 3.0), (0.0, 5.0, 6.0)))
    other = VolumeLesions(kind="points", lesions=some.lesions[::-1])
    assert some.text == other.text
    assert json.loads(some.text) == {"lesions": [[0, 5, 6], [1, 2, 3]], "kind": "points"}


def two_objects():
    """A mask with a block of 2 x 4 x 3 elements, and one of a single element that touches no other."""
    mask = np.zeros((5, 20, 24), dtype=bool)
    mask[1:3, 5:9, 10:13] = True
    mask[4, 18, 2] = True
    return mask


@pytest.mark.parametrize("orientation", [made.AXIAL, OBLIQUE])
def test_separate_objects_of_a_mask_are_lesions(tmp_path, orientation):
    images = made.ct_series(orientation=orientation)
    grid = read_grid(made.save_all(tmp_path, images))
    mask = two_objects()
    # Independent of the grid: PS3.3 C.7.6.2.1.1, element by element, from the attributes of the slices.
    along, down = np.reshape(orientation, (2, 3))
    places = {
        number: np.array([
            np.array(images[s].ImagePositionPatient, dtype=float) + c * 0.7 * along + r * 0.8 * down
            for s, r, c in np.argwhere(mask)
            if (s == 4) == (number == 1)
        ])
        for number in (0, 1)
    }  # fmt: skip
    for number, (point, sphere, box) in enumerate(
        zip(*(mask_lesions(mask, grid, kind).lesions for kind in ("points", "spheres", "boxes")), strict=True)
    ):
        own = places[number]
        assert point == pytest.approx(own.mean(axis=0), abs=1e-3)
        assert sphere[:3] == point
        assert np.pi / 6 * sphere[3] ** 3 == pytest.approx(len(own) * 0.7 * 0.8 * 2.5, rel=1e-2)
        corners = [
            place + x * 0.35 * along + y * 0.4 * down + z * 1.25 * np.cross(along, down)
            for place in own for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)
        ]  # fmt: skip
        assert box == pytest.approx([*np.min(corners, axis=0), *np.max(corners, axis=0)], abs=1e-3)


def test_objects_of_a_mask_of_uneven_slices_have_no_size(tmp_path):
    images = made.ct_series()
    images[3].ImagePositionPatient[2] = 38.9
    grid = read_grid(made.save_all(tmp_path, images))
    with pytest.raises(ImageDefect, match="do not lie evenly"):
        mask_lesions(two_objects(), grid, "points")


def test_segmentations_structure_sets_and_volumes_give_lesions(scans):
    folder, (one, two, three) = scans
    mask = two_objects()
    square = [(10, 5), (13, 5), (13, 9), (10, 9)]
    contours = [("CLOSED_PLANAR", made.in_patient(two[slice_], square)) for slice_ in (1, 2)]
    spots = [("POINT", made.in_patient(two[slice_], [(10.5, 5.5)])) for slice_ in (1, 3)]
    made.save_all(
        folder / "data" / "objects",
        [
            made.segmentation(one, mask.astype(np.uint8)),
            made.structure_set(two, {"node": contours, "spots": spots}),
        ],
    )
    affine = np.diag([-0.7, -0.8, 2.5, 1.0])
    affine[:3, 3] = 10.0, 20.0, 30.0
    nibabel.save(nibabel.Nifti1Image(mask.T.astype(np.uint8), affine), folder / "three.nii.gz")
    table(folder, f"{uid(three)},three.nii.gz", header="seriesuid,file")
    found = read(
        folder,
        "a: {lesions: boxes, read: {form: segmentation, absent: negative}}\n"
        "  b: {lesions: boxes, read: {form: structure_set, roi: {name: node}}}\n"
        "  c: {lesions: points, read: {form: structure_set, roi: {name: spots}}}\n"
        "  d: {lesions: boxes, column: file, read: {form: nifti}}",
    )
    block = (-3.35, -16.4, 31.25, -1.25, -13.2, 36.25)
    assert lesions(found, one, "a")[1] == pytest.approx(block)
    assert len(lesions(found, one, "a")) == 2
    assert lesions(found, two, "a") == lesions(found, three, "a") == ()
    assert lesions(found, two, "b") == (pytest.approx(block),)
    assert lesions(found, two, "c") == (pytest.approx((-3, -16, 32.5)), pytest.approx((-3, -16, 37.5)))
    assert lesions(found, three, "d") == lesions(found, one, "a")
    assert found.by_case[uid(one)].labels["b"] is None


def test_lesions_of_a_mask_on_another_grid_say_that_it_was_resampled(scans):
    folder, (one, *_) = scans
    affine = np.diag([-1.4, -1.6, 2.5, 1.0])
    affine[:3, 3] = 10.0, 20.0, 30.0
    block = np.zeros((12, 10, 5), dtype=np.uint8)
    block[3:6, 2:5, 1:3] = 1
    nibabel.save(nibabel.Nifti1Image(block, affine), folder / "one.nii.gz")
    table(folder, f"{uid(one)},one.nii.gz", header="seriesuid,file")
    with pytest.raises(ReferenceStandardError, match="another grid"):
        read(folder, "nodule: {lesions: points, column: file, read: {form: nifti}}")
    found = read(
        folder, "nodule: {lesions: points, column: file, read: {form: nifti, on_mismatch: resample}}"
    )
    # The middle of the coarse block, in LPS; the grid of the images is half as wide.
    assert lesions(found, one)[0] == pytest.approx((-10 + 4 * 1.4, -20 + 3 * 1.6, 33.75), abs=0.5)
    assert found.by_case[uid(one)].resampled
    assert "was resampled" in found.notes[0]


def test_groups_of_a_report_are_points_in_the_patient(tmp_path):
    images = made.ct_series()
    grid = read_grid(made.save_all(tmp_path, images))
    oval = [(5.0, 6.0), (9.0, 6.0), (7.0, 5.0), (7.0, 7.0)]
    in_space = sr.ImageRegion3D(
        graphic_type=sr.GraphicTypeValues3D.POINT,
        graphic_data=np.array([[1.0, -9.0, 33.0]]),
        frame_of_reference_uid=images[0].FrameOfReferenceUID,
    )
    written = report(
        images,
        [planar(region(images[2], sr.GraphicTypeValues.ELLIPSE, oval), NODULE), planar(in_space, NODULE)],
    )
    dataset = opened(made.content_of(written))
    found = reported_places(dataset, grid, ReportForm(form="report"))
    ellipse = made.in_patient(images[2], [(7.0, 6.0)])[0]
    assert found.lesions == (pytest.approx(ellipse, abs=1e-3), (1.0, -9.0, 33.0))
    nothing = reported_places(dataset, grid, ReportForm(form="report", finding="SCT:441457006"))
    assert nothing is None


def test_a_report_about_another_frame_of_reference_is_refused(tmp_path):
    images = made.ct_series()
    grid = read_grid(made.save_all(tmp_path, images))
    in_space = sr.ImageRegion3D(
        graphic_type=sr.GraphicTypeValues3D.POINT,
        graphic_data=np.array([[1.0, -9.0, 33.0]]),
        frame_of_reference_uid="1.2.3.4",
    )
    dataset = opened(made.content_of(report(images, [planar(in_space, NODULE)])))
    with pytest.raises(ImageDefect, match="another Frame of Reference"):
        reported_places(dataset, grid, ReportForm(form="report"))


def test_files_that_are_no_images_are_no_negative_cases(scans):
    folder, (one, two, three) = scans
    made.save_all(folder / "data" / "other", [made.structure_set(two, {"node": []})])
    table(folder, f"{uid(one)},0,-10,34,4")
    found = read(folder, SPHERES.replace("}", ", absent: negative}"))
    named = {case for case, truth in found.by_case.items() if truth.labels["nodule"] is not None}
    assert named == {uid(one), uid(two), uid(three)}
    assert re.match("nodule: 2 of 3 cases", found.notes[0])


def test_ingest_alone_reads_no_header_twice(scans):
    folder, (one, *_) = scans
    table(folder, f"{uid(one)},900,900,900,4")
    path = declare(folder, SPHERES, table=TABLE)
    ingest.ingest(folder / "data", folder / "index.parquet")
    # The table is checked at the ingest, its places at the lock.
    found = load(path, read_index(folder / "index.parquet"), unit="series")
    assert lesions(found, one) == ((900, 900, 900, 4),)
