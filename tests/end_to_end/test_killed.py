"""Kill -9 in the middle of a command, at every step that changes what is on disk; the same command again ends well."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from runners.images import build_image, save_image
from sandbox.commands.main import main
from sandbox.evaluations.evaluation import evaluations
from sandbox.institution.workspace import open_ledger, open_workspace

# Files appear by link or rename. The process kills itself just before the n-th of them: there it does most harm.
DYING = """
import os, signal, sys
from sandbox.commands.main import main
left = int(sys.argv[1])
def die_at(event, arguments):
    global left
    if event in ("os.link", "os.rename"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(die_at)
sys.exit(main(sys.argv[2:]))
"""
MOST_STEPS = 40


def killed(step, *words):
    """Run a command that dies at a step; False when it was through before that."""
    done = subprocess.run(
        [sys.executable, "-c", DYING, str(step), "-q", *map(str, words)],
        stdout=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


def leftovers(*folders):
    return [path for folder in folders for path in folder.rglob("*.partial")]


def kinds(home):
    with open_ledger(open_workspace(home)) as ledger:
        assert ledger.verify_all().held
        return [item.kind for item in ledger.entries()]


def copied(source, destination):
    """An image is large and never written to: a second name for it is enough."""
    (os.link if source.endswith(".tar") else shutil.copy2)(source, destination)


def each_step(home, *words):
    """Kill the command at each step in turn, from one state, and run it again; yield after each."""
    before = home.with_name("before")
    shutil.copytree(home, before, copy_function=copied)
    for step in range(MOST_STEPS):
        shutil.rmtree(home)
        shutil.copytree(before, home, copy_function=copied)
        if not killed(step, *words):
            break
        assert main(["-q", *map(str, words)]) == 0
        yield step
    else:
        pytest.fail(f"not through after {MOST_STEPS} steps")
    shutil.rmtree(home)
    before.rename(home)


@pytest.fixture
def evaluated(site, admitted):
    admitted("perfect", site.labels)
    command = ["evaluate", "--holdout", "cxr", "--submission", "perfect", "--protocol", str(site.protocol)]
    assert main(["-q", *command]) == 0
    (item,) = evaluations(open_workspace(site.home))
    return item


@pytest.fixture
def small_image(engine, tmp_path):
    """Archive of an image that is admitted, and never run here."""
    dockerfile = b'FROM scratch\nCOPY model /model\nUSER 65532:65532\nENTRYPOINT ["/model"]\n'
    image = build_image(engine, "proctor/test-small", {"Dockerfile": dockerfile, "model": bytes(1000)})
    return save_image(engine, image, tmp_path / "small.tar")


def test_an_admission_that_is_killed(site, small_image):
    image = small_image
    known = kinds(site.home)
    steps = 0
    for _ in each_step(site.home, "submission", "admit", image, "--vendor", "small"):
        steps += 1
        assert kinds(site.home) == [*known, "submission-admitted"]
        (folder,) = (site.home / "submissions").iterdir()
        assert sorted(path.name for path in folder.iterdir()) == ["image.tar", "record.json"]
        assert (folder / "image.tar").read_bytes() == image.read_bytes()
        assert leftovers(site.home) == []
    # At least the record, three files of the ledger, and the folder itself.
    assert steps >= 5


def test_a_report_that_is_killed(site, evaluated, tmp_path):
    page, copy = evaluated.folder / "report.html", tmp_path / "copy.html"
    whole = page.read_bytes()
    with open_ledger(open_workspace(site.home)) as ledger:
        recorded = ledger.find(kind="report-made")
    page.unlink()
    for _ in each_step(site.home, "report", evaluated.id, "-o", copy):
        assert page.read_bytes() == copy.read_bytes() == whole
        with open_ledger(open_workspace(site.home)) as ledger:
            assert ledger.find(kind="report-made") == recorded
        assert leftovers(site.home, tmp_path) == []
        copy.unlink()


def test_a_dossier_that_is_killed(site, evaluated, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    contents, steps = set(), 0
    for _ in each_step(site.home, "dossier", evaluated.id, "-o", out / "acme.zip"):
        steps += 1
        assert [path.name for path in out.iterdir()] == ["acme.zip"]
        assert kinds(site.home).count("dossier-made") == 1
        assert leftovers(site.home) == []
        key = (site.home / "keys" / "ledger.vkey").read_text().strip()
        assert main(["-q", "verify", str(out / "acme.zip"), "--key", key]) == 0
        contents.add((out / "acme.zip").read_bytes())
        (out / "acme.zip").unlink()
    # The file, and three of the ledger; made again they have the same bytes.
    assert steps >= 4
    assert len(contents) == 1
