import csv
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import generate_frames

from holdout.errors import MappingError
from holdout.importer import builtin_mapping, import_folder
from holdout.mapping import load_mapping

LABELLED = Path(__file__).parents[3] / "shared" / "data"
SETS = ("ham10000-200", "covid-cxr", "nih-cxr64")


def labelled(name: str) -> Path:
    folder = LABELLED / name
    if not folder.is_dir():
        pytest.skip(f"the labelled set {name} is not at {folder}")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("name", SETS)
def test_labelled_sets_become_valid_dicom(name: str, tmp_path: Path) -> None:
    folder = labelled(name)
    summary = import_folder(folder, builtin_mapping(name), tmp_path / "out", limit=40)
    assert summary.images == 40
    assert summary.defects == ()
    assert sum(next(iter(summary.labels.values())).values()) == 40
    for row in rows(tmp_path / "out" / "acquisition.csv"):
        dataset = pydicom.dcmread(tmp_path / "out" / "dicom" / row["file"])
        assert dataset.SOPInstanceUID == row["sop_instance_uid"]
        assert dataset.PatientID == row["patient_id"]
        source = folder / row["source_file"]
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
            content = source.read_bytes()
            assert frame[: len(content)] == content
        else:
            assert np.array_equal(dataset.pixel_array, np.asarray(Image.open(source)))
    if shutil.which("dcmdump"):
        files = sorted(str(path) for path in (tmp_path / "out" / "dicom").rglob("*.dcm"))
        done = subprocess.run(["dcmdump", "-q", *files], capture_output=True, check=False)
        assert done.returncode == 0
        assert done.stderr == b""


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def make_folder(folder: Path) -> Path:
    folder.mkdir()
    random = np.random.default_rng(3)
    grey = random.integers(0, 255, (8, 10), dtype=np.uint8)
    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(random.integers(0, 255, (8, 10, 3), dtype=np.uint8)).save(folder / "colour.png")
    Image.fromarray(np.dstack([grey] * 3)).save(folder / "equal.png")
    Image.fromarray(grey.astype(np.uint16) * 200).save(folder / "deep.png")
    large = Image.fromarray(np.kron(grey, np.ones((8, 8), np.uint8)))
    large.save(folder / "whole.jpg")
    content = (folder / "whole.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[:-40])
    Image.fromarray(np.kron(grey, np.ones((8, 8), np.uint8))).save(
        folder / "progressive.jpg", progressive=True
    )
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("not an image")
    (folder / "link.png").symlink_to(folder / "grey.png")
    names = (
        "grey.png",
        "colour.png",
        "equal.png",
        "deep.png",
        "whole.jpg",
        "cut.jpg",
        "progressive.jpg",
        "empty.png",
        "text.png",
        "link.png",
        "absent.png",
        "../outside.png",
        "grey.png",
    )
    lines = ["file,who,age,sex,truth"] + [f"{name},p{i % 3},{i}.0,x,{i % 2}" for i, name in enumerate(names)]
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    mapping = folder / "MAPPING.yaml"
    mapping.write_text(
        "proctor: mapping/1\nname: made\ntitle: made\ntable: table.csv\nobject: CR\n"
        "file: file\npatient: who\nage: age\nsex: sex\n"
        "labels:\n  finding: {column: truth}\ntruth:\n  method: {value: made}\n"
    )
    return mapping


def test_every_bad_image_is_listed_with_its_reason(tmp_path: Path) -> None:
    mapping = make_folder(tmp_path / "in")
    summary = import_folder(tmp_path / "in", mapping, tmp_path / "out")
    assert summary.images == 5
    reasons = {defect.file: defect.reason for defect in summary.defects}
    assert reasons == {
        "colour.png": "is a colour image; CR and DX hold grayscale only",
        "cut.jpg": "truncated: no end-of-image marker",
        "empty.png": "empty file",
        "text.png": "neither a JPEG nor a PNG image",
        "link.png": "is a link",
        "absent.png": "no such file",
        "../outside.png": "the name leads out of the folder",
        "grey.png": "the table names this file twice",
    }
    made = {row["source_file"]: row for row in rows(tmp_path / "out" / "acquisition.csv")}
    deep = pydicom.dcmread(tmp_path / "out" / "dicom" / made["deep.png"]["file"])
    assert (deep.BitsAllocated, deep.BitsStored) == (16, 16)
    decoded = pydicom.dcmread(tmp_path / "out" / "dicom" / made["progressive.jpg"]["file"])
    assert not decoded.file_meta.TransferSyntaxUID.is_encapsulated
    assert decoded.LossyImageCompression == "01"


def test_an_import_repeated_gives_the_same_bytes(tmp_path: Path) -> None:
    mapping = make_folder(tmp_path / "in")
    import_folder(tmp_path / "in", mapping, tmp_path / "a", processes=1)
    import_folder(tmp_path / "in", mapping, tmp_path / "b", processes=2)
    first = {path.relative_to(tmp_path / "a"): path for path in (tmp_path / "a").rglob("*") if path.is_file()}
    second = {
        path.relative_to(tmp_path / "b"): path for path in (tmp_path / "b").rglob("*") if path.is_file()
    }
    assert set(first) == set(second)
    assert all(path.read_bytes() == second[name].read_bytes() for name, path in first.items())


def test_nothing_is_left_when_nothing_could_be_imported(tmp_path: Path) -> None:
    mapping = make_folder(tmp_path / "in")
    for path in (tmp_path / "in").glob("*.*g"):
        path.unlink()
    with pytest.raises(MappingError, match="none of 13 images"):
        import_folder(tmp_path / "in", mapping, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("patient: who", "patient: whom", r"yaml:7: patient: the table table.csv has no column 'whom'"),
        ("object: CR", "object: XR", r"yaml:5: object: must be"),
        ("age: age", "agee: age", r"yaml:8: agee: unknown key; did you mean `age`"),
        ("object: CR", "object: DX", r"yaml:1: a DX image must state pixel_spacing"),
        ("{column: truth}", "{column: truth, positive: ['1'], negative: ['1']}", r"yaml:11: labels.finding"),
        ("sex: sex", "sex: sex\nsex: age", r"yaml:10: sex is given a second time"),
        ("sex: sex", "sex: *a", r"yaml:9: aliases"),
    ],
)
def test_mapping_errors_name_the_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    mapping = make_folder(tmp_path / "in")
    mapping.write_text(mapping.read_text().replace(old, new))
    with pytest.raises(MappingError, match=message):
        import_folder(tmp_path / "in", mapping, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_shipped_mappings_are_valid() -> None:
    for name in SETS:
        assert load_mapping(builtin_mapping(name)).name == name
    with pytest.raises(MappingError, match="there are: covid-cxr, ham10000-200, nih-cxr64"):
        builtin_mapping("absent")
