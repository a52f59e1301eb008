"""A vendor's list of training hashes is understood in full or refused, never passed over in part."""

import hashlib

import pytest

from holdout.errors import LeakageError
from holdout.training_hashes import read_training_hashes

ONE, TWO = (hashlib.sha256(text).hexdigest() for text in (b"1", b"2"))


def test_bare_hashes_and_the_output_of_sha256sum(tmp_path):
    path = tmp_path / "hashes.txt"
    path.write_bytes(
        f"# trained on\n{ONE.upper()}\r\n\n\\{TWO}  odd\\nname \xe9.dcm\n{TWO} *b.dcm\n".encode("latin-1")
    )
    assert read_training_hashes(path) == {ONE, TWO}


@pytest.mark.parametrize(
    "content", [b"", b"\n# none\n", b"\xff\xfe", ONE[:-1].encode(), f"a.dcm {ONE}".encode()]
)
def test_what_is_no_list_of_hashes_is_refused(tmp_path, content):
    path = tmp_path / "hashes.txt"
    path.write_bytes(content)
    with pytest.raises(LeakageError, match=r"hashes.txt.*sha256sum"):
        read_training_hashes(path)


def test_a_missing_list_is_told(tmp_path):
    with pytest.raises(LeakageError, match="cannot be read"):
        read_training_hashes(tmp_path / "none.txt")
