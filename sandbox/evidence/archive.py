"""The dossier's container: a zip file with exactly one spelling for its content.

Members are stored, not compressed (no bombs, and equal bytes whatever zlib is installed), in order of their
names, all with one time, one mode, no comments and no extra fields. Reading takes the members out and demands
that writing them again gives the same bytes: what two zip readers could see differently (central and local
headers that disagree, doubled names, data before, between or after members) cannot pass. Any unzip tool opens
it.

Source: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.4.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from datetime import datetime

from sandbox.errors import DossierError

MAX_ARCHIVE = 256 * 1024 * 1024
MAX_MEMBERS = 4096
_NAME = re.compile(r"(?:[a-z0-9][a-z0-9._-]{0,79}/){0,3}[a-zA-Z0-9][a-zA-Z0-9._-]{0,79}", re.ASCII)
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_VERSION = 20
_UNIX = 3 << 8
_MODE = 0o100644 << 16


def check_name(name: str) -> str:
    """``name`` if it is a plain relative path of at most four parts.

    Raises:
        DossierError: it could climb out of a folder, hide, or be spelled in two ways.
    """
    if not _NAME.fullmatch(name) or any(
        part.startswith(".") or part.endswith(".") for part in name.split("/")
    ):
        raise DossierError("a file in the dossier has a name that is not a plain relative path")
    return name


def write_archive(members: Mapping[str, bytes], time: str) -> bytes:
    """Bytes of the archive; ``time`` (UTC, ``2026-01-31T12:00:00Z``) stands on every member.

    Raises:
        DossierError: a bad name, too many members, or too large.
    """
    date, clock = _dos_time(time)
    if len(members) > MAX_MEMBERS or sum(map(len, members.values())) > MAX_ARCHIVE - 1024 * len(members):
        raise DossierError(f"a dossier holds at most {MAX_MEMBERS} files and {MAX_ARCHIVE} bytes")
    body, directory, at = [], [], 0
    for name, data in sorted(members.items()):
        encoded = check_name(name).encode("ascii")
        facts = (zlib.crc32(data), len(data), len(data), len(encoded), 0)
        local = _LOCAL.pack(b"PK\x03\x04", _VERSION, 0, 0, clock, date, *facts) + encoded + data
        central = _CENTRAL.pack(
            b"PK\x01\x02", _UNIX | _VERSION, _VERSION, 0, 0, clock, date, *facts, 0, 0, 0, _MODE, at
        )
        body.append(local)
        directory.append(central + encoded)
        at += len(local)
    listing = b"".join(directory)
    end = _END.pack(b"PK\x05\x06", 0, 0, len(members), len(members), len(listing), at, 0)
    return b"".join([*body, listing, end])


def read_archive(data: bytes) -> tuple[dict[str, bytes], str]:
    """Members by name, and the time that stands on them.

    Raises:
        DossierError: not an archive that :func:`write_archive` could have written.
    """
    if len(data) > MAX_ARCHIVE:
        raise DossierError(f"the file is larger than the {MAX_ARCHIVE} bytes that a dossier may have")
    members: dict[str, bytes] = {}
    at, stamp = 0, (0, 0)
    while data[at : at + 4] == b"PK\x03\x04":
        if len(members) >= MAX_MEMBERS or at + _LOCAL.size > len(data):
            raise DossierError("the dossier is cut short or holds too many files")
        _, _, _, _, clock, date, _, size, _, name_size, _ = _LOCAL.unpack_from(data, at)
        start = at + _LOCAL.size + name_size
        if start + size > len(data):
            raise DossierError("the dossier is cut short: a file in it does not end")
        try:
            name = check_name(data[at + _LOCAL.size : start].decode("ascii"))
        except UnicodeDecodeError:
            raise DossierError("a file in the dossier has a name that is not a plain relative path") from None
        if name in members:
            raise DossierError("the dossier holds two files of one name")
        members[name], stamp, at = data[start : start + size], (date, clock), start + size
    if not members:
        raise DossierError("the file is not a dossier: it does not begin like a zip archive")
    time = _iso_time(*stamp)
    if write_archive(members, time) != data:
        raise DossierError(
            "the dossier's zip structure is not the one that was written: it was changed or cut"
        )
    return members, time


def _dos_time(time: str) -> tuple[int, int]:
    try:
        moment = datetime.fromisoformat(time.replace("Z", "+00:00"))
    except ValueError as error:
        raise DossierError("a dossier's time must be UTC, like 2026-01-31T12:00:00Z") from error
    if not 1980 <= moment.year <= 2107:
        raise DossierError("a zip archive cannot carry a year before 1980 or after 2107")
    date = (moment.year - 1980) << 9 | moment.month << 5 | moment.day
    return date, moment.hour << 11 | moment.minute << 5 | moment.second // 2


def _iso_time(date: int, clock: int) -> str:
    year, month, day = 1980 + (date >> 9), date >> 5 & 15, date & 31
    hour, minute, second = clock >> 11, clock >> 5 & 63, (clock & 31) * 2
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"
