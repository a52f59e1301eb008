from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from holdout import locked as locked_module
from holdout import sealing
from holdout.errors import LockError, VerificationError
from holdout.lock import LockedHoldout
from holdout.locked import FILES
from holdout.verification import Sampling, Verification, verify

if TYPE_CHECKING:
    SyntheticSet = Any

REFERENCE_KEY = b"r" * 32


@pytest.fixture
def locked(synthetic_set: SyntheticSet, tmp_path: Path) -> LockedHoldout:
    shutil.copytree(synthetic_set.dicom, tmp_path / "dicom")
    made: LockedHoldout = synthetic_set.lock(tmp_path / "locked", source=tmp_path / "dicom")
    made.path.chmod(0o755)
    for child in made.path.iterdir():
        child.chmod(0o644)
    return made


def check(locked: LockedHoldout, **options: Any) -> Verification:
    return verify(locked, reference_key=REFERENCE_KEY, **options)


def images(locked: LockedHoldout) -> list[Path]:
    return sorted(path for path in locked.source.rglob("*") if path.is_file())


def name(locked: LockedHoldout, path: Path) -> str:
    return "source/" + path.relative_to(locked.source).as_posix()


def kinds(outcome: Verification) -> list[tuple[str, str]]:
    return [(finding.kind, finding.subject) for finding in outcome.findings]


def test_nothing_is_found_when_nothing_changed(locked: LockedHoldout) -> None:
    calls: list[tuple[int, int | None]] = []
    outcome = check(locked, progress=lambda done, total: calls.append((done, total)))
    outcome.check()
    assert outcome.sound
    assert outcome.checked_files == outcome.files == locked.instances
    assert outcome.bytes == locked.bytes
    assert calls[-1] == (locked.instances, locked.instances)
    assert verify(locked.path).root == locked.root


Damage = Callable[[list[Path]], None]


def swap(files: list[Path]) -> None:
    first, second = files[0].read_bytes(), files[1].read_bytes()
    files[0].write_bytes(second)
    files[1].write_bytes(first)


def flip(files: list[Path]) -> None:
    content = bytearray(files[0].read_bytes())
    content[random.Random(3).randrange(len(content))] ^= 16
    files[0].write_bytes(content)


DAMAGES: list[tuple[str, Damage, str]] = [
    ("swap", swap, "swapped"),
    ("flip", flip, "altered"),
    ("rename", lambda files: files[0].rename(files[0].with_name("elsewhere.dcm")) and None, "renamed"),
    ("truncate", lambda files: files[0].write_bytes(files[0].read_bytes()[:-7]) and None, "truncated"),
    ("grow", lambda files: files[0].write_bytes(files[0].read_bytes() + b"x") and None, "grown"),
    ("remove", lambda files: files[0].unlink(), "missing"),
    ("copy over", lambda files: files[0].write_bytes(files[1].read_bytes()) and None, "altered"),
]


@pytest.mark.parametrize(("damage", "kind"), [(d, k) for _, d, k in DAMAGES], ids=[n for n, _, _ in DAMAGES])
def test_damage_to_images_is_named(damage: Damage, kind: str, locked: LockedHoldout) -> None:
    files = images(locked)
    damage(files)
    outcome = check(locked)
    assert kinds(outcome) == [(kind, name(locked, files[0]))]
    with pytest.raises(VerificationError, match="is not what was locked"):
        outcome.check()
    if kind == "swapped":
        assert name(locked, files[1]) in outcome.findings[0].detail


def test_added_files_and_links(locked: LockedHoldout) -> None:
    files = images(locked)
    (locked.source / "new.dcm").write_bytes(b"new")
    content = files[0].read_bytes()
    files[0].unlink()
    files[0].symlink_to(files[1])
    outcome = check(locked)
    assert kinds(outcome) == [("not_regular", name(locked, files[0])), ("added", "source/new.dcm")]
    files[0].unlink()
    files[0].write_bytes(content)
    (locked.path / "extra.txt").write_text("x")
    assert kinds(check(locked)) == [("added", "lock/extra.txt"), ("added", "source/new.dcm")]


def test_files_left_out_at_the_lock_are_not_added_ones(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    path = synthetic_set.index.column("path").to_pylist()[0]
    made = synthetic_set.lock(tmp_path / "locked", exclusions={path: "motion"})
    assert check(made).sound


def reseal(locked: LockedHoldout, change: Callable[[dict[str, dict[str, str | None]]], None]) -> None:
    """What a custodian with the key could do: open, change, seal again, and record the new hash."""
    path = locked.path / "reference.sealed"
    truths = sealing.unseal(path.read_bytes(), REFERENCE_KEY, locked.binding).truths
    change(truths)
    path.write_bytes(sealing.seal(truths, REFERENCE_KEY, locked.binding))
    import hashlib

    record = locked_module.read_record(locked.path)
    changed = locked_module.LockRecord(
        root=record.root, source=record.source, sealed_sha256=hashlib.sha256(path.read_bytes()).hexdigest()
    )
    (locked.path / "lock.json").write_bytes(changed.encode())


def test_labels_swapped_by_a_key_holder_are_named(locked: LockedHoldout) -> None:
    chosen: list[str] = []

    def change(truths: dict[str, dict[str, str | None]]) -> None:
        positive = next(case_id for case_id in sorted(truths) if truths[case_id]["opacity"] == "1")
        negative = next(case_id for case_id in sorted(truths) if truths[case_id]["opacity"] == "0")
        truths[positive]["opacity"], truths[negative]["opacity"] = "0", "1"
        chosen.extend(sorted((positive, negative)))

    reseal(locked, change)
    assert kinds(check(locked)) == [("label_changed", case_id) for case_id in chosen]
    with pytest.raises(VerificationError, match="truth of 2 cases"):
        locked_module.open_reference(locked, REFERENCE_KEY)


def test_a_label_removed_and_one_added(locked: LockedHoldout) -> None:
    gone: list[str] = []

    def change(truths: dict[str, dict[str, str | None]]) -> None:
        gone.append(sorted(truths)[2])
        truths["c-ffffffffffffffff"] = dict(truths.pop(gone[0]))

    reseal(locked, change)
    assert sorted(kinds(check(locked))) == [
        ("label_added", "c-ffffffffffffffff"),
        ("label_missing", gone[0]),
    ]


def test_sealed_lines_swapped_without_the_key_are_named(locked: LockedHoldout) -> None:
    path = locked.path / "reference.sealed"
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    rows[1]["sealed"], rows[2]["sealed"] = rows[2]["sealed"], rows[1]["sealed"]
    path.write_bytes(b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows))
    assert kinds(check(locked)) == [
        ("altered", "lock/reference.sealed"),
        ("label_changed", rows[1]["case_id"]),
        ("label_changed", rows[2]["case_id"]),
    ]
    # Without the key the damage shows, though not in which case.
    assert kinds(verify(locked)) == [("altered", "lock/reference.sealed")]


def test_any_flipped_byte_of_the_lock_is_noticed(synthetic_set: SyntheticSet, tmp_path: Path) -> None:
    excluded = synthetic_set.index.column("path").to_pylist()[0]
    locked = synthetic_set.lock(tmp_path / "locked", exclusions={excluded: "motion"})
    locked.path.chmod(0o755)
    for child in locked.path.iterdir():
        child.chmod(0o644)
    chooser = random.Random(11)
    for file in sorted(FILES):
        path = locked.path / file
        content = path.read_bytes()
        places = {0, len(content) - 1, *(chooser.randrange(len(content)) for _ in range(12))}
        for place in places:
            changed = bytearray(content)
            changed[place] ^= 1 << chooser.randrange(8)
            path.write_bytes(changed)
            outcome = check(locked)
            assert not outcome.sound, (file, place)
            assert any(file in finding.subject for finding in outcome.findings), (file, place)
        path.write_bytes(content)
    assert check(locked).sound


def test_a_manifest_rewritten_to_match_the_damage_shows_in_the_root(locked: LockedHoldout) -> None:
    from holdout import manifest

    files = images(locked)
    flip(files)
    import hashlib

    entries = [
        manifest.Entry(
            path=entry.path,
            role=entry.role,
            size=entry.size,
            sha256=hashlib.sha256(files[0].read_bytes()).hexdigest(),
        )
        if entry.path == name(locked, files[0])
        else entry
        for entry in locked_module.read_manifest(locked.path)
    ]
    (locked.path / "manifest.jsonl").write_bytes(manifest.encode(entries))
    assert ("manifest_altered", "lock/manifest.jsonl") in kinds(check(locked))
    record = locked_module.read_record(locked.path)
    forged = locked_module.LockRecord(
        root=manifest.root(entries), source=record.source, sealed_sha256=record.sealed_sha256
    )
    (locked.path / "lock.json").write_bytes(forged.encode())
    found = kinds(verify(locked.path, expected_root=locked.root, reference_key=REFERENCE_KEY))
    assert ("another_root", "lock/lock.json") in found
    # The seal is bound to the old root as well.
    assert ("seal_broken", "lock/reference.sealed") in found


def test_sampling_checks_all_sizes_and_some_contents(locked: LockedHoldout) -> None:
    outcome = check(locked, sampling=Sampling(fraction=0.2, minimum=5, seed=1))
    assert outcome.sound
    assert outcome.checked_files == max(5, -(-locked.instances // 5))
    files = images(locked)
    files[3].write_bytes(files[3].read_bytes()[:-1])
    found = check(locked, sampling=Sampling(fraction=0.0, minimum=1, seed=1))
    assert kinds(found) == [("truncated", name(locked, files[3]))]


def test_a_folder_that_is_no_hold_out(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="is not a locked hold-out"):
        verify(tmp_path)


def test_a_source_that_is_gone(locked: LockedHoldout) -> None:
    shutil.rmtree(locked.source)
    outcome = check(locked)
    assert [(finding.kind, finding.subject) for finding in outcome.findings] == [("missing", "source")]
    assert outcome.files == locked.instances
    assert outcome.checked_files == 0
    with pytest.raises(VerificationError, match=rf"is not there, so none of its {locked.instances} files"):
        outcome.check()
