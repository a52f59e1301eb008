"""Marks that must never leave, and the search for their traces in everything that would.

A sentinel is a synthetic case among the real ones whose names and pixels hold marks that occur nowhere else. When a
mark is found in what would leave, something carries case data out, whatever its intention. The search looks through
the usual spellings and containers; it finds carelessness and plain channels, not a code made to hide.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import secrets
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sandbox.disclosure.errors import DisclosureError, DisclosureRefusedError

_PREFIX = "PRCTR"
_ALPHABET = "23456789BCDFGHJKMNPQRSTVWXYZ"
_LENGTH = 20
_DEPTH = 4
_MOST_BYTES = 256 * 2**20
SHORTEST_MARK = 6
"""Shorter texts occur by chance in decoded bytes and could not be searched for."""
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{8,}={0,2}")
_PERCENT = re.compile(rb"%[0-9A-Fa-f]{2}")
_STREAM = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A mark that was found; ``spelling`` names how it was written, outermost first, e.g. ``zip, base64``."""

    mark: str
    spelling: str


def make_marks(number: int, source: secrets.SystemRandom | None = None) -> tuple[str, ...]:
    """Make marks of 25 capital letters and digits, fit for a DICOM text value, each different from all others.

    Args:
        number: how many.
        source: of randomness; the operating system's when None.
    """
    random = source or secrets.SystemRandom()
    marks: dict[str, None] = {}
    while len(marks) < number:
        marks[_PREFIX + "".join(random.choice(_ALPHABET) for _ in range(_LENGTH))] = None
    return tuple(marks)


def find_traces(data: bytes, marks: Sequence[str]) -> tuple[Trace, ...]:
    """Search ``data`` for ``marks``, in either case, in any of these spellings and up to four within each other.

    Plain text, UTF-16, reversed, base64 and hexadecimal runs at any offset, percent-encoding, zlib, gzip and raw
    members of ZIP archives, names of members included.

    Args:
        data: what would leave.
        marks: ASCII texts of at least :data:`SHORTEST_MARK` characters.

    Raises:
        DisclosureError: a mark is too short or not ASCII.
        DisclosureRefusedError: an archive in ``data`` cannot be read, or unfolds to more than can be searched.
    """
    if any(len(mark) < SHORTEST_MARK or not mark.isascii() for mark in marks):
        raise DisclosureError(
            f"a mark must be at least {SHORTEST_MARK} ASCII characters long; leave others out"
        )
    found: dict[Trace, None] = {}
    forward = {mark.lower().encode(): mark for mark in marks}
    backward = {needle[::-1]: mark for needle, mark in forward.items()}
    lengths = sorted({len(needle) for needle in forward})
    for spelling, text in _unwrapped(data):
        folded = text.lower()
        for needle in _windows(folded, lengths, forward):
            found[Trace(mark=forward[needle], spelling=spelling or "plain")] = None
        for needle in _windows(folded, lengths, backward):
            trace = Trace(mark=backward[needle], spelling=f"{spelling}, reversed".lstrip(", "))
            if needle not in forward:
                found[trace] = None
    return tuple(found)


def _windows(text: bytes, lengths: Sequence[int], wanted: Mapping[bytes, str]) -> Iterator[bytes]:
    """Marks that stand in ``text``: each window of their lengths is looked up, however many marks there are."""
    for length in lengths:
        for start in range(len(text) - length + 1):
            window = text[start : start + length]
            if window in wanted:
                yield window


def _unwrapped(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The data and everything that can be unfolded from it, each once."""
    seen: set[bytes] = set()
    queue = [("", data, 0)]
    left = _MOST_BYTES
    while queue:
        spelling, text, depth = queue.pop()
        if text in seen:
            continue
        seen.add(text)
        left -= len(text)
        if left < 0:
            raise _too_large()
        yield spelling, text
        if depth < _DEPTH:
            for name, inner in _inside(text, strict=set(spelling.split(", ")) <= {"", "zip"}):
                queue.append((f"{spelling}, {name}".lstrip(", "), inner, depth + 1))


def _inside(text: bytes, *, strict: bool) -> Iterator[tuple[str, bytes]]:
    if b"\x00" in text:
        # Either byte order, and text that begins at an odd offset: what is left without the zeros.
        yield "utf-16", text.replace(b"\x00", b"")
    if _PERCENT.search(text):
        yield "percent", _PERCENT.sub(lambda match: binascii.unhexlify(match[0][1:]), text)
    yield from _runs(text)
    yield from _streams(text)
    yield from _members(text, strict=strict)


def _runs(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Runs of base64 and of hexadecimal digits, line breaks inside them taken out, decoded from every offset."""
    joined = re.sub(rb"(?<=[A-Za-z0-9+/_-])\r?\n(?=[A-Za-z0-9+/_=-])", b"", text)
    for form in dict.fromkeys((text, joined)):
        runs = {run.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/")) for run in _BASE64.findall(form)}
        for offset in range(4):
            parts = [_from_base64(run[offset:]) for run in runs]
            decoded = b"\n".join(part for part in parts if part)
            if decoded:
                yield "base64", decoded
        spaced = re.sub(rb"(?<=[0-9A-Fa-f]{2})[ :,-](?=[0-9A-Fa-f]{2})", b"", form)
        for offset in range(2):
            digits = [run[offset:] for run in re.findall(rb"[0-9A-Fa-f]{8,}", spaced)]
            decoded = b"\n".join(binascii.unhexlify(run[: len(run) // 2 * 2]) for run in digits)
            if decoded:
                yield "hex", decoded


def _from_base64(run: bytes) -> bytes:
    whole = run[: len(run) // 4 * 4]
    rest = run[len(whole) :]
    tail = base64.b64decode(rest + b"=" * (4 - len(rest))) if len(rest) > 1 else b""
    return base64.b64decode(whole) + tail


def _streams(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Compressed streams, wherever one begins; broken ones as far as they go."""
    for match in _STREAM.finditer(text):
        zipped = zlib.decompressobj(wbits=47)
        try:
            inner = zipped.decompress(text[match.start() :], _MOST_BYTES)
        except zlib.error:
            continue
        if inner:
            yield "compressed", inner


def _members(text: bytes, *, strict: bool) -> Iterator[tuple[str, bytes]]:
    """Members of an archive; ``strict`` unless the bytes were changed on the way here, which damages archives."""
    if b"PK\x03\x04" not in text:
        return
    try:
        with zipfile.ZipFile(io.BytesIO(text)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > _MOST_BYTES:
                raise _too_large()
            yield "zip names", "\n".join(member.filename for member in members).encode()
            for member in members:
                yield "zip", archive.read(member)
    except (DisclosureRefusedError, MemoryError):
        raise
    except Exception as error:
        # Locked, damaged or in an unknown method, an archive makes zipfile raise almost anything.
        if not strict:
            return
        # What cannot be read cannot be cleared.
        raise DisclosureRefusedError(
            "an archive that would leave cannot be read in full; release plain files"
        ) from error


def _too_large() -> DisclosureRefusedError:
    return DisclosureRefusedError(
        "what would leave unfolds to more than can be searched; nothing of this size should leave"
    )
