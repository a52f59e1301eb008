"""The workspace: one folder (``PROCTOR_HOME``) that holds an institution's keys, policy, ledger and artefacts.

Layout::

    workspace.json                    format, ledger origin, creation time
    policy.yaml                       the institution's rules
    keys/ledger.pem, ledger.vkey      the ledger's signing key and its public verifier key
    keys/actors/<name>.pem            keys of the people who act here, mode 0600
    keys/keyring.json                 secret keys by name (hold-out keys, pseudonym key), mode 0600
    ledger/                           the append-only log
    holdouts/<name>/                  draft files and locked/<version>/
    submissions/<digest>/             image archive and admission record
    protocols/<digest>/               protocol text and registration record
    evaluations/<id>/                 everything one evaluation produced
    releases/<id>/                    what was, or would be, told to a vendor

State is what lies on disk, written once and atomically; nothing is remembered elsewhere.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.errors import ActorError, UsageError, WorkspaceError
from sandbox.evidence.actors import Acting
from sandbox.evidence.durable import write_durable
from sandbox.evidence.encoding import encode_base64
from sandbox.evidence.keys import generate_signing_key, load_signing_key
from sandbox.evidence.ledger import Ledger

FORMAT = "proctor-workspace/1"
FIRST_ACTOR = "operator"
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
DEFAULT_POLICY = Path(__file__).resolve().parents[2] / "policies" / "default.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """An opened workspace; every path below it is derived, never stored. ``actor`` is who acts in it."""

    home: Path
    origin: str
    created: str
    actor: str = FIRST_ACTOR

    @property
    def policy_path(self) -> Path:
        """The institution's policy file."""
        return self.home / "policy.yaml"

    @property
    def verifier_key(self) -> str:
        """The public key that a regulator needs, in C2SP verifier-key form."""
        return (self.home / "keys" / "ledger.vkey").read_text(encoding="ascii").strip()

    def holdout(self, name: str) -> Path:
        """Folder of the hold-out ``name``."""
        return self.home / "holdouts" / checked_name(name)

    def submission(self, digest: str) -> Path:
        """Folder of the submission with image digest ``digest``."""
        return self.home / "submissions" / short(digest)

    def protocol(self, digest: str) -> Path:
        """Folder of the protocol with canonical digest ``digest``."""
        return self.home / "protocols" / short(digest)

    def evaluation(self, evaluation_id: str) -> Path:
        """Folder of one evaluation."""
        return self.home / "evaluations" / checked_name(evaluation_id)

    def release(self, release_id: str) -> Path:
        """Folder of one release."""
        return self.home / "releases" / checked_name(release_id)


def default_home() -> Path:
    """``PROCTOR_HOME``, or ``proctor`` in the user's XDG data folder."""
    if configured := os.environ.get("PROCTOR_HOME"):
        return Path(configured)
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "proctor"


def create(home: Path) -> Workspace:
    """Make a workspace: keys, default policy, empty ledger.

    The folder appears whole or not at all; an interrupted ``proctor init`` leaves nothing that looks usable.

    Raises:
        WorkspaceError: ``home`` already holds something.
    """
    home = home.resolve()
    if (home / "workspace.json").exists():
        raise WorkspaceError(
            f"{home} is already a workspace. Use it, or choose another folder with PROCTOR_HOME."
        )
    if home.exists() and any(home.iterdir()):
        raise WorkspaceError(
            f"{home} is not empty and not a workspace. Choose an empty folder for PROCTOR_HOME."
        )
    home.parent.mkdir(parents=True, exist_ok=True)
    building = home.parent / f".{home.name}.{secrets.token_hex(4)}.partial"
    try:
        for folder in ("keys", "holdouts", "submissions", "protocols", "evaluations", "releases"):
            (building / folder).mkdir(parents=True)
        building.chmod(0o700)
        (building / "keys").chmod(0o700)
        origin = f"proctor/{secrets.token_hex(8)}"
        key = generate_signing_key(building / "keys" / "ledger.pem", origin)
        write_durable(building / "keys" / "ledger.vkey", key.verifier.text.encode("ascii") + b"\n")
        write_keyring(building, {"pseudonyms": secrets.token_bytes(32)})
        shutil.copyfile(DEFAULT_POLICY, building / "policy.yaml")
        Ledger.create(building / "ledger", origin=origin, key=key)
        created = utc_now()
        write_json(building / "workspace.json", {"format": FORMAT, "origin": origin, "created": created})
        (building / "keys" / "actors").mkdir(mode=0o700)
        first = generate_signing_key(building / "keys" / "actors" / f"{FIRST_ACTOR}.pem", FIRST_ACTOR)
        with open_ledger(Workspace(home=building, origin=origin, created=created)) as ledger:
            ledger.append_all(
                [
                    entry("workspace-created", subject={"workspace": origin}),
                    entry(
                        "actor-added",
                        subject={"name": FIRST_ACTOR, "key": encode_base64(first.verifier.public)},
                        detail={"operator": True, "custodian": True},
                    ),
                ]
            )
        if home.exists():
            home.rmdir()
        building.rename(home)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return Workspace(home=home, origin=origin, created=created)


def open_workspace(home: Path) -> Workspace:
    """Open an existing workspace.

    Raises:
        WorkspaceError: there is none, or its description cannot be read.
    """
    marker = home / "workspace.json"
    try:
        facts = json.loads(marker.read_bytes())
        if not isinstance(facts, dict) or not {"format", "origin", "created"} <= facts.keys():
            raise ValueError("not a description of a workspace")
    except FileNotFoundError as error:
        raise WorkspaceError(f"There is no workspace in {home}. Make one with: proctor init") from error
    except ValueError as error:
        raise WorkspaceError(f"{marker} is damaged. Restore it from a backup of the workspace.") from error
    if facts.get("format") != FORMAT:
        raise WorkspaceError(f"{marker} has format {facts.get('format')!r}; this version reads {FORMAT!r}.")
    actor = checked_name(os.environ.get("PROCTOR_ACTOR") or FIRST_ACTOR)
    return Workspace(home=home.resolve(), origin=facts["origin"], created=facts["created"], actor=actor)


def open_ledger(workspace: Workspace) -> Ledger:
    """Open the workspace's ledger for reading, and for appending as the workspace's actor."""
    key = load_signing_key(workspace.home / "keys" / "ledger.pem", workspace.origin)
    return Ledger.open(workspace.home / "ledger", key=key, acting=lambda: acting(workspace))


def acting(workspace: Workspace) -> Acting:
    """The actor of this workspace with its key: ``PROCTOR_ACTOR_KEY``, or the one that the workspace keeps.

    Raises:
        ActorError: the key is not there.
    """
    outside = os.environ.get("PROCTOR_ACTOR_KEY")
    path = Path(outside) if outside else workspace.home / "keys" / "actors" / f"{workspace.actor}.pem"
    if not path.is_file():
        raise ActorError(
            f"There is no key of the actor {workspace.actor} in {path}. Add the actor (proctor actor add), act as "
            "another (--as NAME), or name the file of its key with PROCTOR_ACTOR_KEY."
        )
    return Acting(name=workspace.actor, key=load_signing_key(path, workspace.actor))


def entry(
    kind: str, *, subject: Mapping[str, Any], detail: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Build a ledger entry, timed now; the ledger adds who acts."""
    return {
        "format": "proctor-entry/1",
        "kind": kind,
        "time": utc_now(),
        "subject": dict(subject),
        "detail": dict(detail or {}),
    }


def secret_key(workspace: Workspace, name: str, *, make: bool = False) -> bytes:
    """The secret key ``name`` of the keyring, made at first use when ``make``.

    Raises:
        WorkspaceError: the keyring has no such key.
    """
    keyring = read_keyring(workspace.home)
    if name in keyring:
        return keyring[name]
    if not make:
        raise WorkspaceError(
            f"The keyring of {workspace.home} has no key {name!r}. "
            "Restore keys/keyring.json from the backup that was made with the hold-out."
        )
    # Two locks at once must not lose each other's key: what was sealed under it would never open again.
    with _keyring_alone(workspace.home):
        keyring = read_keyring(workspace.home)
        if name not in keyring:
            keyring[name] = secrets.token_bytes(32)
            write_keyring(workspace.home, keyring)
    return keyring[name]


@contextmanager
def _keyring_alone(home: Path) -> Iterator[None]:
    """Hold the keyring against other processes; a killed holder lets go by itself."""
    descriptor = os.open(home / "keys", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_keyring(home: Path) -> dict[str, bytes]:
    """All secret keys by name."""
    path = home / "keys" / "keyring.json"
    try:
        return {name: bytes.fromhex(value) for name, value in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise WorkspaceError(
            f"{path} cannot be read. Restore it from the backup of the workspace."
        ) from error


def write_keyring(home: Path, keyring: Mapping[str, bytes]) -> None:
    """Replace the keyring atomically, readable by its owner alone."""
    text = json.dumps({name: value.hex() for name, value in sorted(keyring.items())}, indent=2)
    write_durable(home / "keys" / "keyring.json", text.encode("ascii"), mode=0o600)


def write_json(path: Path, value: object) -> None:
    """Write readable JSON atomically."""
    write_durable(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def utc_now() -> str:
    """Now, as RFC 3339 in UTC to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def short(digest: str) -> str:
    """Folder name of a digest: its first 16 hexadecimal digits."""
    value = digest.removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise WorkspaceError(f"{digest!r} is not a SHA-256 digest.")
    return value[:16]


def checked_name(name: str) -> str:
    """``name`` if it is a plain lower-case name, which keeps it from climbing out of the workspace."""
    if not NAME_PATTERN.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a usable name. Use up to 64 lower-case letters, digits, dots, dashes or underscores."
        )
    return name
