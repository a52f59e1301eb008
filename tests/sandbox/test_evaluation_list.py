"""One evaluation that cannot be read hides none of the others."""

import json

import pytest

from sandbox.commands.main import main
from sandbox.institution.workspace import create


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"protocol": "nonsense"}'])
def test_an_unreadable_evaluation_is_listed_as_such(content, tmp_path, monkeypatch, capsys):
    home = create(tmp_path / "home").home
    monkeypatch.setenv("PROCTOR_HOME", str(home))
    folder = home / "evaluations" / "e-0000000000000000"
    folder.mkdir()
    (folder / "identity.json").write_text(content)
    assert main(["--json", "evaluation", "list"]) == 0
    assert [item["state"] for item in json.loads(capsys.readouterr().out)] == ["unreadable"]
    assert main(["evaluation", "show", "e-1"]) != 0
    assert "begins with" in capsys.readouterr().err
