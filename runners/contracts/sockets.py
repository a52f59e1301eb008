"""Sockets of Grand Challenge: the named inputs of an algorithm, and the manifest that tells a container of them.

Source: grand-challenge.org, ``components`` (paths by kind; ``inputs.json``, whose ``socket`` was called
``interface`` before December 2025: both are written, so that a container of either age finds its own).
"""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

from pydantic import field_validator, model_validator

from runners.contracts.declaration import Part
from runners.contracts.interface import ContractRun
from runners.contracts.metaimage import write_metaimage
from runners.errors import ContractRefused, SessionError
from runners.worker import CaseInput

DICOM_SET = "DICOM Image Set"
IMAGE = "Image"

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_IMAGE_PATH = re.compile(r"images/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_VALUE_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\.json")


class Socket(Part):
    """One input: ``DICOM Image Set`` and ``Image`` hold the case, any other kind holds ``value``, the same for all."""

    slug: str
    kind: str
    relative_path: str
    value: Any = None
    title: str = ""

    @field_validator("slug")
    @classmethod
    def _plain_slug(cls, slug: str) -> str:
        if not _SLUG.fullmatch(slug):
            raise ValueError
        return slug

    @model_validator(mode="after")
    def _path_by_kind(self) -> Socket:
        wanted = _IMAGE_PATH if self.holds_case else _VALUE_PATH
        if not wanted.fullmatch(self.relative_path) or self.relative_path == "inputs.json":
            raise ValueError
        return self

    @property
    def holds_case(self) -> bool:
        """Whether the case's image comes in here."""
        return self.kind in (DICOM_SET, IMAGE)


def write_inputs(run: ContractRun, sockets: tuple[Socket, ...], case: CaseInput, root: Path) -> None:
    """Lay out one case below ``root`` as Grand Challenge does; the manifest comes last.

    Raises:
        SessionError: the case cannot be moved, or there is nobody to decode it.
    """
    manifest = []
    for number, socket in enumerate(sockets, start=1):
        place = root / socket.relative_path
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if socket.kind == DICOM_SET:
            case.directory.chmod(0o755)
            case.directory.rename(place)
        elif socket.kind == IMAGE:
            if run.decode is None:
                raise SessionError(
                    "The contract asks for a decoded image, and there is no decoder in this run."
                )
            place.mkdir(mode=0o755)
            write_metaimage(run.decode(case), place / f"{_uuid(case.case)}.mha")
        else:
            place.write_text(json.dumps(socket.value), encoding="utf-8")
        manifest.append(_entry(socket, number, case.case))
    (root / "inputs.json").write_text(json.dumps(manifest), encoding="utf-8")


def check_sockets(sockets: tuple[Socket, ...]) -> None:
    """See that the case comes in at exactly one socket, and no two share a name or a place.

    Raises:
        ContractRefused: they do not.
    """
    if sum(socket.holds_case for socket in sockets) != 1:
        raise ContractRefused("Exactly one input must hold the case: of kind 'DICOM Image Set' or 'Image'.")
    for values in ([item.slug for item in sockets], [item.relative_path for item in sockets]):
        if len(set(values)) != len(values):
            raise ContractRefused("Two inputs share a slug or a path.")


def _entry(socket: Socket, number: int, case: str) -> dict[str, Any]:
    described = {
        "title": socket.title or socket.slug.replace("-", " ").capitalize(),
        "description": "",
        "slug": socket.slug,
        "kind": socket.kind,
        "pk": number,
        "default_value": None,
        "super_kind": "Image" if socket.holds_case else "Value",
        "relative_path": socket.relative_path,
        "overlay_segments": [],
        "look_up_table": None,
    }
    return {
        "socket": described,
        "interface": described,
        "value": None if socket.holds_case else socket.value,
        "file": None,
        "image": {"pk": _uuid(case), "name": case} if socket.holds_case else None,
        "pk": number,
    }


def _uuid(case: str) -> str:
    """Name the case as an image of Grand Challenge is named: the pseudonym in other words, nothing more."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, case))
