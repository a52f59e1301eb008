"""Archives in every layout and compression, on the engine and without it; what the layers say of their packages."""

import json
import lzma
import sqlite3
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from runners import admission
from runners.admission import read_archive
from runners.errors import AdmissionRefused
from runners.limits import MIB
from runners.packages import MOST_PACKAGES, Package, read_packages
from tests.runners.oci_archives import PASSWD, RULES, SQUEEZE, config_of, descriptor, oci, sha, tar

DATA = Path(__file__).parent / "data" / "rpm"


def refusal(path, rules=RULES, **more):
    with pytest.raises(AdmissionRefused) as caught:
        read_archive(path, rules, **more)
    return caught.value.code


@pytest.mark.parametrize(
    ("squeeze", "whole", "nested"),
    [
        ("plain", "plain", False),
        ("gzip", "zstd frames", True),
        ("zstd", "gzip", False),
        ("zstd frames", "zstd", True),
    ],
)
def test_oci_layouts_pass(tmp_path, squeeze, whole, nested):
    layers = [tar(PASSWD), tar({"app": bytes(5000)})]
    papers = descriptor(b"papers", annotations={"vnd.docker.reference.type": "attestation-manifest"})
    path = oci(tmp_path / "i", layers, squeeze=squeeze, whole=whole, nested=nested, others=[papers])
    admitted = read_archive(path, RULES)
    assert admitted.digest == f"sha256:{sha(config_of(layers))}"
    assert admitted.layers == tuple(f"sha256:{sha(layer)}" for layer in layers)


def test_oci_layouts_that_are_refused(tmp_path):
    layers, path = [tar(PASSWD)], tmp_path / "i"
    assert refusal(oci(path, layers, others=[descriptor(b"other")])) == "not_one_image"
    assert refusal(oci(path, [tar({}) + bytes(512 * n) for n in range(9)])) == "layer_count"
    path.write_bytes(tar({"index.json": b'{"manifests": []}'}))
    assert refusal(path) == "not_one_image"
    path.write_bytes(tar({"index.json": b'{"manifests": [{"digest": "sha256:../../x"}]}'}))
    assert refusal(path) == "manifest"
    path.write_bytes(tar({"index.json": json.dumps({"manifests": [descriptor(b"gone")]}).encode()}))
    assert refusal(path) == "manifest"
    forged = tar(
        {
            "index.json": json.dumps({"manifests": [descriptor(b"x")]}).encode(),
            f"blobs/sha256/{sha(b'x')}": b"{}",
        }
    )
    path.write_bytes(forged)
    assert refusal(path) == "digest_mismatch"
    bomb = SQUEEZE["zstd"](bytes(200 * MIB))
    path.write_bytes(bomb)
    assert refusal(path) in ("manifest", "truncated")
    assert refusal(oci(path, [bytes(65 * MIB)], squeeze="zstd")) == "too_large"
    path.write_bytes(SQUEEZE["zstd"](tar(PASSWD))[:-5])
    assert refusal(path) in ("truncated", "not_an_archive")


def test_many_small_layers_do_not_count_as_configuration(tmp_path):
    layers = [tar(PASSWD), *(tar({f"f{n}": bytes(3 * MIB)}) for n in range(7))]
    large = replace(RULES, total_bytes=128 * MIB)
    assert len(read_archive(oci(tmp_path / "i", layers), large).layers) == 8


def test_declarations_of_the_contract_are_kept(tmp_path):
    lower = tar({**PASSWD, "proctor.json": b"{}", "etc/monai/app.json": b"old"})
    upper = tar({"etc/monai/.wh.app.json": b"", "proctor.json": b'{"a": 1}'})
    config = config_of([lower, upper], Labels={"Org.Grand-Challenge.Api-Method": "'exec'", "maintainer": "x"})
    admitted = read_archive(oci(tmp_path / "i", [lower, upper], config=config), RULES)
    assert admitted.manifests == {"proctor.json": '{"a": 1}'}
    assert admitted.labels == {"org.grand-challenge.api-method": "'exec'"}


DPKG = b"""Package: libc6
Status: install ok installed
Version: 2.36-9+deb12u4

Package: gone
Status: deinstall ok config-files
Version: 1.0

Package: bad name
Status: install ok installed
Version: 1.0
"""
APK = b"P:musl\nV:1.2.5-r0\nA:x86_64\n\nP:busybox\nV:1.36.1-r29\n"
METADATA = b"Metadata-Version: 2.1\nName: torch\nVersion: 2.4.0\n\nName: a description\n"


def rpmdb(tmp_path, packages):
    path = tmp_path / "rpmdb.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        for values in packages:
            store, index = b"", b""
            for tag, value in zip((1000, 1001, 1002), values, strict=True):
                index += struct.pack(">IIII", tag, 6, len(store), 1)
                store += value.encode() + b"\0"
            database.execute(
                "INSERT INTO Packages (blob) VALUES (?)", (struct.pack(">II", 3, len(store)) + index + store,)
            )
    # The last connection to close brings the log into the file, which stays marked as one with a log.
    database.close()
    return path.read_bytes()


def test_packages_of_every_kind_are_listed(tmp_path):
    lower = tar(
        {
            **PASSWD,
            "var/lib/dpkg/status": DPKG,
            "var/lib/dpkg/status.d/base-files": b"Package: base-files\nVersion: 12.4+deb12u5\n",
            "var/lib/dpkg/status.d/base-files.md5sums": b"0123  usr/share/doc\n",
            "lib/apk/db/installed": APK,
            "usr/lib/python3/dist-packages/six-1.16.0.egg-info": b"Name: six\nVersion: 1.16.0\n",
            "usr/lib/sysimage/rpm/Packages": lzma.decompress((DATA / "Packages.xz").read_bytes()),
            "var/lib/rpm/rpmdb.sqlite": rpmdb(tmp_path, [("bash", "5.2", "1.el9")]),
            "usr/lib/python3/dist-packages/numpy-1.24.2.egg-info/PKG-INFO": b"Name: numpy\nVersion: 1.24.2\n",
            "opt/old/torch-1.0.dist-info/METADATA": b"Name: torch\nVersion: 1.0\n",
            "opt/whole/flask-1.0.dist-info/METADATA": b"Name: flask\nVersion: 1.0\n",
        }
    )
    upper = tar(
        {
            "opt/old/.wh.torch-1.0.dist-info": b"",
            "opt/whole/.wh..wh..opq": b"",
            "opt/new/torch-2.4.0.dist-info/METADATA": METADATA,
        }
    )
    admitted = read_archive(oci(tmp_path / "i", [lower, upper], squeeze="gzip"), RULES)
    assert [(item.kind, item.name, item.version) for item in admitted.packages] == [
        ("apk", "busybox", "1.36.1-r29"),
        ("apk", "musl", "1.2.5-r0"),
        ("deb", "base-files", "12.4+deb12u5"),
        ("deb", "libc6", "2.36-9+deb12u4"),
        ("python", "numpy", "1.24.2"),
        ("python", "six", "1.16.0"),
        ("python", "torch", "2.4.0"),
        ("rpm", "bash", "5.2-1.el9"),
        ("rpm", "sample-one", "1.2.3-4.el9"),
        ("rpm", "sample-two", "2:1.2.3-4.el9"),
    ]
    assert admitted.warnings == ()


@pytest.mark.parametrize(
    "files",
    [
        {"var/lib/rpm/rpmdb.sqlite": b"SQLite format 3\0" + bytes(5000)},
        {"var/lib/rpm/Packages": b"x"},
        {"usr/lib/sysimage/rpm/Packages.db": b"RpmP" + bytes(100)},
        {"var/lib/dpkg/status": b"".join(b"Package: p%d\nVersion: 1\n\n" % n for n in range(MOST_PACKAGES))
         , "a.egg-info": b"Name: one-more\nVersion: 1\n"},
    ],
)  # fmt: skip
def test_what_is_not_read_is_said(tmp_path, files):
    admitted = read_archive(oci(tmp_path / "i", [tar(PASSWD | files)]), RULES)
    assert admitted.warnings == ("packages_incomplete",)
    assert len(admitted.packages) <= MOST_PACKAGES


def test_names_from_a_database_are_plain_text():
    content = b"Name: \x1b[31mDOE\nVersion: 1\n"
    assert read_packages("a.egg-info", content) == ()
    assert read_packages("var/lib/dpkg/status", DPKG) == (
        Package(kind="deb", name="libc6", version="2.36-9+deb12u4"),
    )


@pytest.mark.engine
@pytest.mark.parametrize("squeeze", ["plain", "gzip", "zstd"])
def test_engine_holds_what_an_oci_archive_says(engine, vendor, tmp_path, squeeze):
    saved = tmp_path / "saved.tar"
    image = vendor("deaf", (f'LABEL made="for OCI {squeeze}"',))
    engine.save(image, saved)
    with tarfile.open(saved) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]
        config = archive.extractfile(manifest["Config"]).read()
        layers = [archive.extractfile(name).read() for name in manifest["Layers"]]
    path = oci(tmp_path / "oci.tar", layers, squeeze=squeeze, whole=squeeze, config=config)
    try:
        admitted = read_archive(path)
        assert admitted.digest == image
        engine.remove_image(image)
        assert engine.image(image) is None
        admission.load(engine, path, admitted.digest)
        assert engine.image(image).digest == image
    finally:
        engine.remove_image(image)
