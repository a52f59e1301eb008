"""`proctor verify`: a mistake in the call is told apart from a dossier that does not hold."""

import json

import pytest

from sandbox.commands.main import main
from sandbox.evidence.keys import generate_signing_key


@pytest.fixture
def key(tmp_path):
    return generate_signing_key(tmp_path / "ledger.pem", "proctor/test").verifier.text


@pytest.mark.parametrize("given", ["nonsense", "a+b+c", "/", "", "no/such.vkey"])
def test_a_key_that_is_none_is_wrong_usage(given, tmp_path, capsys):
    dossier = tmp_path / "d.zip"
    dossier.write_bytes(b"PK\x05\x06" + bytes(18))
    assert main(["verify", str(dossier), "--key", given]) == 2
    assert "ledger.vkey" in capsys.readouterr().err


def test_a_missing_dossier_is_wrong_usage(tmp_path, capsys):
    assert main(["verify", str(tmp_path / "none.zip")]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("as_file", [False, True])
def test_a_key_is_taken_as_itself_or_as_its_file(as_file, key, tmp_path, capsys):
    dossier = tmp_path / "d.zip"
    dossier.write_bytes(b"PK\x05\x06" + bytes(18))
    if as_file:
        (tmp_path / "ledger.vkey").write_text(key + "\n")
    given = str(tmp_path / "ledger.vkey") if as_file else key
    assert main(["--json", "verify", str(dossier), "--key", given]) == 4
    found = json.loads(capsys.readouterr().out)
    assert found["held"] is False
    assert found["key_given"] is True
    assert {"name", "held", "warning", "sentence"} == found["checks"][0].keys()
