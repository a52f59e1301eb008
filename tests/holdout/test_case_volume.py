"""One image from a case's files: geometry and values against what was written, and what is no image."""

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from holdout.case_reader import CaseReader
from holdout.decoding import DecodingLimits
from holdout.errors import DecodingError

AXIAL = [1, 0, 0, 0, 1, 0]


def write(path, array, *, compress=None, **attributes):
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = (
        "1.2.840.10008.5.1.4.1.1.7",
        f"2.25.{abs(hash(path.name)) % 10**9}",
    )
    colour = array.ndim >= 3 and array.shape[-1] == 3
    shape = array.shape[:-1] if colour else array.shape
    if len(shape) == 3:
        dataset.NumberOfFrames = shape[0]
    dataset.Rows, dataset.Columns = shape[-2:]
    dataset.SamplesPerPixel = 3 if colour else 1
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = array.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.PixelData = array.tobytes()
    dataset["PixelData"].VR = "OB" if array.dtype.itemsize == 1 else "OW"
    if compress:
        dataset.compress(compress)
    dataset.save_as(path, enforce_file_format=True)
    return path.name


def slices(folder, positions, orientation=AXIAL, **attributes):
    names = []
    for number, position in enumerate(positions):
        array = np.full((3, 4), number, np.int16)
        array[0, 1] = 100
        names.append(
            write(
                folder / f"{number:06}.dcm",
                array,
                ImagePositionPatient=list(position),
                ImageOrientationPatient=orientation,
                PixelSpacing=[0.5, 0.7],
                SliceThickness=9,
                **attributes,
            )
        )
    return names


@pytest.fixture(scope="module")
def reader():
    with CaseReader() as opened:
        yield opened


def array_of(volume):
    return np.frombuffer(volume.data, np.dtype(volume.dtype)).reshape(volume.shape)


def test_slices_are_put_in_the_order_of_their_places(reader, tmp_path):
    names = slices(tmp_path, [(1, 2, 30), (1, 2, 10), (1, 2, 20)], RescaleSlope=2, RescaleIntercept=-1024)
    volume = reader.volume(tmp_path, names)
    array = array_of(volume)
    assert (array.shape, array.dtype) == ((3, 3, 4), np.int16)
    assert array[:, 1, 1].tolist() == [-1022, -1020, -1024]
    assert array[0, 0, 1] == 200 - 1024
    assert volume.spacing == (0.7, 0.5, 10.0)
    assert volume.origin == (1.0, 2.0, 10.0)
    assert volume.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert not volume.colour


def test_sagittal_slices_keep_their_direction(reader, tmp_path):
    orientation = [0, 1, 0, 0, 0, -1]
    names = slices(tmp_path, [(30, 5, 6), (28, 5, 6), (26, 5, 6)], orientation)
    volume = reader.volume(tmp_path, names)
    # Every pixel lies where PS3.3 C.7.6.2.1.1 puts it: origin + column and row steps along the axes.
    axes = np.reshape(volume.direction, (3, 3))
    np.testing.assert_allclose(axes[2], np.cross(orientation[:3], orientation[3:]))
    last = np.array(volume.origin) + 2 * volume.spacing[2] * axes[2]
    assert {tuple(volume.origin), tuple(last)} == {(30, 5, 6), (26, 5, 6)}
    assert volume.spacing[2] == 2.0


def test_one_slice_is_three_dimensional_and_a_projection_is_two(reader, tmp_path):
    one = reader.volume(tmp_path, slices(tmp_path, [(0, 0, 7)]))
    assert (one.shape, one.spacing) == ((1, 3, 4), (0.7, 0.5, 9.0))
    grey = np.arange(12, dtype=np.uint16).reshape(3, 4)
    flat = reader.volume(tmp_path, [write(tmp_path / "x.dcm", grey, ImagerPixelSpacing=[0.1, 0.2])])
    assert (flat.shape, flat.spacing, flat.origin) == ((3, 4), (0.2, 0.1), (0.0, 0.0))
    np.testing.assert_array_equal(array_of(flat), grey)


def test_frames_colour_and_compression(reader, tmp_path):
    frames = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    moving = reader.volume(tmp_path, [write(tmp_path / "f.dcm", frames, compress=RLELossless)])
    np.testing.assert_array_equal(array_of(moving), frames)
    assert moving.spacing == (1.0, 1.0, 1.0)
    colour = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    skin = reader.volume(tmp_path, [write(tmp_path / "c.dcm", colour)])
    assert (skin.colour, skin.shape, len(skin.spacing)) == (True, (3, 4, 3), 2)
    np.testing.assert_array_equal(array_of(skin), colour)


def test_palettes_and_fractional_rescale(reader, tmp_path):
    index = np.array([[0, 1], [2, 3]], np.uint8)
    tables = {}
    for name, values in (("Red", [0, 65535, 0, 0]), ("Green", [0, 0, 65535, 0]), ("Blue", [0, 0, 0, 65535])):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        tables[f"{name}PaletteColorLookupTableData"] = np.array(values, "<u2").tobytes()
    name = write(tmp_path / "p.dcm", index, PhotometricInterpretation="PALETTE COLOR", **tables)
    volume = reader.volume(tmp_path, [name])
    assert array_of(volume).tolist() == [[[0, 0, 0], [255, 0, 0]], [[0, 255, 0], [0, 0, 255]]]
    grey = np.array([[0, 1], [2, 3]], np.uint16)
    dose = reader.volume(tmp_path, [write(tmp_path / "d.dcm", grey, RescaleSlope=0.25, RescaleIntercept=1)])
    np.testing.assert_array_equal(array_of(dose), np.array([[1, 1.25], [1.5, 1.75]], np.float32))


def test_enhanced_frames_have_places_of_their_own(reader, tmp_path):
    def item(**values):
        made = pydicom.Dataset()
        for name, value in values.items():
            setattr(made, name, value)
        return made

    own = [
        item(PlanePositionSequence=[item(ImagePositionPatient=[0, 0, z])],
             PixelValueTransformationSequence=[item(RescaleSlope=slope, RescaleIntercept=0)])
        for z, slope in ((4, 1), (0, 3))
    ]  # fmt: skip
    shared = [
        item(PixelMeasuresSequence=[item(PixelSpacing=[2, 3], SliceThickness=4)],
             PlaneOrientationSequence=[item(ImageOrientationPatient=AXIAL)])
    ]  # fmt: skip
    frames = np.ones((2, 3, 4), np.int16)
    name = write(
        tmp_path / "e.dcm",
        frames,
        PerFrameFunctionalGroupsSequence=own,
        SharedFunctionalGroupsSequence=shared,
    )
    volume = reader.volume(tmp_path, [name])
    assert volume.spacing == (3.0, 2.0, 4.0)
    assert array_of(volume)[:, 0, 0].tolist() == [3, 1]


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        ([(0, 0, 0), (0, 0, 1), (0, 0, 3)], "evenly"),
        ([(0, 0, 0), (0, 0, 0)], "same place"),
        ([(0, 0, 0), (0, 5, 1), (0, 10, 2)], "tilted"),
    ],
)
def test_slices_that_are_not_one_image(reader, tmp_path, positions, words):
    with pytest.raises(DecodingError, match=words):
        reader.volume(tmp_path, slices(tmp_path, positions))


def test_files_that_are_not_one_image(reader, tmp_path):
    a = write(tmp_path / "a.dcm", np.zeros((3, 4), np.uint8))
    b = write(tmp_path / "b.dcm", np.zeros((4, 4), np.uint8))
    with pytest.raises(DecodingError, match="size"):
        reader.volume(tmp_path, [a, b])
    with pytest.raises(DecodingError, match="some have none"):
        reader.volume(tmp_path, [a, *slices(tmp_path, [(0, 0, 1)])])
    zero = write(tmp_path / "z.dcm", np.zeros((3, 4), np.uint8), PixelSpacing=[0, 1])
    with pytest.raises(DecodingError, match="positive"):
        reader.volume(tmp_path, [zero])
    (tmp_path / "no.dcm").write_bytes(b"nothing")
    with pytest.raises(DecodingError):
        reader.volume(tmp_path, ["no.dcm"])
    # The reader goes on after each of them.
    assert reader.volume(tmp_path, [a]).shape == (3, 4)


def test_memory_is_bounded(tmp_path):
    name = write(tmp_path / "a.dcm", np.zeros((64, 64), np.uint8))
    with (
        CaseReader(DecodingLimits(decoded_bytes=4095)) as small,
        pytest.raises(DecodingError, match="memory"),
    ):
        small.volume(tmp_path, [name])


def test_attributes_are_plain_values(reader, tmp_path):
    name = write(
        tmp_path / "a.dcm",
        np.zeros((3, 4), np.uint8),
        PatientAge="018M",
        PatientSex="F",
        ImageType=["ORIGINAL", "PRIMARY"],
        PixelSpacing=[0.5, 0.25],
        SliceThickness=2.5,
        ViewPosition="",
    )
    keywords = [
        "PatientAge",
        "PatientSex",
        "ImageType",
        "PixelSpacing",
        "SliceThickness",
        "ViewPosition",
        "Rows",
        "KVP",
    ]
    assert reader.attributes(tmp_path, [name], keywords) == {
        name: {
            "PatientAge": 1.5,
            "PatientSex": "F",
            "ImageType": ["ORIGINAL", "PRIMARY"],
            "PixelSpacing": [0.5, 0.25],
            "SliceThickness": 2.5,
            "Rows": 3,
        }
    }
