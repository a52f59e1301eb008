from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from sandbox.commands.main import main
from sandbox.stress.errors import SuiteError
from sandbox.stress.perturbation import Perturbation
from sandbox.stress.registry import find, registry
from sandbox.stress.suites import SHIPPED, load_suite, resolved

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
    assert main(["stress", "preview", str(tmp_path / "none"), "ct_dose"]) == 4
    assert main(["stress", "preview", source, "repeat_other_order"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sheet.png"]
