"""DICOM Segmentation as truth: objects that highdicom writes, and real ones."""

import io
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom.sr.coding import CodedConcept
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from holdout import synthetic
from holdout.image_reading import ImageDefect
from holdout.mask_runs import decode
from holdout.reference_masks import read_plane
from holdout.reference_segmentation import segment_plane

ZOO = Path(__file__).parents[3] / "shared/data/dicom-zoo/SEG"
TISSUE = CodedConcept("85756007", "SCT", "Tissue")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image")
    synthetic.generate(folder / "data", patients=10, seed=1)
    return pydicom.dcmread(next(iter(sorted((folder / "data" / "dicom").rglob("*.dcm")))))


def segmentation(image, mask, *, segments=1, kind="BINARY"):
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number + 1,
            segment_label=f"lesion {number}",
            segmented_property_category=TISSUE,
            segmented_property_type=TISSUE,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number in range(segments)
    ]
    found = highdicom.seg.Segmentation(
        source_images=[image],
        pixel_array=mask,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="test",
        manufacturer_model_name="test",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=False,
    )
    stream = io.BytesIO()
    found.save_as(stream)
    return stream.getvalue()


@pytest.fixture(scope="module")
def mask(image):
    drawn = np.zeros((image.Rows, image.Columns), dtype=bool)
    drawn[10:30, 5:50] = True
    drawn[15:18, 8:12] = False
    return drawn


def test_a_segment_comes_back_on_the_grid_of_its_image(image, mask):
    content = segmentation(image, mask)
    assert np.array_equal(segment_plane(content, image.SOPInstanceUID), mask)
    runs = read_plane(content, mask.shape, image.SOPInstanceUID)
    assert np.array_equal(decode(runs), mask)


def test_a_segmentation_of_another_image_is_refused(image, mask):
    with pytest.raises(ImageDefect, match="as a source"):
        segment_plane(segmentation(image, mask), generate_uid())


def test_several_segments_and_fractions_are_refused(image, mask):
    both = np.stack((mask, ~mask), axis=-1)[None]
    with pytest.raises(ImageDefect, match="2 segments"):
        segment_plane(segmentation(image, both, segments=2), image.SOPInstanceUID)
    with pytest.raises(ImageDefect, match="fractional"):
        segment_plane(segmentation(image, mask * 0.5, kind="FRACTIONAL"), image.SOPInstanceUID)


@pytest.mark.parametrize("cut", [132, 300, 1000])
def test_a_cut_object_is_refused(image, mask, cut):
    with pytest.raises(ImageDefect):
        segment_plane(segmentation(image, mask)[:cut], image.SOPInstanceUID)


def test_an_image_is_no_segmentation(image):
    stream = io.BytesIO()
    image.save_as(stream)
    with pytest.raises(ImageDefect, match="not a DICOM Segmentation"):
        segment_plane(stream.getvalue(), image.SOPInstanceUID)


def test_real_objects_are_read_or_refused():
    if not ZOO.is_dir():
        pytest.skip("../shared/data/dicom-zoo is missing")
    read, refused = [], []
    for path in sorted(ZOO.glob("*.dcm")):
        content = path.read_bytes()
        names = pydicom.dcmread(path).get("ReferencedSeriesSequence", [])
        uids = [
            item.ReferencedSOPInstanceUID
            for each in names
            for item in each.get("ReferencedInstanceSequence", [])
        ]
        try:
            plane = segment_plane(content, uids[0] if uids else "1.2.3")
        except ImageDefect:
            refused.append(path.name)
            continue
        assert plane.ndim == 2
        assert set(np.unique(plane)) <= {0, 1}
        read.append(path.name)
    assert "267_seg_image_cr_binary.dcm" in read
    assert "269_seg_image_ct_binary_overlap.dcm" in refused
    assert "271_seg_image_ct_true_fractional.dcm" in refused
