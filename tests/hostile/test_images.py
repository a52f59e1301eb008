"""Images made to attack the host that takes them in: real archives of the engine, refused before anything runs."""

import gzip
import io
import secrets
import struct
import tarfile

import pytest

from runners.admission import AdmissionRules, read_archive
from runners.errors import AdmissionRefused
from runners.limits import MIB

pytestmark = pytest.mark.engine

RULES = AdmissionRules(
    archive_bytes=16 * MIB, layer_bytes=4 * MIB, total_bytes=6 * MIB, layers=8, files=500, seconds=60
)
# Version 2 of struct vfs_cap_data (linux/capability.h): effective, CAP_SYS_ADMIN permitted.
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 21, 0, 0, 0).decode("utf-8", "surrogateescape")
USER, PROGRAM = "USER 65532:65532", 'ENTRYPOINT ["/app"]'
HONEST = (USER, PROGRAM)


def folders(*names):
    return [(tarfile.DIRTYPE, name, b"", "") for name in names]


def files(count):
    return [(tarfile.REGTYPE, f"file-{number}", b"", "") for number in range(count)]


def link(name, target):
    return [*folders("etc", "tmp"), (tarfile.SYMTYPE, name, b"", target)]


def flip(content):
    """Change one byte of the layer without touching any header."""
    place = content.index(b"the program's own text") + 4
    return content[:place] + b"X" + content[place + 1 :]


ATTACKS = {
    "root by number": ("root_user", ("USER 0:0", PROGRAM), (), None),
    "root by leaving the user out": ("root_user", (PROGRAM,), (), None),
    "root by a name of its own passwd": (
        "root_user",
        ("USER worker", PROGRAM),
        [(tarfile.REGTYPE, "etc/passwd", b"worker:x:0:0::/:\n", "")],
        None,
    ),
    "user that nobody knows": ("unknown_user", ("USER ghost", PROGRAM), (), None),
    "library loaded into every program": ("injected_library", (*HONEST, "ENV LD_PRELOAD=/evil.so"), (), None),
    "library loaded for auditing": ("injected_library", (*HONEST, "ENV LD_AUDIT=/evil.so"), (), None),
    "working directory in a descriptor": (
        "working_directory",
        (*HONEST, "WORKDIR /proc/self/fd/8"),
        (),
        None,
    ),
    "volume on the host's disk": ("volumes", (*HONEST, "VOLUME /data"), (), None),
    "no program": ("no_program", (USER,), (), None),
    "link in place of dev": ("special_folder", HONEST, link("dev", "/tmp"), None),
    "link in place of proc": ("special_folder", HONEST, link("proc", "/tmp"), None),
    "link in place of sys": ("special_folder", HONEST, link("sys", "/etc"), None),
    "layer larger than allowed": ("too_large", HONEST, [(tarfile.REGTYPE, "huge", bytes(5 * MIB), "")], None),
    "compressed bomb": ("too_large", HONEST, [(tarfile.REGTYPE, "huge", bytes(12 * MIB), "")], gzip.compress),
    "more files than allowed": ("too_many_files", HONEST, files(600), None),
    "layer changed after it was named": ("digest_mismatch", HONEST, (), flip),
    "archive cut short": ("truncated", HONEST, (), lambda content: content[: len(content) // 2]),
    "no archive at all": ("not_an_archive", HONEST, (), lambda content: b"\x7fELF" + content),
}


@pytest.fixture
def archive(engine, tmp_path):
    """Return a function that makes an image and writes its archive; the image is removed at the end."""
    tags = []

    def make(changes, members, alter):
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w") as tar:
            program = (tarfile.REGTYPE, "app", b"the program's own text" * 100, "")
            for kind, name, content, target, *rights in (program, *members):
                entry = tarfile.TarInfo(name)
                entry.type, entry.size, entry.linkname, entry.mode = kind, len(content), target, 0o755
                for field, value in (rights[0] if rights else {}).items():
                    setattr(entry, field, value)
                tar.addfile(entry, io.BytesIO(content))
        tags.append(f"proctor/test-image:{secrets.token_hex(6)}")
        digest = engine.import_filesystem(io.BytesIO(whole.getvalue()), tags[-1], changes)
        path = tmp_path / "image.tar"
        engine.save(digest, path)
        if alter is not None:
            path.write_bytes(alter(path.read_bytes()))
        return path

    yield make
    for tag in tags:
        engine.remove_image(tag)


@pytest.mark.parametrize("name", ATTACKS)
def test_image_is_refused(archive, attack, name):
    code, changes, members, alter = ATTACKS[name]
    attack("image", name, f"refused at admission: {code}")
    with pytest.raises(AdmissionRefused) as refused:
        read_archive(archive(changes, members, alter), RULES)
    assert refused.value.code == code
    assert "evil" not in str(refused.value)


def test_honest_image_passes(archive):
    assert read_archive(archive(HONEST, (), None), RULES).run_user == "65532:65532"


RIGHTS = {
    "program that runs as its owner": {"mode": 0o4755},
    "program that runs as its group": {"mode": 0o2755},
    "program with capabilities": {"pax_headers": {"SCHILY.xattr.security.capability": CAPABILITY}},
}


@pytest.mark.parametrize("name", RIGHTS)
def test_rights_of_files_are_stripped(archive, attack, name):
    """``tests/runners/test_stripping.py`` looks at such a file inside a container."""
    attack("image", name, "stripped from what the engine is given")
    member = (tarfile.REGTYPE, "su", b"x", "", RIGHTS[name])
    admitted = read_archive(archive(HONEST, [member], None), RULES)
    assert admitted.loaded != admitted.digest
    assert "set_user_id_files" in admitted.warnings
