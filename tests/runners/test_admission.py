"""Admission of image archives: each check with an archive that it must stop, and both layouts that pass."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace

import pytest

from runners import admission
from runners.admission import AdmissionRules, host_architecture, read_archive
from runners.errors import AdmissionRefused, ImageRefused, RunnerError
from runners.limits import MIB
from runners.refusals import RefusalReason

RULES = AdmissionRules(
    archive_bytes=8 * MIB, layer_bytes=4 * MIB, total_bytes=6 * MIB, layers=8, files=1000, seconds=30
)


def entry(name, kind=tarfile.REGTYPE, content=b"", mode=0o644, link=""):
    made = tarfile.TarInfo(name)
    made.type, made.mode, made.linkname, made.size = kind, mode, link, len(content)
    return made, content


def folder(name):
    return entry(name, tarfile.DIRTYPE, mode=0o755)


def link(name, target, kind=tarfile.SYMTYPE):
    return entry(name, kind, link=target)


def layer(*entries):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for item, content in entries:
            tar.addfile(item, io.BytesIO(content))
    return whole.getvalue()


PLAIN = layer(
    folder("dev"), folder("etc"), entry("etc/passwd", content=b"root:x:0:0::/:\nworker:x:1000:1001::/:\n")
)


def sha(content):
    return hashlib.sha256(content).hexdigest()


def config_of(layers, config=None, **top):
    return {
        "architecture": host_architecture(),
        "os": "linux",
        "config": {"User": "1000", "Entrypoint": ["/app"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha(item)}" for item in layers]},
        **top,
    }


def archive(path, layers=(PLAIN,), *, config=None, members=None, modern=False, stored=None, **top):
    """Write an archive as docker save does, before version 25 or (``modern``) since."""
    text = json.dumps(config_of(layers, config, **top)).encode()
    stored = stored or layers
    if modern:
        names = [f"blobs/sha256/{sha(item)}" for item in stored]
        config_name = f"blobs/sha256/{sha(text)}"
    else:
        names = [f"{index:064x}/layer.tar" for index in range(len(stored))]
        config_name = f"{sha(text)}.json"
    manifest = [{"Config": config_name, "RepoTags": ["proctor/base:latest"], "Layers": names}]
    files = dict(zip(names, stored, strict=True)) | {config_name: text}
    files["manifest.json"] = json.dumps(manifest).encode()
    files |= members or {}
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            if content is not None:
                tar.addfile(
                    *(entry(name)[0], None) if content == b"" else (sized(name, content), io.BytesIO(content))
                )
    return path


def sized(name, content):
    made = tarfile.TarInfo(name)
    made.size = len(content)
    return made


@pytest.mark.parametrize("modern", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_honest_archives_pass_in_both_layouts(tmp_path, modern, compressed):
    upper = layer(entry("app", content=b"x", mode=0o4755), entry("dev/null", tarfile.CHRTYPE))
    path = archive(tmp_path / "image.tar", (PLAIN, upper), modern=modern, config={"User": "worker"})
    if compressed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    admitted = read_archive(path, RULES)
    text = json.dumps(config_of((PLAIN, upper), {"User": "worker"})).encode()
    assert admitted.digest == f"sha256:{sha(text)}"
    assert admitted.run_user == "1000:1001"
    assert admitted.layers == (f"sha256:{sha(PLAIN)}", f"sha256:{sha(upper)}")
    assert admitted.archive_sha256 == sha(path.read_bytes())
    assert admitted.warnings == ("device_nodes", "set_user_id_files")
    assert admitted.size == len(PLAIN) + len(upper)


def test_compressed_layers_are_named_by_their_content(tmp_path):
    path = archive(tmp_path / "image.tar", (PLAIN,), stored=(gzip.compress(PLAIN),), modern=True)
    assert read_archive(path, RULES).layers == (f"sha256:{sha(PLAIN)}",)


def test_layer_that_occurs_twice_is_stored_as_a_link(tmp_path):
    path = tmp_path / "image.tar"
    text = json.dumps(config_of((PLAIN, PLAIN))).encode()
    first, second = f"{1:064x}/layer.tar", f"{2:064x}/layer.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in ((first, PLAIN), (f"{sha(text)}.json", text)):
            tar.addfile(sized(name, content), io.BytesIO(content))
        tar.addfile(link(second, f"../{1:064x}/layer.tar")[0])
        manifest = json.dumps([{"Config": f"{sha(text)}.json", "Layers": [first, second]}]).encode()
        tar.addfile(sized("manifest.json", manifest), io.BytesIO(manifest))
    assert len(read_archive(path, RULES).layers) == 2


BAD_CONFIG = {
    "root_user": [
        {"User": ""},
        {"User": "0"},
        {"User": "root:1000"},
        {"User": "0:0"},
        {"User": "toor"},
        {"User": "00"},
    ],
    "unknown_user": [{"User": "nobody-here"}, {"User": "-5"}],
    "no_program": [{"Entrypoint": None}, {"Entrypoint": []}],
    "volumes": [{"Volumes": {"/data": {}}}],
    "working_directory": [
        {"WorkingDir": "/proc/self/fd/8"},
        {"WorkingDir": "/app/../sys"},
        {"WorkingDir": "//dev"},
    ],
    "injected_library": [{"Env": ["PATH=/bin", "LD_PRELOAD=/x.so"]}, {"Env": ["LD_AUDIT=/x.so"]}],
    "manifest": [{"User": 5}, {"Env": "PATH"}, {"Entrypoint": [1]}, {"Volumes": 7}],
}


@pytest.mark.parametrize(
    ("code", "config"), [(code, item) for code, items in BAD_CONFIG.items() for item in items]
)
def test_configurations_that_are_refused(tmp_path, code, config):
    passwd = entry("etc/passwd", content=b"toor:x:0:0::/:\n")
    assert refusal(archive(tmp_path / "image.tar", (layer(passwd),), config=config)) == code


BAD_LAYERS = {
    "path_traversal": [
        layer(entry("../../etc/cron.d/x")),
        layer(entry("a/../../b")),
        layer(link("a", "../../../etc/shadow", tarfile.LNKTYPE)),
    ],
    "special_folder": [
        layer(link("dev", "/tmp")),
        layer(link("proc", "/etc")),
        layer(entry("sys")),
        layer(link("etc", "/other")),
        layer(link("input", "/")),
    ],
    "working_directory": [layer(link("opt", "/proc/self/fd")), layer(link("opt/app", "/dev"))],
    "too_many_files": [layer(*(folder(f"d{number}") for number in range(1100)))],
    "too_large": [layer(entry("zeros", content=bytes(5 * MIB)))],
}


@pytest.mark.parametrize(
    ("code", "bad"), [(code, item) for code, items in BAD_LAYERS.items() for item in items]
)
def test_layers_that_are_refused(tmp_path, code, bad):
    path = archive(tmp_path / "image.tar", (PLAIN, bad), config={"WorkingDir": "/opt/app"})
    assert refusal(path) == code


def test_a_later_layer_decides_and_removed_links_are_gone(tmp_path):
    path = archive(
        tmp_path / "image.tar", (layer(link("dev", "/x")), layer(entry(".wh.dev")), layer(folder("dev")))
    )
    read_archive(path, RULES)
    root_again = layer(entry("etc/passwd", content=b"worker:x:0:0::/:\n"))
    path = archive(tmp_path / "image.tar", (PLAIN, root_again), config={"User": "worker"})
    assert refusal(path) == "root_user"


def test_small_bombs_are_stopped(tmp_path):
    path = archive(tmp_path / "image.tar", (PLAIN,), stored=(gzip.compress(bytes(200 * MIB)),), modern=True)
    assert refusal(path) == "too_large"
    path.write_bytes(gzip.compress(bytes(50 * MIB)))
    assert refusal(path) in ("manifest", "truncated")


def test_archives_that_are_not_what_they_say(tmp_path):
    path = tmp_path / "image.tar"
    other = json.dumps([{"Config": "x", "Layers": []}]).encode()
    two = json.dumps([{}, {}]).encode()
    assert refusal(archive(path, modern=True, stored=(layer(folder("other")),))) == "digest_mismatch"
    assert refusal(archive(path, members={"manifest.json": two})) == "not_one_image"
    assert refusal(archive(path, members={"manifest.json": other})) == "manifest"
    assert refusal(archive(path, members={"manifest.json": b"[" * 100_000})) == "manifest"
    assert refusal(archive(path, members={"manifest.json": None})) == "manifest"
    assert refusal(archive(path, members={f"{0:064x}/layer.tar": None})) == "truncated"
    assert refusal(archive(path, (PLAIN,) * 9)) == "layer_count"
    assert refusal(archive(path, members={"../evil": b"x"})) == "path_traversal"
    assert refusal(archive(path, architecture="s390x")) == "architecture"
    assert refusal(archive(path, os="windows")) == "architecture"
    assert refusal(archive(path, rootfs={})) == "manifest"
    assert refusal(archive(path, config={"Labels": 3})) == "manifest"


def test_files_that_are_no_archives(tmp_path):
    path = tmp_path / "image.tar"
    whole = archive(path).read_bytes()
    for cut in (len(whole) // 2, 700, 100):
        path.write_bytes(whole[:cut])
        assert refusal(path) in ("truncated", "manifest")
    path.write_bytes(gzip.compress(whole)[:-20])
    assert refusal(path) == "truncated"
    path.write_bytes(b"")
    assert refusal(path) == "truncated"
    path.write_bytes(os.urandom(5000))
    assert refusal(path) == "not_an_archive"
    path.write_bytes(b"BZh9" + bytes(100))
    assert refusal(path) == "compression"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    assert refusal(path) in ("truncated", "not_an_archive")
    path.write_bytes(bytes(9 * MIB))
    assert refusal(path) == "too_large"
    with pytest.raises(RunnerError, match="cannot be read"):
        read_archive(tmp_path / "nowhere.tar", RULES)


def test_reading_is_bounded_in_time_and_memory(tmp_path):
    path = archive(tmp_path / "image.tar")
    huge = tarfile.TarInfo("x" * 90)
    huge.pax_headers = {"comment": "y" * (60 * MIB)}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(huge)
    small = replace(RULES, archive_bytes=128 * MIB, memory_bytes=96 * MIB)
    assert refusal(path, small) == "unreadable"


def test_reading_that_takes_too_long_ends(tmp_path):
    path = archive(tmp_path / "image.tar", modern=True)
    # A gzip stream of many members: little to store, a long time to read.
    path.write_bytes(gzip.compress(bytes(64 * MIB), 1) * 200)
    slow = replace(RULES, archive_bytes=128 * MIB, layer_bytes=1 << 40, total_bytes=1 << 40, seconds=1)
    assert refusal(path, slow) == "too_slow"


def test_what_has_no_effect_is_noted(tmp_path):
    config = {"Healthcheck": {"Test": ["CMD", "true"]}, "OnBuild": ["RUN true"]}
    admitted = read_archive(archive(tmp_path / "image.tar", config=config), RULES)
    assert admitted.warnings == ("health_check_ignored", "on_build_ignored")


def test_every_refusal_has_a_sentence_and_none_quotes_the_archive(tmp_path):
    assert all(reason.sentence.endswith(".") for reason in RefusalReason)
    path = archive(tmp_path / "image.tar", config={"User": "\x1b[31mDOE^JOHN"})
    with pytest.raises(AdmissionRefused) as caught:
        read_archive(path, RULES)
    assert "DOE" not in str(caught.value)
    assert caught.value.refused


def refusal(path, rules=RULES):
    with pytest.raises(AdmissionRefused) as caught:
        read_archive(path, rules)
    return caught.value.code


@pytest.mark.engine
def test_load_brings_the_image_and_no_tag(engine, vendor, tmp_path):
    tag = "proctor/test-hijack:latest"
    victim, image = vendor("stays"), vendor("deaf", ('LABEL made="for loading"',))
    path = tmp_path / "image.tar"
    engine.tag(image, tag)
    engine.save(tag, path)
    admitted = read_archive(path)
    assert admitted.digest == image
    try:
        engine.remove_image(image)
        engine.tag(victim, tag)
        assert engine.image(image) is None
        admission.load(engine, path, admitted.digest)
        assert engine.image(image).digest == image
        assert engine.image(tag).digest == victim
        with pytest.raises(ImageRefused):
            admission.load(engine, path, "sha256:" + "0" * 64)
        path.write_bytes(path.read_bytes()[: 100 * 1024])
        engine.remove_image(image)
        with pytest.raises(AdmissionRefused, match="truncated"):
            admission.load(engine, path, admitted.digest)
    finally:
        engine.remove_image(tag)
        engine.remove_image(image)


def test_child_process_has_no_way_to_write(tmp_path):
    order = {
        "action": "inspect",
        "path": str(archive(tmp_path / "image.tar")),
        "memory_bytes": 1 << 30,
        "seconds": 9,
    }
    script = (
        "import sys; from runners import archive_process as a; "
        "a.inspect = lambda *x, **y: open(sys.argv[2], 'w').write('x' * 100000) and {}; sys.exit(a.main(sys.argv[1]))"
    )
    order |= {
        "limits": {"layer_bytes": 1, "total_bytes": 1, "layers": 1, "files": 1},
        "architecture": "amd64",
    }
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(order), tmp_path / "out"], capture_output=True, check=False
    )
    assert done.returncode != 0
    assert (tmp_path / "out").read_bytes() == b""
