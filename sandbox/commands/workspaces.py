"""``proctor init``."""

from __future__ import annotations

from sandbox.commands import console
from sandbox.institution.workspace import create, default_home


def init() -> None:
    """Make a workspace in PROCTOR_HOME: keys, default policy, empty ledger.

    \b
      export PROCTOR_HOME=/srv/proctor
      proctor init

    Back up the folder keys/: without keyring.json a locked hold-out can no longer be scored, and whoever holds
    ledger.pem can sign a ledger in the institution's name. Give keys/ledger.vkey to the regulator.
    """
    workspace = create(default_home())
    data = {"home": str(workspace.home), "origin": workspace.origin, "verifier_key": workspace.verifier_key}

    def human() -> None:
        console.line(f"Workspace made in {workspace.home}.")
        console.line(f"Verifier key, for everyone who will check its evidence: {workspace.verifier_key}")
        console.message("Next: proctor doctor")

    console.result(data, human)
