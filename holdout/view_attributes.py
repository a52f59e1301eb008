"""The allow-list of the container's view: which attributes, and which values of them, may pass.

An attribute that is not here is absent from a staged file. A value passes only when it is a number of its
value representation, one of the enumerated values, or (texts that a protocol names) one that several patients
of the hold-out share, so that no free text rides along. Keywords, tags, value representations: PS3.6;
modules: PS3.3 C.7.6 (image, pixel, geometry), C.8 (by modality), C.11 (look-up tables).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydicom import uid as uids
from pydicom.datadict import dictionary_VR, tag_for_keyword

CheckKind = Literal[
    "number", "binary", "enumerated", "image_type", "orientation", "age", "vocabulary", "data"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What may pass of one attribute.

    ``values`` are the enumerated ones; ``most`` is the largest value multiplicity (or bytes, for 'data').
    ``column`` is the index column that the vocabulary of a text is taken from.
    """

    keyword: str
    tag: int
    vr: str
    check: CheckKind
    values: frozenset[bytes] = frozenset()
    most: int = 1
    column: str = ""


def _rule(
    keyword: str,
    check: CheckKind,
    *values: str,
    most: int = 1,
    column: str = "",
    vr: str = "",
) -> Rule:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return Rule(
        keyword=keyword,
        tag=tag,
        vr=vr or dictionary_VR(tag),
        check=check,
        values=frozenset(value.encode("ascii") for value in values),
        most=most,
        column=column,
    )


def _numbers(most: int, *keywords: str) -> list[Rule]:
    return [
        _rule(
            keyword,
            "number" if dictionary_VR(tag_for_keyword(keyword) or 0) in ("DS", "IS") else "binary",
            most=most,
        )
        for keyword in keywords
    ]


_PHOTOMETRIC = (
    "MONOCHROME1",
    "MONOCHROME2",
    "PALETTE COLOR",
    "RGB",
    "YBR_FULL",
    "YBR_FULL_422",
    "YBR_PARTIAL_420",
    "YBR_ICT",
    "YBR_RCT",
)
_LATERALITIES = ("R", "L", "U", "B")
_RESCALE_TYPES = ("HU", "US", "OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT", "UNSPECIFIED")
_COMPRESSIONS = ("ISO_10918_1", "ISO_14495_1", "ISO_15444_1", "ISO_15444_15")

IMAGE_TYPES = frozenset(
    {
        *(b"AXIAL", b"LOCALIZER", b"MPR", b"PROJECTION IMAGE", b"CT_SOM5 SPI", b"M", b"P", b"R", b"I"),
        *(b"M_SE", b"M_FFE", b"M_IR", b"ADC", b"FA", b"DIFFUSION", b"PERFUSION", b"VOLUME", b"NONE"),
        *(
            b"SINGLE PLANE",
            b"BIPLANE A",
            b"BIPLANE B",
            b"WHOLE BODY",
            b"STATIC",
            b"DYNAMIC",
            b"GATED",
            b"TOMO",
        ),
        *(b"RECON TOMO", b"EMISSION", b"TRANSMISSION", b"MOSAIC", b"NORM", b"DIS2D", b"DIS3D", b"OTHER"),
    }
)
"""Third and later values of Image Type that may pass."""

_MODALITIES = (
    *("CR", "CT", "DX", "ES", "GM", "IO", "IVUS", "MG", "MR", "NM", "OP", "OPT", "OT", "PT", "PX"),
    *("RF", "RG", "SC", "SM", "TG", "US", "XA", "XC"),
)

IMAGE: tuple[Rule, ...] = (
    _rule("ImageType", "image_type", most=8),
    _rule("Modality", "enumerated", *_MODALITIES),
    _rule("ConversionType", "enumerated", "DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN"),
    _rule("PresentationIntentType", "enumerated", "FOR PRESENTATION", "FOR PROCESSING"),
    _rule("ScanningSequence", "enumerated", "SE", "IR", "GR", "EP", "RM", most=5),
    _rule("SequenceVariant", "enumerated", "SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "NONE", most=8),
    _rule("PatientOrientation", "orientation", most=2),
    _rule("ImageLaterality", "enumerated", *_LATERALITIES),
    _rule("PhotometricInterpretation", "enumerated", *_PHOTOMETRIC),
    _rule("BurnedInAnnotation", "enumerated", "YES", "NO"),
    _rule("RecognizableVisualFeatures", "enumerated", "YES", "NO"),
    _rule("PixelIntensityRelationship", "enumerated", "LIN", "LOG", "DISP"),
    _rule("RescaleType", "enumerated", *_RESCALE_TYPES),
    _rule("VOILUTFunction", "enumerated", "LINEAR", "LINEAR_EXACT", "SIGMOID"),
    _rule("LossyImageCompression", "enumerated", "00", "01"),
    _rule("LossyImageCompressionMethod", "enumerated", *_COMPRESSIONS, most=8),
    _rule("PresentationLUTShape", "enumerated", "IDENTITY", "INVERSE"),
    _rule("PixelSpacingCalibrationType", "enumerated", "GEOMETRY", "FIDUCIAL"),
    *_numbers(1, "SamplesPerPixel", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns"),
    *_numbers(1, "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *_numbers(1, "PixelIntensityRelationshipSign", "RescaleIntercept", "RescaleSlope"),
    *_numbers(1, "SliceThickness", "SpacingBetweenSlices", "SliceLocation"),
    *_numbers(1, "EstimatedRadiographicMagnificationFactor"),
    *_numbers(2, "PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"),
    *_numbers(3, "ImagePositionPatient"),
    *_numbers(6, "ImageOrientationPatient"),
    *_numbers(8, "WindowCenter", "WindowWidth", "LossyImageCompressionRatio"),
    _rule("PixelPaddingValue", "binary", vr="US"),
    _rule("PixelPaddingRangeLimit", "binary", vr="US"),
    *(
        _rule(f"{colour}PaletteColorLookupTableDescriptor", "binary", most=3, vr="US")
        for colour in ("Red", "Green", "Blue")
    ),
    *(
        _rule(f"{colour}PaletteColorLookupTableData", "data", most=1 << 17)
        for colour in ("Red", "Green", "Blue")
    ),
)
"""Image, pixel and geometry attributes: always shown."""

_VIEWS = (
    *("AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LATERAL", "LAT"),
    *("CC", "MLO", "ML", "LM", "LMO", "FB", "SIO", "XCCL", "XCCM", "ISO", "CV", "TAN"),
)
_POSITIONS = ("HFP", "HFS", "HFDR", "HFDL", "FFDR", "FFDL", "FFP", "FFS", "AFDR", "AFDL", "PFDR", "PFDL")

NAMEABLE: Mapping[str, Rule] = {
    rule.keyword: rule
    for rule in (
        _rule("PatientSex", "enumerated", "M", "F", "O"),
        _rule("PatientAge", "age"),
        *_numbers(1, "PatientSize", "PatientWeight"),
        _rule("ViewPosition", "enumerated", *_VIEWS),
        _rule("Laterality", "enumerated", "R", "L"),
        _rule("PatientPosition", "enumerated", *_POSITIONS),
        _rule("BodyPartExamined", "vocabulary", column="body_part_examined"),
        _rule("Manufacturer", "vocabulary", column="manufacturer"),
        _rule("ManufacturerModelName", "vocabulary", column="manufacturer_model_name"),
        _rule("SoftwareVersions", "vocabulary", column="software_versions"),
        _rule("ConvolutionKernel", "vocabulary", column="convolution_kernel"),
        _rule("ContrastBolusAgent", "vocabulary", column="contrast_bolus_agent"),
        _rule("ProtocolName", "vocabulary", column="protocol_name"),
        _rule("SeriesDescription", "vocabulary", column="series_description"),
        _rule("StudyDescription", "vocabulary", column="study_description"),
        _rule("MRAcquisitionType", "enumerated", "2D", "3D"),
        *_numbers(1, "KVP", "Exposure", "ExposureTime", "XRayTubeCurrent", "ExposureInuAs"),
        *_numbers(1, "DistanceSourceToDetector", "DistanceSourceToPatient", "BodyPartThickness"),
        *_numbers(1, "CompressionForce", "RelativeXRayExposure", "MagneticFieldStrength"),
        *_numbers(1, "RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "EchoTrainLength"),
        *_numbers(1, "ReconstructionDiameter", "DataCollectionDiameter", "SpiralPitchFactor"),
    )
}
"""Acquisition attributes that a protocol may name."""

PATIENT_CHARACTERISTICS = frozenset({"PatientSex", "PatientAge", "PatientSize", "PatientWeight"})
DEVICE_IDENTITY = frozenset({"Manufacturer", "ManufacturerModelName", "SoftwareVersions"})
DESCRIPTORS = frozenset({"ProtocolName", "SeriesDescription", "StudyDescription", "ContrastBolusAgent"})

Branch = Mapping[int, "Rule | Branch"]


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag


def _items(*rules: Rule) -> dict[int, Rule]:
    return {rule.tag: rule for rule in rules}


_FUNCTIONAL_GROUPS: dict[int, dict[int, Rule]] = {
    _tag("PixelMeasuresSequence"): _items(
        *_numbers(2, "PixelSpacing"), *_numbers(1, "SliceThickness", "SpacingBetweenSlices")
    ),
    _tag("PlanePositionSequence"): _items(*_numbers(3, "ImagePositionPatient")),
    _tag("PlaneOrientationSequence"): _items(*_numbers(6, "ImageOrientationPatient")),
    _tag("FrameContentSequence"): _items(*_numbers(1, "InStackPositionNumber", "TemporalPositionIndex")),
    _tag("FrameVOILUTSequence"): _items(*_numbers(8, "WindowCenter", "WindowWidth")),
    _tag("PixelValueTransformationSequence"): _items(
        *_numbers(1, "RescaleIntercept", "RescaleSlope"), _rule("RescaleType", "enumerated", *_RESCALE_TYPES)
    ),
    _tag("FrameAnatomySequence"): _items(_rule("FrameLaterality", "enumerated", *_LATERALITIES)),
}

_LUT = (
    _rule("LUTDescriptor", "binary", most=3, vr="US"),
    _rule("LUTData", "data", most=1 << 17, vr="OW"),
)

SEQUENCES: Mapping[int, Branch] = {
    _tag("SharedFunctionalGroupsSequence"): _FUNCTIONAL_GROUPS,
    _tag("PerFrameFunctionalGroupsSequence"): _FUNCTIONAL_GROUPS,
    _tag("ModalityLUTSequence"): _items(*_LUT, _rule("ModalityLUTType", "enumerated", *_RESCALE_TYPES)),
    _tag("VOILUTSequence"): _items(*_LUT),
    _tag("SequenceOfUltrasoundRegions"): _items(
        *_numbers(1, "RegionSpatialFormat", "RegionDataType", "RegionFlags", "RegionLocationMinX0"),
        *_numbers(1, "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1"),
        *_numbers(1, "PhysicalUnitsXDirection", "PhysicalUnitsYDirection", "PhysicalDeltaX"),
        *_numbers(1, "PhysicalDeltaY", "ReferencePixelX0", "ReferencePixelY0"),
    ),
}
"""Sequences that are rebuilt from their allowed items; every other sequence is absent."""

_EMPTY_EVERYWHERE = (
    *("StudyDate", "StudyTime", "AccessionNumber", "Manufacturer", "ReferringPhysicianName"),
    *("PatientBirthDate", "PatientSex", "StudyID", "SeriesNumber"),
)
_EMPTY_BY_CLASS: Mapping[str, tuple[str, ...]] = {
    uids.ComputedRadiographyImageStorage: ("BodyPartExamined", "ViewPosition"),
    uids.CTImageStorage: ("KVP", "AcquisitionNumber", "PositionReferenceIndicator"),
    uids.MRImageStorage: (
        *("ScanOptions", "MRAcquisitionType", "EchoTime", "EchoTrainLength", "PositionReferenceIndicator"),
    ),
    uids.VLPhotographicImageStorage: ("AcquisitionContextSequence",),
    uids.VLEndoscopicImageStorage: ("AcquisitionContextSequence",),
    uids.VLMicroscopicImageStorage: ("AcquisitionContextSequence",),
}
_PROJECTION = ("AnatomicRegionSequence", "DetectorType", "AcquisitionContextSequence")
_PROJECTION_CLASSES = (
    uids.DigitalXRayImageStorageForPresentation,
    uids.DigitalXRayImageStorageForProcessing,
    uids.DigitalMammographyXRayImageStorageForPresentation,
    uids.DigitalMammographyXRayImageStorageForProcessing,
    uids.DigitalIntraOralXRayImageStorageForPresentation,
    uids.DigitalIntraOralXRayImageStorageForProcessing,
)


def required_empty(sop_class_uid: str) -> tuple[tuple[int, str], ...]:
    """(tag, VR) of the type 2 attributes that the view leaves empty when nothing else fills them."""
    extra = _PROJECTION if sop_class_uid in _PROJECTION_CLASSES else _EMPTY_BY_CLASS.get(sop_class_uid, ())
    return tuple((_tag(keyword), dictionary_VR(_tag(keyword))) for keyword in (*_EMPTY_EVERYWHERE, *extra))


STAGED_SOP_CLASSES: frozenset[str] = frozenset(
    str(found)
    for found in (
        *_PROJECTION_CLASSES,
        uids.ComputedRadiographyImageStorage,
        uids.CTImageStorage,
        uids.EnhancedCTImageStorage,
        uids.MRImageStorage,
        uids.EnhancedMRImageStorage,
        uids.UltrasoundImageStorage,
        uids.UltrasoundMultiFrameImageStorage,
        uids.SecondaryCaptureImageStorage,
        uids.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uids.MultiFrameTrueColorSecondaryCaptureImageStorage,
        uids.XRayAngiographicImageStorage,
        uids.XRayRadiofluoroscopicImageStorage,
        uids.BreastTomosynthesisImageStorage,
        uids.NuclearMedicineImageStorage,
        uids.PositronEmissionTomographyImageStorage,
        uids.VLPhotographicImageStorage,
        uids.VLEndoscopicImageStorage,
        uids.VLMicroscopicImageStorage,
        uids.OphthalmicPhotography8BitImageStorage,
        uids.OphthalmicPhotography16BitImageStorage,
    )
)
"""SOP classes whose images can be staged."""

ENCAPSULATED_SYNTAXES: frozenset[str] = frozenset(
    str(found)
    for found in (
        uids.RLELossless,
        uids.JPEGBaseline8Bit,
        uids.JPEGExtended12Bit,
        uids.JPEGLossless,
        uids.JPEGLosslessSV1,
        uids.JPEGLSLossless,
        uids.JPEGLSNearLossless,
        uids.JPEG2000Lossless,
        uids.JPEG2000,
        uids.HTJ2KLossless,
        uids.HTJ2KLosslessRPCL,
        uids.HTJ2K,
    )
)
NATIVE_SYNTAXES: frozenset[str] = frozenset(
    str(found)
    for found in (
        uids.ExplicitVRLittleEndian,
        uids.ImplicitVRLittleEndian,
        uids.DeflatedExplicitVRLittleEndian,
        uids.ExplicitVRBigEndian,
    )
)
STAGED_TRANSFER_SYNTAXES: frozenset[str] = ENCAPSULATED_SYNTAXES | NATIVE_SYNTAXES
"""Transfer syntaxes that can be staged; what is not encapsulated is staged as Explicit VR Little Endian."""
