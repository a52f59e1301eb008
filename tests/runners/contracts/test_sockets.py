"""What a Grand Challenge algorithm finds below /input: every kind of socket, names, values and the manifest."""

import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from PIL import Image

from runners.contracts.interface import ImageDeclaration
from runners.contracts.metaimage import Volume
from runners.contracts.registry import declare
from runners.contracts.sockets import Socket, write_inputs
from runners.contracts.tiff import write_tiff
from runners.errors import ContractRefused, SessionError
from runners.failures import CaseFailed, FailureCode
from runners.worker import CaseInput

DICOM = {"slug": "ct", "kind": "DICOM Image Set", "relative_path": "images/ct"}
DECODED = {"slug": "pet", "kind": "Image", "relative_path": "images/pet"}
VALUE = {"slug": "age", "kind": "Integer", "relative_path": "age.json", "value": 50}
TABLE = {"slug": "table", "kind": "CSV file", "relative_path": "table.csv", "text": "a,b\n"}
PIXELS = Volume(array=np.zeros((2, 3), np.uint8), spacing=(1.0, 1.0), origin=(0.0, 0.0))


@dataclass
class Reader:
    """Knows the attributes it was made with, and keeps which files it decoded."""

    known: dict
    decoded: list = field(default_factory=list)

    def attributes(self, case, keywords):
        return {name: {k: v for k, v in of.items() if k in keywords} for name, of in self.known.items()}

    def volume(self, case, files):
        self.decoded.append(files)
        return PIXELS


@pytest.fixture
def lay_out(tmp_path):
    """Return a function from sockets and attributes by file to the folder that the container would see."""

    def lay(sockets, known=None, reader=None):
        staged, root = tmp_path / "staged", tmp_path / "input"
        names = list(known or {"000001.dcm": {}})
        for folder in (staged, root):
            folder.mkdir()
        for name in names:
            (staged / name).write_text(name)
        if known is not None:
            reader = reader or Reader(known)
        case = CaseInput(case="k7Qm", directory=staged, files=tuple(names))
        write_inputs(reader, tuple(Socket(**item) for item in sockets), case, root)
        return root

    return lay


def manifest(root):
    return json.loads((root / "inputs.json").read_text())


def test_inputs_are_laid_out_as_the_platform_does(lay_out):
    root = lay_out([DICOM, VALUE], {"000001.dcm": {"SOPInstanceUID": "2.25.7"}, "000002.dcm": {}})
    # Named by SOP Instance UID; a file that has none keeps the host's name.
    assert (root / "images/ct/2.25.7.dcm").read_text() == "000001.dcm"
    assert (root / "images/ct/000002.dcm").read_text() == "000002.dcm"
    assert json.loads((root / "age.json").read_text()) == 50
    image, value = manifest(root)
    assert image["socket"] == image["interface"]
    assert image["image"]["name"] == "k7Qm"
    assert (image["value"], value["image"], value["value"]) == (None, None, 50)
    assert [item["socket"]["super_kind"] for item in (image, value)] == ["Image", "Value"]
    assert image["socket"]["relative_path"] == "images/ct"
    assert set(image["socket"]) == {
        *("title", "description", "slug", "kind", "pk", "default_value", "super_kind", "relative_path"),
        *("overlay_segments", "look_up_table"),
    }


def test_without_a_reader_files_keep_their_names_and_nothing_is_decoded(lay_out):
    assert (lay_out([DICOM]) / "images/ct/000001.dcm").read_text() == "000001.dcm"


def test_a_decoded_image_needs_a_reader(lay_out):
    with pytest.raises(SessionError, match="nobody reads"):
        lay_out([DECODED])


def test_several_sockets_get_their_own_images(lay_out):
    known = {
        "a": {"Modality": "CT", "SOPInstanceUID": "1.1"},
        "b": {"Modality": "PT", "ImageType": ["ORIGINAL", "PRIMARY"], "SOPInstanceUID": "1.2"},
        "c": {"Modality": "PT", "ImageType": ["DERIVED", "PRIMARY"], "SOPInstanceUID": "1.3"},
    }
    reader = Reader(known)
    sockets = [
        DICOM | {"select": {"Modality": "CT"}},
        DECODED | {"select": {"Modality": "PT", "ImageType": "ORIGINAL"}},
    ]
    root = lay_out(sockets, known, reader)
    assert [path.name for path in (root / "images/ct").iterdir()] == ["1.1.dcm"]
    assert reader.decoded == [("b",)]
    (made,) = (root / "images/pet").iterdir()
    ct, pet = manifest(root)
    assert made.name == f"{pet['image']['pk']}.mha"
    assert ct["image"]["pk"] != pet["image"]["pk"]
    assert ct["image"]["name"] == pet["image"]["name"] == "k7Qm"


def test_a_case_without_an_image_for_a_socket_is_not_asked(lay_out):
    with pytest.raises(CaseFailed) as caught:
        lay_out([DICOM | {"select": {"Modality": "MR"}}], {"a": {"Modality": "CT"}})
    assert caught.value.code is FailureCode.STAGING_FAILED


def test_values_of_a_case_come_from_its_own_attributes(lay_out):
    clinical = {
        "slug": "clinical-information",
        "kind": "Anything",
        "relative_path": "clinical-information.json",
        "attributes": {"age": "PatientAge", "sex": "PatientSex", "kernel": "ConvolutionKernel"},
    }
    age = {"slug": "age", "kind": "Integer", "relative_path": "age.json", "attribute": "PatientAge"}
    known = {"a": {"PatientAge": 61, "PatientSex": "F"}, "b": {"PatientAge": 61, "PatientSex": "M"}}
    root = lay_out([DICOM, clinical, age], known)
    # What files of one case do not agree on is nobody's value.
    expected = {"age": 61, "sex": None, "kernel": None}
    assert json.loads((root / "clinical-information.json").read_text()) == expected
    assert json.loads((root / "age.json").read_text()) == 61
    assert [item["value"] for item in manifest(root)] == [None, expected, 61]


def test_files_are_the_same_for_every_case(lay_out):
    picture = {"slug": "p", "kind": "Thumbnail png", "relative_path": "p.png", "base64": "iVBORw=="}
    root = lay_out([DICOM, TABLE, picture])
    assert (root / "table.csv").read_text() == "a,b\n"
    assert (root / "p.png").read_bytes() == b"\x89PNG"
    _, table, _ = manifest(root)
    assert (table["socket"]["super_kind"], table["file"], table["value"]) == ("File", "table.csv", None)


def test_image_as_tiff(lay_out):
    root = lay_out([DECODED | {"format": "tif"}], {"a": {}})
    (made,) = (root / "images/pet").iterdir()
    assert made.suffix == ".tif"
    with Image.open(made) as read:
        assert np.array_equal(np.asarray(read), PIXELS.array)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "uint8 colour"])
@pytest.mark.parametrize("pages", [None, 3])
@pytest.mark.parametrize("width", [4, 5])
def test_tiff_is_read_by_a_library_of_others(tmp_path, kind, pages, width):
    name, colour = kind.partition(" ")[0], kind.endswith("colour")
    shape = (*(() if pages is None else (pages,)), 3, width, *((3,) if colour else ()))
    array = np.random.default_rng(1).integers(0, 250, shape).astype(name)
    spacing = (0.5, 0.25) if pages is None else (0.5, 0.25, 2.0)
    volume = Volume(array=array, spacing=spacing, origin=(0.0,) * len(spacing), colour=colour)
    write_tiff(volume, tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as read:
        assert read.n_frames == (pages or 1)
        for number, page in enumerate(array if pages else [array]):
            read.seek(number)
            assert np.array_equal(np.asarray(read), page)
        assert [float(read.tag_v2[tag]) for tag in (282, 283)] == [20.0, 40.0]
    with pytest.raises(ValueError, match="plain numbers"):
        write_tiff(replace(volume, array=array.astype(complex)), tmp_path / "b.tif")


@pytest.mark.parametrize(
    "socket",
    [
        DICOM | {"value": 1},
        DICOM | {"attribute": "PatientAge"},
        VALUE | {"attribute": "PatientAge"},
        VALUE | {"select": {"Modality": "CT"}},
        DICOM | {"select": {"modality": "CT"}},
        {**VALUE, "value": None, "attributes": {"a": "b c"}},
        DICOM | {"slug": "C T"},
        DICOM | {"relative_path": "images/a/b"},
        DICOM | {"format": "tif"},
        TABLE | {"text": None},
        TABLE | {"base64": "YQ=="},
        TABLE | {"value": 1},
        TABLE | {"relative_path": "table.pdf"},
        TABLE | {"relative_path": "deep/table.csv"},
        TABLE | {"text": None, "base64": "!"},
        VALUE | {"text": "a"},
    ],
)
def test_sockets_that_contradict_themselves(socket):
    with pytest.raises(ContractRefused):
        declare(
            ImageDeclaration(),
            contract="grand-challenge",
            document={"inputs": [DICOM, socket]},
            answer="a.json",
        )
