from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import DossierError
from sandbox.evidence.archive import read_archive
from sandbox.evidence.dossier import DossierParts, build_dossier, dossier_bytes
from sandbox.evidence.keys import SigningKey
from sandbox.evidence.ledger import Ledger
from sandbox.evidence.verification import verify_dossier
from sandbox.outcome.results import Results
from tests.sandbox.evidence.dossier_story import CONTROLS, REPORT, events, parts_of, story_ledger

MakeEntry = Callable[[int], dict[str, Any]]


@pytest.fixture
def ledger(tmp_path: Path, key: SigningKey) -> Ledger:
    return story_ledger(tmp_path / "ledger", key)


@pytest.fixture
def parts(
    story: Path, ledger: Ledger, key: SigningKey, results: Results, make_entry: MakeEntry
) -> DossierParts:
    ledger.append_all([make_entry(i) for i in range(5)])
    ledger.append_all(events(results, REPORT, CONTROLS))
    return parts_of(story, ledger, key, results)


def test_a_dossier_is_built_verified_and_opened_by_any_unzip(parts: DossierParts, tmp_path: Path) -> None:
    path = tmp_path / "out" / "e.zip"
    digest = build_dossier(parts, path)
    assert digest.startswith("sha256:")
    checks = verify_dossier(path, parts.key.verifier.text)
    assert [check.name for check in checks if not check.held] == []
    assert not any(check.warning for check in checks)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "open")
    command = ["sha256sum", "-c", "--quiet", "manifest-sha256.txt"]
    ran = subprocess.run(command, cwd=tmp_path / "open", capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, b"")


def test_the_same_evaluation_gives_the_same_bytes_even_after_the_ledger_grew(
    parts: DossierParts,
    story: Path,
    ledger: Ledger,
    key: SigningKey,
    results: Results,
    make_entry: MakeEntry,
) -> None:
    first = dossier_bytes(parts)
    ledger.append_all([make_entry(i) for i in range(100, 400)])
    assert dossier_bytes(parts_of(story, ledger, key, results)) == first


def test_without_a_key_it_says_loudly_who_vouches(parts: DossierParts, tmp_path: Path) -> None:
    build_dossier(parts, tmp_path / "e.zip")
    key = next(check for check in verify_dossier(tmp_path / "e.zip", None) if check.name == "key")
    assert key.held
    assert key.warning
    assert "NO KEY WAS GIVEN" in key.sentence
    assert parts.key.verifier.fingerprint in key.sentence


def test_nothing_is_written_when_a_part_contradicts_the_ledger(parts: DossierParts, tmp_path: Path) -> None:
    for changes in (
        {"report": b"<p>another report</p>"},
        {"results": parts.results.replace(b'"locked":', b'"locked" :')},
        {"entries": parts.entries[1:]},
        {"checkpoint": parts.checkpoint[:-1]},
        {"holdout": b"{}"},
        {"posture": b"[]"},
    ):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - any of the evidence family, checked below
            build_dossier(replace(parts, **changes), tmp_path / "e.zip")
        assert type(caught.value).__module__.startswith("sandbox.")
        assert not list(tmp_path.glob("*e.zip*"))


def test_an_old_dossier_survives_a_failed_new_one(parts: DossierParts, tmp_path: Path) -> None:
    build_dossier(parts, tmp_path / "e.zip")
    before = (tmp_path / "e.zip").read_bytes()
    with pytest.raises(DossierError):
        build_dossier(replace(parts, report=b"another"), tmp_path / "e.zip")
    assert (tmp_path / "e.zip").read_bytes() == before


@pytest.mark.parametrize("part", ["report", "holdout", "posture", "protocol_yaml"])
def test_a_uid_in_any_part_is_refused(parts: DossierParts, part: str) -> None:
    uid = b"1.3.6.1.4.1.14519.5.2.1.6279.6001.298806137288633453246975630178"
    bad = replace(parts, **{part: getattr(parts, part) + b" " + uid})
    with pytest.raises(Exception) as caught:  # noqa: PT011
        dossier_bytes(bad)
    assert uid.decode() not in str(caught.value)


def test_the_standards_own_uids_and_versions_are_no_instances(parts: DossierParts) -> None:
    text = (
        REPORT
        + b" JPEG 1.2.840.10008.1.2.4.50, engine 20.10.24, driver 1.0.12.4.5.6, address 127.0.0.1, path M1.5 2.25 3.125"
    )
    dossier_bytes(replace(parts, report=text))


@pytest.mark.parametrize("row", [b'{"case_id":"c-1"}', b'{"patient_id" : "x"}', b'{"sop_instance_uid":"1"}'])
def test_a_part_with_rows_of_cases_is_refused(parts: DossierParts, row: bytes) -> None:
    with pytest.raises(DossierError, match="rows"):
        dossier_bytes(replace(parts, policy=row))


def test_no_row_of_a_case_is_inside(parts: DossierParts, ledger: Ledger) -> None:
    data = dossier_bytes(parts)
    assert b"case_id" not in data
    assert b"patient_key" not in data
    # Entries of other evaluations, which stand in the same ledger, stay there.
    assert b"evaluation-resumed" not in data


def test_ro_crate_has_the_entities_that_the_specification_requires(parts: DossierParts) -> None:
    files, _ = read_archive(dossier_bytes(parts))
    document = json.loads(files["ro-crate-metadata.json"])
    assert document["@context"] == "https://w3id.org/ro/crate/1.1/context"
    graph = {entity["@id"]: entity for entity in document["@graph"]}
    assert len(graph) == len(document["@graph"])
    # RO-Crate 1.1: "RO-Crate Metadata File Descriptor" and "Root Data Entity" with their required properties.
    descriptor = graph["ro-crate-metadata.json"]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"]["@id"].startswith("https://w3id.org/ro/crate/")
    root = graph["./"]
    assert root["@type"] == "Dataset"
    assert all(root[name] for name in ("name", "description", "datePublished", "license"))
    # Every file of the payload is listed in hasPart and described as a File; nothing described is missing.
    described = {part["@id"] for part in root["hasPart"]}
    assert described == set(files) - {"ro-crate-metadata.json"}
    assert all(graph[name]["@type"] == "File" and graph[name]["encodingFormat"] for name in described)
    for name in described - {"statement.dsse.json", "manifest-sha256.txt"}:
        assert graph[name]["contentSize"] == str(len(files[name]))

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            return (
                [value["@id"]]
                if set(value) == {"@id"}
                else [r for v in value.values() for r in references(v)]
            )
        return [r for v in value for r in references(v)] if isinstance(value, list) else []

    linked = {r for entity in document["@graph"] for r in references(entity)}
    assert {r for r in linked if not r.startswith("https://")} <= set(graph)
    action = graph["#evaluation"]
    assert action["@type"] == "CreateAction"
    assert action["startTime"] < action["endTime"]


def test_verification_needs_neither_engine_nor_numerics(parts: DossierParts, tmp_path: Path) -> None:
    build_dossier(parts, tmp_path / "e.zip")
    code = (
        "import sys; from pathlib import Path\n"
        "from sandbox.evidence.verification import verify_dossier\n"
        "checks = verify_dossier(Path(sys.argv[1]), sys.argv[2])\n"
        "heavy = {'docker', 'mlflow', 'numpy', 'scipy', 'pyarrow', 'pydicom', 'pydantic', 'typer'}\n"
        "print(all(c.held for c in checks), sorted(heavy & set(sys.modules)))\n"
    )
    arguments = [str(tmp_path / "e.zip"), parts.key.verifier.text]
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=Path.cwd(), capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "True []"
