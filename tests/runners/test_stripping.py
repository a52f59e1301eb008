"""Set-user-id bits and file capabilities are taken out of what the engine is given, and nothing else is changed."""

import hashlib
import io
import json
import struct
import tarfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners import admission
from runners.admission import read_archive
from runners.errors import AdmissionRefused
from runners.posture import Posture
from runners.refusals import ArchiveRefused
from runners.stripping import Stripped
from runners.worker import run_cases
from tests.runners.conftest import SCORE, make_vendor, stage
from tests.runners.oci_archives import PASSWD, RULES, config_of, oci, sha, tar

# Version 2 of struct vfs_cap_data (linux/capability.h): effective, CAP_NET_RAW permitted.
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
KEY = "SCHILY.xattr.security.capability"
NAMES = st.text("abcdefé", min_size=1, max_size=120).map(lambda name: f"d/{name}")
FORMATS = st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])


@st.composite
def entries(draw):
    entry = tarfile.TarInfo(draw(NAMES))
    kinds = [tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE]
    entry.type = draw(st.sampled_from(kinds))
    entry.mode, entry.mtime = draw(st.integers(0, 0o7777)), draw(st.integers(0, 2**33))
    content = b""
    if entry.type == tarfile.REGTYPE:
        content = draw(st.binary(max_size=1500))
    elif entry.type in (tarfile.LNKTYPE, tarfile.SYMTYPE):
        entry.linkname = draw(NAMES)
    entry.size = len(content)
    if draw(st.booleans()):
        keys = st.sampled_from(["security.capability", "trusted.overlay.redirect", "user.note"])
        entry.pax_headers = {f"SCHILY.xattr.{draw(keys)}": draw(st.text("xyz", max_size=30))}
    return entry, content


def written(members, kind):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=kind) as layer:
        for entry, content in members:
            layer.addfile(entry, io.BytesIO(content))
    return whole.getvalue()


def stripped(content, step=-1):
    stream, pieces = Stripped(io.BytesIO(content)), []
    while piece := stream.read(step):
        pieces.append(piece)
    return b"".join(pieces), stream


def listed(content):
    with tarfile.open(fileobj=io.BytesIO(content)) as layer:
        return [
            (entry, layer.extractfile(entry).read() if entry.isreg() else b"") for entry in layer.getmembers()
        ]


@given(st.lists(entries(), max_size=8), FORMATS, st.integers(1, 3000))
def test_only_rights_are_taken_away(members, kind, step):
    before = written(members, kind)
    after, stream = stripped(before, step)
    assert len(after) == len(before)
    assert stream.hash.hexdigest() == hashlib.sha256(after).hexdigest()
    for (old, content), (new, kept) in zip(listed(before), listed(after), strict=True):
        assert kept == content
        assert (new.name, new.type, new.linkname, new.mtime) == (old.name, old.type, old.linkname, old.mtime)
        assert new.mode == (old.mode if old.isdir() else old.mode & ~0o6000)
        rights = [key for key in new.pax_headers if key.startswith(("SCHILY.xattr.s", "SCHILY.xattr.t"))]
        assert rights == []
        assert [key for key in new.pax_headers if "user" in key] == [
            key for key in old.pax_headers if "user" in key
        ]
    assert stripped(after)[0] == after
    assert (stream.cleared == 0) == (after == before)


def header(name, kind=tarfile.REGTYPE, size=0, mode=0o4755):
    entry = tarfile.TarInfo(name)
    entry.type, entry.size, entry.mode = kind, size, mode
    return entry.tobuf(tarfile.USTAR_FORMAT)


def extension(kind, record):
    text = record.ljust(512, b"\0")
    return header("x", kind, len(record)) + text


FILE = header("f")
AMBIGUOUS = {
    "two extensions in a row": extension(b"x", b"11 size=99\n") + extension(b"x", b"9 path=a\n") + FILE,
    "extension of another system": extension(b"X", b"11 size=99\n") + FILE,
    "size for every file": extension(b"g", b"11 size=99\n") + FILE,
    "record longer than its text": extension(b"x", b"99 path=a\n") + FILE,
    "record without an end": extension(b"x", b"9 path=ab") + FILE,
    "size that is no number": extension(b"x", b"11 size=-9\n") + FILE,
    "wrong checksum": FILE[:100] + b"0004777\0" + FILE[108:],
    "folder with content": header("f/", b"\0", 512) + FILE,
    "negative size": FILE[:124] + b"\xff" * 12 + FILE[136:],
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_two_readers_could_take_differently_is_refused(name):
    with pytest.raises(ArchiveRefused):
        stripped(AMBIGUOUS[name] + bytes(1024))


def test_sparse_and_long_files_are_passed_over():
    """A header that hides in a file's content is left alone, wherever the reader thinks that content ends."""
    content = FILE + FILE
    long = tarfile.TarInfo("x" * 300)
    long.size, long.mode = len(content), 0o644
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        whole = written([(long, content)], kind)
        assert stripped(whole)[0] == whole
    map_follows = bytearray(header("s", tarfile.GNUTYPE_SPARSE, 512, 0o644))
    map_follows[482] = 1
    map_follows[148:156] = b"%06o\0 " % (sum(map_follows[:148]) + 256 + sum(map_follows[156:]))
    whole = bytes(map_follows) + bytes(512) + FILE + bytes(1024)
    assert stripped(whole)[0] == whole


def rights(format_=tarfile.PAX_FORMAT):
    """A layer with a set-user-id file, a hard link that would bring the bit back, and a file capability."""
    plain, owner, link = (tarfile.TarInfo(name) for name in ("plain", "rights", "again"))
    owner.mode, owner.pax_headers = 0o6755, {KEY: CAPABILITY.decode("utf-8", "surrogateescape")}
    link.type, link.linkname, link.mode = tarfile.LNKTYPE, "plain", 0o4755
    return written([(plain, b""), (owner, b""), (link, b"")], format_)


@pytest.mark.parametrize(
    ("squeeze", "whole", "nested"),
    [("plain", "plain", False), ("gzip", "zstd", True), ("zstd", "gzip", False)],
)
def test_loaded_digest_is_that_of_the_image_without_rights(tmp_path, squeeze, whole, nested):
    layers = [tar(PASSWD), rights()]
    admitted = read_archive(oci(tmp_path / "i", layers, squeeze=squeeze, whole=whole, nested=nested), RULES)
    assert admitted.digest == f"sha256:{sha(config_of(layers))}"
    changed = json.loads(config_of([layers[0], stripped(layers[1])[0]]))
    text = json.dumps(changed, sort_keys=True, separators=(",", ":")).encode()
    assert admitted.loaded == f"sha256:{sha(text)}"
    assert admitted.warnings == ("set_user_id_files",)


def test_image_without_rights_is_loaded_as_it_is(tmp_path):
    admitted = read_archive(oci(tmp_path / "i", [tar(PASSWD)]), RULES)
    assert admitted.loaded == admitted.digest
    assert admitted.warnings == ()


@pytest.mark.parametrize(
    "member",
    [
        {"mode": 0o4755},
        {"mode": 0o2755},
        {"mode": 0o4755, "type": tarfile.LNKTYPE, "linkname": "etc/passwd"},
        {"pax_headers": {KEY: "x"}},
    ],
)
def test_policy_may_refuse_instead(tmp_path, member):
    entry = tarfile.TarInfo("rights")
    for name, value in member.items():
        setattr(entry, name, value)
    path = oci(tmp_path / "i", [tar(PASSWD), written([(entry, b"")], tarfile.PAX_FORMAT)])
    with pytest.raises(AdmissionRefused) as caught:
        read_archive(path, replace(RULES, refuse_set_user_id=True))
    assert caught.value.code == "set_user_id"
    folder = tarfile.TarInfo("shared")
    folder.type, folder.mode = tarfile.DIRTYPE, 0o2775
    path = oci(tmp_path / "i", [tar(PASSWD), written([(folder, b"")], tarfile.PAX_FORMAT)])
    assert read_archive(path, replace(RULES, refuse_set_user_id=True)).warnings == ()


@pytest.mark.engine
def test_in_a_container_the_file_has_no_rights(engine, limits, tmp_path):
    """The same image, as the vendor saved it and as it is loaded."""
    owner = tarfile.TarInfo("rights")
    owner.mode, owner.pax_headers = 0o6755, {KEY: CAPABILITY.decode("utf-8", "surrogateescape")}
    image = make_vendor(engine, tmp_path / "vendor", "", more=[(owner, b"x")])
    path = tmp_path / "image.tar"
    engine.save(image, path)
    admitted = read_archive(path)
    assert admitted.digest == image != admitted.loaded
    try:
        admission.load(engine, path, admitted.loaded, strip=True)
        assert asked(engine, admitted.loaded, limits, tmp_path / "stripped") == 0.0
        bits, capability = 6 / 20, 8 / 20
        assert asked(engine, image, limits, tmp_path / "whole") == pytest.approx(bits + capability)
        # Loading again is known by its digest; another archive under that name is refused.
        admission.load(engine, path, admitted.loaded, strip=True)
        engine.remove_image(admitted.loaded)
        with pytest.raises(Exception, match="does not hold the admitted image"):
            admission.load(engine, path, admitted.loaded, strip=False)
    finally:
        engine.remove_image(admitted.loaded)


def asked(engine, image, limits, folder):
    root = folder / "input"
    root.mkdir(parents=True)
    (outcome,) = run_cases(
        engine,
        image,
        posture=Posture(),
        limits=limits,
        cases=[stage(folder / "staged", "rights-1")],
        input_root=root,
        task=SCORE,
    )
    return outcome.answer["score"]
