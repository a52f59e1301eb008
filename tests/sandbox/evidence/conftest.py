from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sandbox.evidence.keys import SigningKey
from sandbox.evidence.ledger import Ledger
from sandbox.outcome.results import Results
from tests.sandbox.evidence.dossier_story import scored

ORIGIN = "proctor/0011223344556677"


@pytest.fixture(scope="session")
def key() -> SigningKey:
    return SigningKey(name=ORIGIN, private=Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@pytest.fixture(scope="session")
def other_key() -> SigningKey:
    return SigningKey(name=ORIGIN, private=Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))


@pytest.fixture
def make_entry() -> Callable[[int], dict[str, Any]]:
    def make(number: int) -> dict[str, Any]:
        return {
            "format": "proctor-entry/1",
            "kind": "evaluation-resumed",
            "time": f"2026-01-01T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z",
            "actor": "operator",
            "subject": {"evaluation": f"{number:016x}"},
            "detail": {"cases": number},
        }

    return make


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the evaluation that the dossier's tests tell; it holds its protocol."""
    return tmp_path_factory.mktemp("story")


@pytest.fixture(scope="session")
def results(story: Path) -> Results:
    return scored(story)


@pytest.fixture
def ledger(tmp_path: Path, key: SigningKey) -> Ledger:
    return Ledger.create(tmp_path / "ledger", origin=ORIGIN, key=key)
