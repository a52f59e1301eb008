"""SYNTHETIC image series, and objects about them that highdicom and pydicom write, for tests of the readers."""

import io

import highdicom
import numpy as np
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

TISSUE = CodedConcept("85756007", "SCT", "Tissue")
MASS = CodedConcept("4147007", "SCT", "Mass")
LIVER = CodedConcept("10200004", "SCT", "Liver")
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def ct_series(
    patient="P1",
    *,
    slices=5,
    rows=20,
    columns=24,
    spacing=(0.8, 0.7),
    gap=2.5,
    origin=(-10.0, -20.0, 30.0),
    orientation=AXIAL,
    numbers=None,
    seed=0,
):
    """Single-frame CT images, slice after slice along the normal of their plane."""
    study, series, frame = (
        generate_uid(entropy_srcs=[patient, str(seed), part]) for part in ("st", "se", "fr")
    )
    along = np.reshape(orientation, (2, 3))
    normal = np.cross(*along)
    found = []
    for place in range(slices):
        image = Dataset()
        image.SOPClassUID = CT_IMAGE
        image.SOPInstanceUID = generate_uid(entropy_srcs=[patient, str(seed), "image", str(place)])
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.PatientID = patient
        image.PatientName, image.PatientBirthDate, image.PatientSex = "SYNTHETIC^", "", "O"
        image.StudyDate = image.StudyTime = image.StudyID = image.AccessionNumber = ""
        image.ReferringPhysicianName = image.PositionReferenceIndicator = ""
        image.Modality, image.Manufacturer = "CT", "Synthetic A"
        image.SeriesNumber, image.InstanceNumber = 1, (numbers or range(1, slices + 1))[place]
        image.ImageOrientationPatient = list(map(float, orientation))
        image.ImagePositionPatient = [round(float(v), 6) for v in np.asarray(origin) + place * gap * normal]
        image.PixelSpacing, image.SliceThickness = list(spacing), gap
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.Rows, image.Columns = rows, columns
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.PixelRepresentation = 15, 0
        image.RescaleIntercept, image.RescaleSlope = -1024, 1
        image.PixelData = np.random.default_rng([seed, place, *patient.encode()]).bytes(2 * rows * columns)
        image["PixelData"].VR = "OW"
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta.MediaStorageSOPClassUID = CT_IMAGE
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        found.append(image)
    return found


def save_all(folder, datasets):
    """Write datasets under their SOP Instance UIDs; returns the paths in the same order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for dataset in datasets:
        path = folder / f"{dataset.SOPInstanceUID}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def content_of(dataset):
    """The bytes of a dataset as a file."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def described(labels, types=None):
    return [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=TISSUE,
            segmented_property_type=(types or {}).get(label, MASS),
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, label in enumerate(labels, start=1)
    ]


def segmentation(images, mask, *, labels=("lesion",), types=None, kind="BINARY", **arguments):
    """A segmentation of ``mask`` (slices, rows, columns[, segments])."""
    return highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=mask,
        segmentation_type=kind,
        segment_descriptions=described(labels, types),
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="test",
        manufacturer_model_name="test",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **arguments,
    )


def copied(image, sop_class, modality):
    """A new object of the patient and study of an image."""
    found = Dataset()
    for name in (
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "AccessionNumber",
        "ReferringPhysicianName",
    ):
        setattr(found, name, image.get(name, ""))
    found.SOPClassUID, found.SOPInstanceUID = sop_class, generate_uid()
    found.SeriesInstanceUID, found.Modality, found.Manufacturer = generate_uid(), modality, "test"
    found.SeriesNumber = found.InstanceNumber = 1
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta.MediaStorageSOPClassUID = sop_class
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    return found


def structure_set(images, regions):
    """An RT Structure Set; ``regions`` is name -> list of (geometric type, points (n, 3))."""
    found = copied(images[0], "1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT")
    frame = images[0].FrameOfReferenceUID
    found.StructureSetLabel, found.StructureSetDate, found.StructureSetTime = "truth", "", ""
    series = Dataset()
    series.SeriesInstanceUID = images[0].SeriesInstanceUID
    series.ContourImageSequence = Sequence(map(reference, images))
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = images[0].StudyInstanceUID
    study.RTReferencedSeriesSequence = Sequence([series])
    place = Dataset()
    place.FrameOfReferenceUID = frame
    place.RTReferencedStudySequence = Sequence([study])
    found.ReferencedFrameOfReferenceSequence = Sequence([place])
    found.StructureSetROISequence, found.ROIContourSequence = Sequence(), Sequence()
    for number, (name, contours) in enumerate(regions.items(), start=1):
        region = Dataset()
        region.ROINumber, region.ROIName, region.ROIGenerationAlgorithm = number, name, "MANUAL"
        region.ReferencedFrameOfReferenceUID = frame
        found.StructureSetROISequence.append(region)
        drawn = Dataset()
        drawn.ReferencedROINumber = number
        drawn.ContourSequence = Sequence()
        for kind, points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
            contour.ContourData = [round(float(value), 4) for value in np.ravel(points)]
            drawn.ContourSequence.append(contour)
        found.ROIContourSequence.append(drawn)
    return found


def reference(image):
    """An item that references an image."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item


def in_patient(image, points):
    """LPS millimetres of (column, row) in pixels from the left upper corner of the image (PS3.3 C.7.6.2.1.1)."""
    along_row, along_column = np.reshape([float(v) for v in image.ImageOrientationPatient], (2, 3))
    down, right = map(float, image.PixelSpacing)
    centres = np.reshape(points, (-1, 2)) - 0.5
    return (
        np.array([float(v) for v in image.ImagePositionPatient])
        + centres[:, :1] * right * along_row
        + centres[:, 1:] * down * along_column
    )
