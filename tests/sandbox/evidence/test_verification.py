"""Attacks on a finished dossier: each must turn at least one check, and none may raise or hang."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.canonical import canonical_json, digest, digest_bytes
from sandbox.evidence.archive import read_archive, write_archive
from sandbox.evidence.dossier import DossierParts, dossier_bytes, manifest_of
from sandbox.evidence.keys import SigningKey
from sandbox.evidence.ledger import Ledger
from sandbox.evidence.verification import verify_bytes, verify_dossier
from sandbox.outcome.results import Results, to_json
from tests.sandbox.evidence.dossier_story import CONTROLS, REPORT, events, parts_of, story_ledger

Forge = Callable[[dict[str, bytes]], None]


@pytest.fixture(scope="module")
def parts(
    tmp_path_factory: pytest.TempPathFactory, story: Path, key: SigningKey, results: Results
) -> DossierParts:
    ledger = story_ledger(tmp_path_factory.mktemp("log") / "ledger", key)
    ledger.append_all(events(results, REPORT, CONTROLS))
    return parts_of(story, ledger, key, results)


def failed(data: bytes, key: SigningKey | None) -> list[str]:
    return [check.name for check in verify_bytes(data, key.verifier.text if key else None) if not check.held]


def repacked(data: bytes, forge: Forge, *, manifest: bool = True) -> bytes:
    """The dossier with some files forged and, as any forger would, a manifest that fits again."""
    files, time = read_archive(data)
    forge(files)
    if manifest:
        files.pop("manifest-sha256.txt", None)
        files["manifest-sha256.txt"] = manifest_of(files)
    return write_archive(files, time)


def test_any_flipped_byte_in_the_file_is_found(parts: DossierParts) -> None:
    data = dossier_bytes(parts)
    step = max(1, len(data) // 4000)
    for at in range(0, len(data), step):
        assert failed(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :], None), at


def test_any_flipped_byte_in_any_part_is_found_though_the_manifest_was_made_again(
    parts: DossierParts,
) -> None:
    data = dossier_bytes(parts)
    files, _ = read_archive(data)
    for name, content in files.items():
        if name == "manifest-sha256.txt":
            continue
        for at in range(0, len(content), max(1, len(content) // 4)):

            def flip(changed: dict[str, bytes], name: str = name, at: int = at) -> None:
                changed[name] = (
                    changed[name][:at] + bytes([changed[name][at] ^ 0x01]) + changed[name][at + 1 :]
                )

            assert failed(repacked(data, flip), parts.key), (name, at)


def test_a_truncated_dossier_is_found(parts: DossierParts) -> None:
    data = dossier_bytes(parts)
    for end in [*range(0, len(data), max(1, len(data) // 500)), len(data) - 1]:
        assert failed(data[:end], None) == ["file"]


def swap(a: str, b: str) -> Forge:
    def forge(files: dict[str, bytes]) -> None:
        files[a], files[b] = files[b], files[a]

    return forge


def replaced(name: str, old: bytes, new: bytes) -> Forge:
    def forge(files: dict[str, bytes]) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new)

    return forge


def removed(*names: str) -> Forge:
    def forge(files: dict[str, bytes]) -> None:
        for name in names:
            del files[name]

    return forge


def added(name: str, content: bytes) -> Forge:
    return lambda files: files.update({name: content})


ATTACKS: Mapping[str, tuple[Forge, str]] = {
    "report and results swapped": (swap("report.html", "results.json"), "files"),
    "two entries swapped": (swap("ledger/entries/000000.json", "ledger/entries/000001.json"), "inclusion"),
    "two proofs swapped": (
        swap("ledger/proofs/000000.tlog-proof", "ledger/proofs/000001.tlog-proof"),
        "inclusion",
    ),
    "proof removed": (removed("ledger/proofs/000002.tlog-proof"), "file"),
    "entry removed": (removed("ledger/entries/000002.json"), "file"),
    "registration removed": (
        removed("ledger/entries/000002.json", "ledger/proofs/000002.tlog-proof"),
        "inclusion",
    ),
    "bystander entry removed": (
        removed("ledger/entries/000004.json", "ledger/proofs/000004.tlog-proof"),
        "statement",
    ),
    "policy removed": (removed("policy.json"), "statement"),
    "statement removed": (removed("statement.dsse.json"), "file"),
    "key removed": (removed("ledger/verifier.txt"), "file"),
    "file slipped in": (added("notes.txt", b"x"), "file"),
    "entry without a proof slipped in": (added("ledger/entries/000099.json", b"{}"), "file"),
    "report edited": (replaced("report.html", b"SYNTHETIC", b"synthetic"), "files"),
    "protocol edited": (replaced("protocol.json", b"screening", b"screenjng"), "files"),
    "protocol's source edited": (replaced("protocol.yaml", b"at_least: 0.6", b"at_least: 0.5"), "statement"),
    "posture edited": (replaced("posture.json", b'"held":true', b'"held":false'), "posture"),
    "hold-out edited": (replaced("holdout.json", b'"version":"1"', b'"version":"2"'), "files"),
    "another root": (replaced("holdout.json", b"abab", b"baba"), "files"),
    "posture is not JSON": (added("posture.json", b"{"), "posture"),
    "results are not JSON": (added("results.json", b"NaN"), "results"),
    "results nested without end": (added("results.json", b"[" * 100_000), "results"),
    "statement is not JSON": (added("statement.dsse.json", b"[]"), "signature"),
    "checkpoint is empty": (added("ledger/checkpoint", b""), "checkpoint"),
    "key is not text": (added("ledger/verifier.txt", b"\xff"), "key"),
}


@pytest.mark.parametrize(("forge", "check"), ATTACKS.values(), ids=ATTACKS.keys())
def test_attacks_on_files(parts: DossierParts, forge: Forge, check: str) -> None:
    assert check in failed(repacked(dossier_bytes(parts), forge), None)


def test_a_stale_manifest_is_found(parts: DossierParts) -> None:
    forged = repacked(dossier_bytes(parts), replaced("report.html", b"S", b"s"), manifest=False)
    assert "manifest" in failed(forged, parts.key)


def test_a_dossier_made_with_another_key_holds_only_for_itself(
    tmp_path: Path, story: Path, results: Results, other_key: SigningKey, key: SigningKey
) -> None:
    impostor = story_ledger(tmp_path / "impostor", other_key)
    impostor.append_all(events(results, REPORT, CONTROLS))
    data = dossier_bytes(parts_of(story, impostor, other_key, results))
    assert failed(data, other_key) == []
    assert failed(data, key) == ["key"]
    assert failed(data, None) == []  # and says so: test_without_a_key_it_says_loudly_who_vouches


def test_the_key_file_exchanged_is_found_with_and_without_a_trusted_key(
    parts: DossierParts, other_key: SigningKey
) -> None:
    forged = repacked(
        dossier_bytes(parts), added("ledger/verifier.txt", other_key.verifier.text.encode() + b"\n")
    )
    assert "signature" in failed(forged, None)
    assert failed(forged, parts.key) == ["key"]


@pytest.mark.parametrize("text", ["", "nonsense", "proctor/a+00000000+AAAA", "x" * 10_000, "\x1b[31m"])
def test_a_malformed_trusted_key_is_a_failed_check(parts: DossierParts, text: str) -> None:
    checks = verify_bytes(dossier_bytes(parts), text)
    assert [check.name for check in checks if not check.held] == ["key"]
    assert "\x1b" not in checks[-1].sentence


# Attacks by the institution itself, which holds the key: contradictions inside the story must show.


def rebuilt(
    tmp_path: Path,
    story: Path,
    key: SigningKey,
    results: Results,
    change: Callable[[list[dict[str, Any]]], None],
) -> bytes:
    entries = events(results, REPORT, CONTROLS)
    change(entries)
    ledger = story_ledger(tmp_path / "story", key)
    ledger.append_all(entries)
    return dossier_bytes(parts_of(story, ledger, key, results))


def test_protocol_registered_after_the_run_began(
    tmp_path: Path, story: Path, key: SigningKey, results: Results
) -> None:
    def change(entries: list[dict[str, Any]]) -> None:
        entries[2], entries[3] = entries[3], entries[2]

    assert "order" in failed(rebuilt(tmp_path, story, key, results, change), key)


def test_hold_out_locked_after_the_run_began(
    tmp_path: Path, story: Path, key: SigningKey, results: Results
) -> None:
    def change(entries: list[dict[str, Any]]) -> None:
        entries.insert(4, entries.pop(0))

    assert "order" in failed(rebuilt(tmp_path, story, key, results, change), key)


def test_times_that_contradict_the_order(
    tmp_path: Path, story: Path, key: SigningKey, results: Results
) -> None:
    def change(entries: list[dict[str, Any]]) -> None:
        entries[2]["time"] = "2026-02-04T00:00:00Z"

    assert "order" in failed(rebuilt(tmp_path, story, key, results, change), key)


@pytest.mark.parametrize(
    ("entry", "field", "value", "check"),
    [
        (0, "root", "ef" * 32, "one story"),
        (0, "version", "2", "one story"),
        (1, "submission", "sha256:" + "ef" * 32, "one story"),
        (1, "vendor", "other", "one story"),
        (2, "protocol", "sha256:" + "ef" * 32, "one story"),
        (3, "code", "sha256:" + "ef" * 32, "one story"),
        (3, "policy", "sha256:" + "ef" * 32, "one story"),
        (5, "results", "sha256:" + "ef" * 32, "files"),
        (5, "posture", "sha256:" + "ef" * 32, "posture"),
        (6, "report", "sha256:" + "ef" * 32, "files"),
    ],
)
def test_a_ledger_that_tells_another_story(
    tmp_path: Path,
    story: Path,
    key: SigningKey,
    results: Results,
    entry: int,
    field: str,
    value: str,
    check: str,
) -> None:
    def change(entries: list[dict[str, Any]]) -> None:
        entries[entry]["subject"][field] = value

    assert check in failed(rebuilt(tmp_path, story, key, results, change), key)


WAIVER = {"control": "network", "reason": "a test", "until": "2027-01-31"}
GRANTED = {"waiver": digest(WAIVER), "until": "2027-01-31"}


@pytest.mark.parametrize(
    ("waived", "said", "granted", "fails"),
    [
        ((), WAIVER, GRANTED, True),
        (("network",), WAIVER, GRANTED, False),
        (("network",), WAIVER, None, True),
        (("network",), {**WAIVER, "reason": "polished"}, GRANTED, True),
        (("network", "devices"), WAIVER, GRANTED, True),
    ],
)
def test_a_required_control_that_did_not_hold(
    tmp_path: Path,
    story: Path,
    key: SigningKey,
    results: Results,
    waived: tuple[str, ...],
    said: dict[str, str],
    granted: dict[str, str] | None,
    fails: bool,
) -> None:
    controls = [{**CONTROLS[0], "held": False}]
    ledger = story_ledger(tmp_path / "story", key)
    entries = events(results, REPORT, controls)
    if granted:
        subject = {"policy": entries[3]["subject"]["policy"], "control": "network"}
        entries.insert(
            4, {**entries[3], "kind": "waiver-granted", "subject": subject, "detail": dict(granted)}
        )
    ledger.append_all(entries)
    posture = {
        "controls": controls,
        "waived": dict.fromkeys(waived, "named and signed"),
        "waivers": [{**said, "state": "in force", "sentence": "x"}],
    }
    parts = parts_of(story, ledger, key, results, "waiver-granted")
    data = dossier_bytes(replace(parts, posture=canonical_json(posture)))
    assert failed(data, key) == (["posture"] if fails else [])


@pytest.mark.parametrize(("held", "root"), [(False, "ab" * 32), (True, "ef" * 32)])
def test_a_hold_out_found_changed_or_another_one_verified(
    tmp_path: Path, story: Path, key: SigningKey, results: Results, held: bool, root: str
) -> None:
    def change(entries: list[dict[str, Any]]) -> None:
        subject = {"evaluation": results.evaluation, "holdout": "cxr", "root": root}
        detail = {"held": held, "moment": "before"}
        entries.insert(3, {**entries[3], "kind": "holdout-verified", "subject": subject, "detail": detail})
        entries[3]["time"] = entries[2]["time"]

    assert "one story" in failed(rebuilt(tmp_path, story, key, results, change), key)


def test_a_verdict_polished_everywhere_but_in_the_numbers(
    tmp_path: Path, story: Path, key: SigningKey, results: Results
) -> None:
    polished = replace(results, verdict="not_met" if results.verdict == "met" else "met")
    ledger = story_ledger(tmp_path / "story", key)
    ledger.append_all(events(polished, REPORT, CONTROLS))
    data = dossier_bytes(parts_of(story, ledger, key, polished))
    assert "results" in failed(data, key)


def test_a_count_polished_with_its_digest_in_the_ledger(
    tmp_path: Path, story: Path, key: SigningKey, results: Results
) -> None:
    document = json.loads(to_json(results))
    document["analyses"][0]["operating_points"][0]["tp"] += 1
    polished = canonical_json(document)
    entries = events(results, REPORT, CONTROLS)
    entries[5]["subject"]["results"] = digest_bytes(polished)
    ledger = story_ledger(tmp_path / "story", key)
    ledger.append_all(entries)
    parts = replace(parts_of(story, ledger, key, results), results=polished)
    assert failed(dossier_bytes(parts), key) == ["results"]


def test_names_inside_cannot_write_to_the_terminal(
    tmp_path: Path, story: Path, key: SigningKey, results: Results
) -> None:
    document = json.loads(to_json(results))
    point = document["analyses"][0]["operating_points"][0]
    point["name"], point["tp"] = "\x1b[2J\u202eevil\n", point["tp"] + 1
    forged = canonical_json(document)
    ledger = story_ledger(tmp_path / "story", key)
    ledger.append_all(events(results, REPORT, CONTROLS))
    data = dossier_bytes(replace(parts_of(story, ledger, key, results), results=forged))
    for check in verify_bytes(data, None):
        assert check.sentence.isprintable()


def test_an_entry_that_no_actor_signed(
    tmp_path: Path, story: Path, key: SigningKey, results: Results
) -> None:
    Ledger.create(tmp_path / "story", origin=key.name, key=key)
    ledger = Ledger.open(tmp_path / "story", key=key)
    ledger.append_all(events(results, REPORT, CONTROLS))
    assert failed(dossier_bytes(parts_of(story, ledger, key, results)), key) == ["actors"]


def test_places_that_are_not_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "fifo", tmp_path / "folder", tmp_path / "absent", Path("/dev/zero")):
        checks = verify_dossier(path, None)
        assert [check.held for check in checks] == [False]


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.zip").open("wb") as file:
        file.truncate(2**40)
    assert not verify_dossier(tmp_path / "huge.zip", None)[0].held


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_forgeries_never_raise_and_never_hold(parts: DossierParts, data: st.DataObject) -> None:
    files, time = read_archive(dossier_bytes(parts))
    name = data.draw(st.sampled_from(sorted(set(files) - {"manifest-sha256.txt"})))
    content = data.draw(st.binary(max_size=200))
    if content == files[name]:
        return
    files[name] = content
    files.pop("manifest-sha256.txt")
    files["manifest-sha256.txt"] = manifest_of(files)
    assert failed(write_archive(files, time), None)
