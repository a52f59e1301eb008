"""A folder appears whole, or nothing is left of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdout.new_folder import new_folder


def test_the_folder_appears_at_the_end_with_its_mode(tmp_path: Path) -> None:
    destination = tmp_path / "deep" / "er" / "made"
    with new_folder(destination, mode=0o555) as building:
        (building / "file").write_bytes(b"content")
        assert not destination.exists()
        assert building.stat().st_mode & 0o077 == 0
    assert (destination / "file").read_bytes() == b"content"
    assert destination.stat().st_mode & 0o777 == 0o555
    assert list(destination.parent.iterdir()) == [destination]


@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_after_an_error_or_an_interruption(tmp_path: Path, end: type[BaseException]) -> None:
    def make() -> None:
        with new_folder(tmp_path / "made") as building:
            (building / "half").write_bytes(b"con")
            building.chmod(0o555)
            raise end

    with pytest.raises(end):
        make()
    assert list(tmp_path.iterdir()) == []


def test_what_appeared_there_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    def make() -> None:
        with new_folder(tmp_path / "made") as building:
            (building / "file").write_bytes(b"new")
            (tmp_path / "made").mkdir()
            (tmp_path / "made" / "file").write_bytes(b"old")

    with pytest.raises(OSError, match="not empty"):
        make()
    assert (tmp_path / "made" / "file").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "made"]
