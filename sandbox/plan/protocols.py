"""Protocols of a workspace: registered once, before any run that they govern, and never changed."""

from __future__ import annotations

import json
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from sandbox.canonical import digest_bytes
from sandbox.errors import EvaluationRefusedError, UsageError, WorkspaceError
from sandbox.evidence.durable import write_durable
from sandbox.institution.policy import load_policy
from sandbox.institution.workspace import Workspace, entry, open_ledger, write_json
from sandbox.plan.protocol import Protocol, load_protocol
from sandbox.plan.stress_section import Resolved
from sandbox.reuse.chosen import choose

FORMAT = "proctor-protocol-record/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredProtocol:
    """A protocol, its canonical digest, and where the ledger holds its registration."""

    protocol: Protocol
    digest: str
    registered: str
    ledger_index: int
    path: Path


def register(workspace: Workspace, path: Path) -> RegisteredProtocol:
    """Put a checked protocol into the ledger; registering the same protocol again changes nothing.

    Raises:
        ProtocolError: the file has a mistake; the message names the line.
        ReuseRefusedError: it asks for a mechanism of release that the policy does not allow.
    """
    protocol = load_protocol(path)
    folder = workspace.protocol(protocol.digest)
    if folder.exists():
        return _read(folder)
    choose(protocol.release, load_policy(workspace.policy_path).reuse)
    text = path.read_bytes()
    waiting = folder.with_name(f".{secrets.token_hex(8)}.partial")
    waiting.mkdir()
    try:
        write_durable(waiting / "protocol.yaml", text)
        if load_protocol(waiting / "protocol.yaml").digest != protocol.digest:
            raise WorkspaceError(f"{path} changed while it was read. Register it again.")
        with open_ledger(workspace) as ledger:
            # A crash between the entry and the folder must not register twice.
            known = ledger.find(kind="protocol-registered", protocol=protocol.digest)
            if known and known[0].subject["source"] == digest_bytes(text):
                index, registered = known[0].index, known[0].time
            else:
                subject = {
                    "protocol": protocol.digest,
                    "name": protocol.name,
                    "source": digest_bytes(text),
                }
                event = entry("protocol-registered", subject=subject)
                index, registered = ledger.append(event), event["time"]
        record = {
            "format": FORMAT,
            "digest": protocol.digest,
            "registered": registered,
            "ledger_index": index,
            # Suites and severities may be others in a later version; what was registered stays.
            **_stress_record(protocol),
        }
        write_json(waiting / "record.json", record)
        waiting.rename(folder)
    finally:
        shutil.rmtree(waiting, ignore_errors=True)
    return _read(folder)


def protocols(workspace: Workspace) -> list[RegisteredProtocol]:
    """All registered protocols, oldest first."""
    folders = (path for path in (workspace.home / "protocols").iterdir() if not path.name.startswith("."))
    return sorted((_read(folder) for folder in folders), key=lambda item: item.ledger_index)


def find(workspace: Workspace, name: str) -> RegisteredProtocol:
    """The registered protocol given by file, digest (or its beginning) or name (the latest of that name).

    Raises:
        EvaluationRefusedError: the file is not registered.
        UsageError: no registered protocol has that name or digest.
    """
    known = protocols(workspace)
    if Path(name).is_file():
        digest = load_protocol(Path(name)).digest
        matches = [item for item in known if item.digest == digest]
        if not matches:
            raise EvaluationRefusedError(
                f"{name} is not registered, or was changed since. A protocol governs a run only when the ledger "
                f"holds it first: proctor protocol register {name}"
            )
        return matches[0]
    wanted = name.removeprefix("sha256:")
    matches = [
        item for item in known if len(wanted) >= 8 and item.digest.removeprefix("sha256:").startswith(wanted)
    ]
    matches = matches or [item for item in known if item.protocol.name == name]
    if not matches:
        names = ", ".join(sorted({item.protocol.name for item in known})) or "none"
        raise UsageError(f"No protocol {name!r} is registered here. Registered: {names}.")
    return matches[-1]


def _stress_record(protocol: Protocol) -> dict[str, object]:
    if protocol.stress is None:
        return {}
    left_out = protocol.stress.left_out
    return {"stress_tests": protocol.document["stress"]["tests"]} | (
        {"stress_left_out": list(left_out)} if left_out else {}
    )


def _read(folder: Path) -> RegisteredProtocol:
    try:
        record = json.loads((folder / "record.json").read_bytes())
        digest, registered, index = record["digest"], record["registered"], record["ledger_index"]
        stress = Resolved.model_validate_json(
            json.dumps(
                {
                    "tests": record.get("stress_tests", []),
                    "left_out": record.get("stress_left_out", []),
                }
            )
        )
    except (OSError, ValueError, KeyError) as error:
        raise WorkspaceError(f"{folder / 'record.json'} is damaged. Restore it from a backup.") from error
    protocol = load_protocol(folder / "protocol.yaml", registered=stress)
    if protocol.digest != digest:
        raise WorkspaceError(
            f"{folder / 'protocol.yaml'} is not the protocol that was registered: its digest differs. "
            "Restore the file from a backup; the ledger holds the digest."
        )
    return RegisteredProtocol(
        protocol=protocol,
        digest=digest,
        registered=registered,
        ledger_index=index,
        path=folder / "protocol.yaml",
    )
