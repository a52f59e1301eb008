"""Images of test vendors, made once a machine and named by the hash of what went into them."""

import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from runners.limits import MIB, Limits
from runners.posture import Posture
from runners.worker import CaseInput, run_cases

VENDOR = Path(__file__).parent / "vendors" / "vendor.c"
SCORE = {"output": {"score": {"minimum": 0, "maximum": 1}}}


@pytest.fixture(scope="session")
def vendor(engine, tmp_path_factory):
    """Return a function from a mode of vendor.c to the id of an image that runs it."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing: the test vendors are compiled on this host")
    program = tmp_path_factory.mktemp("vendor") / "vendor"
    return lambda mode="", changes=(): make_vendor(engine, program, mode, changes)


def make_vendor(engine, program, mode, changes=(), more=()):
    """Make the image of vendor.c; ``more`` are further members of its file system, as (entry, content)."""
    headers = [entry.tobuf(tarfile.PAX_FORMAT) for entry, _ in more]
    key = hashlib.sha256(VENDOR.read_bytes() + repr((mode, changes, headers)).encode()).hexdigest()[:12]
    tag = f"proctor/test-vendor:{key}"
    if found := engine.image(tag):
        return found.digest
    if not program.exists():
        subprocess.run(["gcc", "-static", "-O1", "-s", "-o", program, VENDOR], check=True)
    tar = filesystem({"vendor": program.read_bytes()}, more)
    return engine.import_filesystem(
        io.BytesIO(tar), tag, (f'ENTRYPOINT ["/vendor", "{mode}"]', "USER 65532:65532", *changes)
    )


@pytest.fixture
def limits():
    return Limits(
        memory_bytes=64 * MIB,
        tmp_bytes=8 * MIB,
        shm_bytes=8 * MIB,
        pids=32,
        seconds_to_ready=10,
        seconds_per_case=1,
        answer_bytes=4096,
        stray_bytes=MIB,
    )


@pytest.fixture
def ask(engine, tmp_path, limits):
    """Return a function that stages cases by name and puts them to an image."""

    def run(image, names, *, limits=limits, content=b"\xff", task=SCORE, on_event=None):
        root, staged = tmp_path / "input", tmp_path / "staged"
        root.mkdir()
        cases = (stage(staged, name, content) for name in names)
        try:
            outcomes = list(
                run_cases(
                    engine,
                    image,
                    posture=Posture(),
                    limits=limits,
                    cases=cases,
                    input_root=root,
                    task=task,
                    on_event=on_event,
                )
            )
            assert list(root.iterdir()) == []
            assert list(staged.iterdir()) == []
        finally:
            shutil.rmtree(root)
        return outcomes

    return run


def stage(folder, name, content=b"\xff"):
    directory = folder / name
    directory.mkdir(parents=True)
    (directory / "000001.dcm").write_bytes(content)
    return CaseInput(case=name, directory=directory, files=("000001.dcm",))


def filesystem(files, more=()):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name in ("input", "tmp"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
        for entry, content in more:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return whole.getvalue()
