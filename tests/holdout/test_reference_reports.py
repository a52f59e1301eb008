"""Structured reports: TID 1500 as highdicom writes it, the same content without its template, and real reports."""

import warnings
from pathlib import Path

import highdicom
import numpy as np
import pytest
from highdicom import sr
from highdicom.sr.coding import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from holdout.image_grid import read_grid, read_instances
from holdout.image_reading import ImageDefect
from holdout.object_reading import opened
from holdout.reference_forms import ReportForm
from holdout.reference_reports import reported
from tests.holdout import truth_objects as made

ZOO = Path(__file__).parents[3] / "shared/data/dicom-zoo"
NODULE = CodedConcept("27925004", "SCT", "Nodule")
CYST = CodedConcept("441457006", "SCT", "Cyst")
GRADE = CodedConcept("GRADE", "99LOCAL", "Grade")
LONG_AXIS = CodedConcept("103339001", "SCT", "Long axis")
VOLUME = CodedConcept("118565006", "SCT", "Volume")
MILLIMETRE = CodedConcept("mm", "UCUM", "mm")
BOX = [(3.0, 4.0), (9.5, 4.0), (9.5, 11.0), (3.0, 11.0), (3.0, 4.0)]


def form(**parts):
    return ReportForm(form="report", **parts)


def region(image, kind, points):
    return sr.ImageRegion(
        graphic_type=kind,
        graphic_data=np.array(points, dtype=float),
        source_image=sr.SourceImageForRegion(
            referenced_sop_class_uid=image.SOPClassUID, referenced_sop_instance_uid=image.SOPInstanceUID
        ),
    )


def planar(area, finding=NODULE, *, length=None, grade=None):
    measurements = [sr.Measurement(name=LONG_AXIS, value=length, unit=MILLIMETRE)] if length else []
    evaluations = (
        [sr.QualitativeEvaluation(name=GRADE, value=CodedConcept(grade, "99LOCAL", grade))] if grade else []
    )
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=generate_uid(), identifier="lesion"),
        referenced_region=area,
        finding_type=finding,
        measurements=measurements,
        qualitative_evaluations=evaluations,
    )


def report(images, groups):
    observer = sr.ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(name="Reader^One"),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_person_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
    )
    return sr.Comprehensive3DSR(
        evidence=images,
        content=content[0],
        series_number=1,
        series_instance_uid=generate_uid(),
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="test",
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    found = made.ct_series()
    return found, made.save_all(tmp_path_factory.mktemp("images"), found)


def test_regions_are_findings_of_their_own_image(images):
    found, paths = images
    oval = [(5.0, 6.0), (9.0, 6.0), (7.0, 5.0), (7.0, 7.0)]
    dataset = report(
        found,
        [
            planar(region(found[1], sr.GraphicTypeValues.POLYLINE, BOX)),
            planar(region(found[1], sr.GraphicTypeValues.CIRCLE, [(15.0, 10.0), (15.0, 7.0)]), CYST),
            planar(region(found[2], sr.GraphicTypeValues.POINT, [(4.5, 5.25)])),
            planar(region(found[2], sr.GraphicTypeValues.ELLIPSE, oval)),
        ],
    )
    dataset = opened(made.content_of(dataset))
    grids = [read_grid([path]) for path in paths]
    box, circle, point = (3, 4, 9.5, 11), (12, 7, 18, 13), (4, 4.75, 5, 5.75)
    assert np.allclose(reported(dataset, grids[1], form()), [box, circle])
    assert reported(dataset, grids[1], form(finding="SCT:27925004")) == (box,)
    assert np.allclose(reported(dataset, grids[2], form()), [point, (5, 5, 9, 7)])
    assert reported(dataset, grids[3], form()) is None
    with pytest.raises(ImageDefect, match="--unit image"):
        reported(dataset, read_grid(paths), form())


def test_regions_in_the_patient_come_to_the_slice_that_they_lie_in(images):
    found, paths = images
    polygon = made.in_patient(found[3], BOX)
    area = sr.ImageRegion3D(
        graphic_type=sr.GraphicTypeValues3D.POLYGON,
        graphic_data=polygon,
        frame_of_reference_uid=found[0].FrameOfReferenceUID,
    )
    dataset = opened(made.content_of(report(found, [planar(area)])))
    assert np.allclose(reported(dataset, read_grid([paths[3]]), form()), [(3, 4, 9.5, 11)], atol=1e-3)
    assert reported(dataset, read_grid([paths[2]]), form()) is None
    area.ReferencedFrameOfReferenceUID = generate_uid()
    dataset = opened(made.content_of(report(found, [planar(area)])))
    with pytest.raises(ImageDefect, match="Frame of Reference"):
        reported(dataset, read_grid([paths[3]]), form())


def test_numbers_need_their_unit_and_answers_their_name(images):
    found, paths = images
    groups = [
        planar(region(found[1], sr.GraphicTypeValues.POLYLINE, BOX), length=12.5, grade="G2"),
        planar(region(found[1], sr.GraphicTypeValues.POINT, [(2.0, 2.0)]), CYST, length=3.25, grade="G1"),
    ]
    dataset = opened(made.content_of(report(found, groups)))
    series = read_instances(paths)
    length = {"measurement": "SCT:103339001", "unit": "mm"}
    grade = {"evaluation": "99LOCAL:GRADE", "answers": {"low": ("99LOCAL:G1",), "high": ("99LOCAL:G2",)}}
    assert reported(dataset, series, form(finding="SCT:27925004", **length)) == "12.5"
    assert reported(dataset, series, form(finding="SCT:441457006", **length)) == "3.25"
    assert reported(dataset, series, form(finding="SCT:27925004", **grade)) == "high"
    assert reported(dataset, series, form(finding="SCT:1", **grade)) is None
    assert reported(dataset, read_instances([paths[2]]), form(**length)) is None
    with pytest.raises(ImageDefect, match="2 numbers"):
        reported(dataset, series, form(**length))
    with pytest.raises(ImageDefect, match="contradict"):
        reported(dataset, series, form(**grade))
    with pytest.raises(ImageDefect, match="another unit than cm"):
        reported(dataset, series, form(measurement="SCT:103339001", unit="cm"))
    with pytest.raises(ImageDefect, match="does not name"):
        reported(dataset, series, form(evaluation="99LOCAL:GRADE", answers={"low": ("99LOCAL:G7",)}))


def test_the_same_content_without_groups_or_template_is_read_too(images):
    found, paths = images
    dataset = report(found, [planar(region(found[1], sr.GraphicTypeValues.POLYLINE, BOX), length=12.5)])
    dataset = opened(made.content_of(dataset))

    def rename(item):
        item.pop("ContentTemplateSequence", None)
        for child in item.get("ContentSequence", []):
            if child.ConceptNameCodeSequence[0].CodeValue == "125007":
                child.ConceptNameCodeSequence[0].CodeValue = "LESION"
                child.ConceptNameCodeSequence[0].CodingSchemeDesignator = "99VENDOR"
            rename(child)

    rename(dataset)
    assert reported(dataset, read_grid([paths[1]]), form()) == ((3, 4, 9.5, 11),)
    assert reported(dataset, read_instances(paths), form(measurement="SCT:103339001", unit="mm")) == "12.5"


def test_real_measurements_are_what_highdicom_reads():
    path = ZOO / "linked/dcmqi-sr-example/sr.dcm"
    if not path.is_file():
        pytest.skip("../shared/data/dicom-zoo is missing")
    dataset = opened(path.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = highdicom.sr.srread(path)
        groups = oracle.content.get_volumetric_roi_measurement_groups()
        expected = [(m.name, m.value, m.unit) for group in groups for m in group.get_measurements()]
    images = read_instances([])
    once = {
        (name.scheme_designator, name.value): (value, unit)
        for name, value, unit in expected
        if sum(other == name for other, _, _ in expected) == 1
    }
    assert len(once) >= 3
    for (scheme, code), (value, unit) in once.items():
        # The report's groups name their source series and segment, no image.
        wanted = form(measurement=f"{scheme}:{code}", unit=unit.value)
        told = reported(dataset, images, wanted)
        assert told is not None
        assert float(told) == float(value)


def test_real_reports_of_any_template_say_nothing_of_other_images(images):
    folder = ZOO / "SR"
    if not folder.is_dir():
        pytest.skip("../shared/data/dicom-zoo is missing")
    grid = read_grid([images[1][0]])
    outcomes = {}
    for path in sorted(each for each in folder.iterdir() if each.is_file()):
        dataset = opened(path.read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                outcomes[path.name] = reported(dataset, grid, form())
            except ImageDefect as defect:
                outcomes[path.name] = str(defect)
    assert len(outcomes) > 5
    assert not any(isinstance(found, tuple) for found in outcomes.values())
