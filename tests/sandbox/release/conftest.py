"""A site whose evaluations are finished, with what is not under test here taken as given."""

import pytest

from tests.sandbox.release.examined import make_site


@pytest.fixture
def site(tmp_path, monkeypatch):
    # These evaluations have no locked hold-out behind them; versions are told apart in tests/end_to_end.
    monkeypatch.setattr("sandbox.release.draft.holdouts.open_holdout", lambda *_: None)
    monkeypatch.setattr("sandbox.release.draft.check_versions", lambda *_: None)
    monkeypatch.delenv("PROCTOR_ACTOR", raising=False)
    monkeypatch.setenv("PROCTOR_HOME", str(tmp_path / "home"))
    return make_site(tmp_path / "home")
