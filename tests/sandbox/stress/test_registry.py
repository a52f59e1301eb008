from __future__ import annotations

import io
import json
from pathlib import Path

import pydicom
import pytest
from PIL import Image

from sandbox.commands.main import main
from sandbox.stress.errors import SuiteError
from sandbox.stress.perturbation import Perturbation
from sandbox.stress.registry import find, registry
from sandbox.stress.suites import SHIPPED, load_suite, resolved
from tests.sandbox.stress import cases

ZOO = Path(__file__).parents[4] / "shared" / "data" / "dicom-zoo"


def test_there_are_perturbations_of_every_family_with_a_source_and_a_sentence() -> None:
    known = registry()
    assert len(known) >= 60
    families = {entry.family for entry in known.values()}
    assert families >= {"CT", "MR", "US", "DR and MG", "NM and PT", "any image", "shortcuts", "out of scope"}
    for name, entry in known.items():
        assert entry.name == name
        assert entry.sentence.endswith(".")
        assert len(entry.source) > 6
        if entry.graded and entry.name not in ("constant",):
            steps = [float(value) for value in entry.severities]
            assert steps in (sorted(set(steps)), sorted(set(steps), reverse=True)), name


def test_three_severities_are_refused() -> None:
    entry = find("blur")
    with pytest.raises(ValueError, match="3 severities"):
        Perturbation(
            name="x", family="f", expectation="must refuse", kind="pixels", unit="", severities=(1.0, 2.0, 3.0),
            sentence="s.", source="s", function=entry.function,
        )  # fmt: skip


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_suites_resolve(path: Path) -> None:
    suite = load_suite(path)
    chosen = resolved(suite)
    assert suite.name == path.stem
    assert len({entry.name for entry, _ in chosen}) == len(chosen) > 0
    assert all(severities for _, severities in chosen)


def test_a_suite_that_names_what_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("proctor: stress/1\nname: bad\ntitle: t\ntests:\n  - {perturbation: ct_doze}\n")
    with pytest.raises(SuiteError, match="did you mean ct_dose"):
        load_suite(path)
    path.write_text(
        "proctor: stress/1\nname: bad\ntitle: t\ntests:\n  - {perturbation: ct_dose, severities: [9]}\n"
    )
    with pytest.raises(SuiteError):
        load_suite(path)


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stress", "list", "--json", "--family", "CT"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {entry["name"] for entry in shown} >= {"ct_dose", "ct_ring"}
    assert shown[0]["severities"]
    assert main(["stress", "list", "--family", "nothing"]) == 2


@pytest.mark.skipif(not ZOO.is_dir(), reason="../shared/data/dicom-zoo is missing")
def test_preview_draws_six_tiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "sheet.png"
    source = str(ZOO / "CT" / "054_CT_small.dcm")
    assert main(["stress", "preview", source, "ct_dose", "-o", str(sheet), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["severities"][0] == "clean"
    with Image.open(sheet) as picture:
        assert picture.width > 3 * 384
    assert main(["stress", "preview", source, "dr_gamma", "-o", str(tmp_path / "no.png")]) == 3
    assert main(["stress", "preview", source, "repeat_other_order"]) == 2


def test_a_preview_of_what_is_no_case_says_so_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note.txt").write_text("no DICOM")
    (tmp_path / "empty").mkdir()
    (tmp_path / "several").mkdir()
    for number, uid in enumerate(("1.2.3.2", "1.2.3.9")):
        data = pydicom.dcmread(io.BytesIO(cases.case("CR")[0][1]))
        data.SeriesInstanceUID = uid
        data.save_as(tmp_path / "several" / f"{number}.dcm")
    (tmp_path / "one.dcm").write_bytes(cases.case("CR")[0][1])
    for arguments, code, said in (
        ([tmp_path / "none", "blur"], 2, "none is not there."),
        ([tmp_path / "note.txt", "blur"], 2, "note.txt is not a DICOM file."),
        ([tmp_path / "empty", "blur"], 2, "empty holds no DICOM files."),
        ([tmp_path / "several", "blur"], 2, "several holds files of 2 series."),
        ([tmp_path / "one.dcm", "blurr"], 2, "did you mean blur?"),
        ([tmp_path / "one.dcm", "ct_dose"], 3, "ct_dose has no meaning for one.dcm: it is for CT only."),
        ([tmp_path / "one.dcm", "blur", "-o", tmp_path / "no" / "x.png"], 2, "There is no folder"),
    ):
        wanted = [] if "-o" in arguments else ["-o", tmp_path / "sheet.png"]
        assert main(["stress", "preview", *map(str, [*arguments, *wanted])]) == code, arguments
        shown = capsys.readouterr()
        assert not shown.out
        assert said in " ".join(shown.err.split())
    assert not (tmp_path / "sheet.png").exists()
