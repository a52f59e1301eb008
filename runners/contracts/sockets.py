"""Sockets of Grand Challenge: the named inputs of an algorithm, and the manifest that tells a container of them.

Source: grand-challenge.org, ``components`` (paths by kind; ``inputs.json``, whose ``socket`` was called
``interface`` before December 2025: both are written, so that a container of either age finds its own).
"""

from __future__ import annotations

import base64
import json
import os
import re
import uuid
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from runners.contracts.declaration import Part
from runners.contracts.image_reader import ImageReader
from runners.contracts.metaimage import write_metaimage
from runners.contracts.tiff import write_tiff
from runners.errors import ContractRefused, SessionError
from runners.failures import CaseFailed, FailureCode
from runners.worker import CaseInput

DICOM_SET = "DICOM Image Set"
IMAGE = "Image"

# Kinds that are files, with the endings of their names.
FILES = {
    "PDF file": (".pdf",),
    "SQREG file": (".sqreg",),
    "Thumbnail jpg": (".jpg", ".jpeg"),
    "Thumbnail png": (".png",),
    "OBJ file": (".obj",),
    "MP4 file": (".mp4",),
    "Newick tree-format file": (".newick",),
    "BIOM format": (".biom",),
    "CSV file": (".csv",),
    "ZIP file": (".zip",),
}

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_IMAGE_PATH = re.compile(r"images/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_VALUE_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\.json")
_FILE_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_KEYWORD = re.compile(r"[A-Z][A-Za-z0-9]{1,63}")
_UID = re.compile(r"[0-9.]{1,64}")
_SOP_INSTANCE_UID = "SOPInstanceUID"


class Socket(Part):
    """One input.

    ``DICOM Image Set`` and ``Image`` hold the case, or those of its files whose attributes have the values that
    ``select`` names; an ``Image`` comes as ``.mha``, or with ``format: tif`` as TIFF. Kinds of files hold ``text``, or
    bytes in ``base64``, the same for all cases. Any other kind holds JSON: ``value``, the same for all cases; or the
    case's own ``attribute``; or an object of several ``attributes`` by name. Attributes are DICOM keywords, and only
    those that the protocol shows to containers have values; the others are null.
    """

    slug: str
    kind: str
    relative_path: str
    value: Any = None
    text: str | None = None
    base64: str | None = None
    format: Literal["mha", "tif"] = "mha"
    title: str = ""
    select: dict[str, str] = Field(default_factory=dict)
    attribute: str | None = None
    attributes: dict[str, str] | None = None

    @field_validator("slug")
    @classmethod
    def _plain_slug(cls, slug: str) -> str:
        if not _SLUG.fullmatch(slug):
            raise ValueError
        return slug

    @model_validator(mode="after")
    def _fields_by_kind(self) -> Socket:
        wanted = _IMAGE_PATH if self.holds_case else _FILE_PATH if self.is_file else _VALUE_PATH
        if not wanted.fullmatch(self.relative_path) or self.relative_path == "inputs.json":
            raise ValueError
        if (self.text is not None) + (self.base64 is not None) != self.is_file:
            raise ValueError
        if self.is_file and not self.relative_path.endswith(FILES[self.kind]):
            raise ValueError
        if self.format == "tif" and self.kind != IMAGE:
            raise ValueError
        base64.b64decode(self.base64 or "", validate=True)
        values = (self.value is not None, self.attribute is not None, self.attributes is not None)
        if sum(values) > (0 if self.holds_case or self.is_file else 1) or (
            self.select and not self.holds_case
        ):
            raise ValueError
        if not all(_KEYWORD.fullmatch(keyword) for keyword in (*self.select, *self.keywords)):
            raise ValueError
        return self

    @property
    def holds_case(self) -> bool:
        """Whether the case's image comes in here."""
        return self.kind in (DICOM_SET, IMAGE)

    @property
    def is_file(self) -> bool:
        """Whether it is a file that is the same for all cases."""
        return self.kind in FILES

    @property
    def content(self) -> bytes:
        """Content of that file."""
        return base64.b64decode(self.base64) if self.base64 is not None else (self.text or "").encode()

    @property
    def keywords(self) -> tuple[str, ...]:
        """Attributes of the case that make its value."""
        return (*(() if self.attribute is None else (self.attribute,)), *(self.attributes or {}).values())


def write_inputs(
    reader: ImageReader | None, sockets: tuple[Socket, ...], case: CaseInput, root: Path
) -> None:
    """Lay out one case below ``root`` as Grand Challenge does; the manifest comes last.

    Raises:
        CaseFailed: STAGING_FAILED, the case cannot be read, or a socket finds no image in it.
        SessionError: the case must be read, and there is nobody to do so.
    """
    keywords = {keyword for socket in sockets for keyword in (*socket.select, *socket.keywords)}
    named = any(socket.kind == DICOM_SET for socket in sockets) and reader is not None
    known: dict[str, dict[str, Any]] = {name: {} for name in case.files}
    if keywords or named:
        read = _present(reader).attributes(case, tuple(sorted({*keywords, _SOP_INSTANCE_UID})))
        known = {name: dict(read.get(name, {})) for name in case.files}
    manifest = []
    for number, socket in enumerate(sockets, start=1):
        place = root / socket.relative_path
        value = None
        if socket.holds_case:
            place.mkdir(mode=0o755, parents=True)
            files = _selected(socket, known)
            if socket.kind == IMAGE:
                write = write_tiff if socket.format == "tif" else write_metaimage
                name = f"{_uuid(case.case, socket.slug)}.{socket.format}"
                write(_present(reader).volume(case, files), place / name)
            else:
                for name in files:
                    # A file may come in at several sockets.
                    os.link(case.directory / name, place / _dicom_name(known[name], name))
        elif socket.is_file:
            place.write_bytes(socket.content)
        else:
            value = _value(socket, known)
            place.write_text(json.dumps(value), encoding="utf-8")
        manifest.append(_entry(socket, number, case.case, value))
    (root / "inputs.json").write_text(json.dumps(manifest), encoding="utf-8")


def check_sockets(sockets: tuple[Socket, ...]) -> None:
    """See that the case comes in, that sockets know their part of it, and that no two share a name or a place.

    Raises:
        ContractRefused: they do not.
    """
    images = [socket for socket in sockets if socket.holds_case]
    if not images:
        raise ContractRefused("An input must hold the case: of kind 'DICOM Image Set' or 'Image'.")
    if len(images) > 1 and not all(socket.select for socket in images):
        raise ContractRefused(
            "Several inputs hold images: say with select which images of a case each of them gets, by DICOM "
            "attributes (select: {Modality: CT})."
        )
    for values in ([item.slug for item in sockets], [item.relative_path for item in sockets]):
        if len(set(values)) != len(values):
            raise ContractRefused("Two inputs share a slug or a path.")


def _present(reader: ImageReader | None) -> ImageReader:
    if reader is None:
        raise SessionError("The contract asks for images or attributes, and nobody reads them in this run.")
    return reader


def _selected(socket: Socket, known: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    found = tuple(
        name
        for name, values in known.items()
        if all(_matches(values.get(keyword), wanted) for keyword, wanted in socket.select.items())
    )
    if not found:
        raise CaseFailed(
            FailureCode.STAGING_FAILED, f"no image of the case is one for the input {socket.slug}"
        )
    return found


def _matches(value: Any, wanted: str) -> bool:
    """Compare as text; of several values (Image Type) one must be it."""
    return wanted in (str(item) for item in (value if isinstance(value, list) else [value]))


def _value(socket: Socket, known: dict[str, dict[str, Any]]) -> Any:
    if not socket.keywords:
        return socket.value
    values = {keyword: _shared(keyword, known) for keyword in socket.keywords}
    if socket.attribute is not None:
        return values[socket.attribute]
    return {name: values[keyword] for name, keyword in (socket.attributes or {}).items()}


def _shared(keyword: str, known: dict[str, dict[str, Any]]) -> Any:
    """The one value that the files of a case agree on, or None."""
    found = [values[keyword] for values in known.values() if values.get(keyword) is not None]
    return found[0] if found and all(value == found[0] for value in found) else None


def _dicom_name(values: dict[str, Any], name: str) -> str:
    """Name a file by its SOP Instance UID, as the platform does; the UID is one of this run alone."""
    uid = values.get(_SOP_INSTANCE_UID)
    return f"{uid}.dcm" if isinstance(uid, str) and _UID.fullmatch(uid) else name


def _entry(socket: Socket, number: int, case: str, value: Any) -> dict[str, Any]:
    described = {
        "title": socket.title or socket.slug.replace("-", " ").capitalize(),
        "description": "",
        "slug": socket.slug,
        "kind": socket.kind,
        "pk": number,
        "default_value": None,
        "super_kind": "Image" if socket.holds_case else "File" if socket.is_file else "Value",
        "relative_path": socket.relative_path,
        "overlay_segments": [],
        "look_up_table": None,
    }
    return {
        "socket": described,
        "interface": described,
        "value": value,
        "file": socket.relative_path if socket.is_file else None,
        "image": {"pk": _uuid(case, socket.slug), "name": case} if socket.holds_case else None,
        "pk": number,
    }


def _uuid(case: str, slug: str) -> str:
    """Name an image as Grand Challenge does: the pseudonym in other words, nothing more."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{case}/{slug}"))
