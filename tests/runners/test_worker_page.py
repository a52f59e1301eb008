"""The shell and C examples of WORKER.md, built as printed into images of nothing else, and asked under the posture."""

import io
import re
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from runners import images
from runners.failures import FailureCode, RefusalCode

PAGE = (Path(images.__file__).parent / "WORKER.md").read_text(encoding="utf-8")
# The stand-in for a model answers with the first line of the case's file.
CLASSIFY_SH = """#!/bin/sh
cat > /dev/null
read -r first < "$1"
[ "$first" != crash ] || exit 3
echo "$first"
"""
CLASSIFY_C = r"""
#include <stdlib.h>
double classify(const char *directory) {
    char path[256], first[64] = "";
    snprintf(path, sizeof path, "%s/000001.dcm", directory);
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(first, sizeof first, file) == NULL || !strncmp(first, "crash", 5)) exit(3);
    fclose(file);
    return strtod(first, NULL);
}
"""

pytestmark = pytest.mark.engine


def example(language):
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL).group(1)


def root(files, links=()):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name in ("bin", "input", "opt", "opt/vendor", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
        for name, target in links:
            link = tarfile.TarInfo(name)
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, target, stat.S_IRWXU
            tar.addfile(link)
    return io.BytesIO(whole.getvalue())


def shell_image(engine):
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is missing (Debian: apt-get install busybox-static)")
    files = {
        "bin/busybox": Path(busybox).read_bytes(),
        "opt/vendor/classify": CLASSIFY_SH.encode(),
        "opt/vendor/worker": example("sh").encode(),
    }
    links = [(f"bin/{name}", "/bin/busybox") for name in ("sh", "cat")]
    changes = ("USER 65532:65532", "ENV PATH=/bin", 'ENTRYPOINT ["/opt/vendor/worker"]')
    return engine.import_filesystem(root(files, links), "proctor/test-worker-page:shell", changes)


def c_image(engine, folder):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing")
    (folder / "worker.c").write_text(example("c") + CLASSIFY_C)
    strict = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-static", "-O2")
    subprocess.run(["gcc", *strict, "-o", folder / "worker", folder / "worker.c"], check=True)
    changes = ("USER 65532:65532", 'ENTRYPOINT ["/worker"]')
    files = {"worker": (folder / "worker").read_bytes()}
    return engine.import_filesystem(root(files), "proctor/test-worker-page:c", changes)


@pytest.fixture(params=["shell", "c"])
def image(request, engine, tmp_path):
    made = shell_image(engine) if request.param == "shell" else c_image(engine, tmp_path)
    yield made
    engine.remove_image(made)


def test_printed_examples_answer_and_say_what_they_cannot(ask, image):
    answered = ask(image, ["k7Qm", "x_-1", "2"], content=b"0.25\n")
    assert [outcome.answer for outcome in answered] == [{"score": 0.25}] * 3
    assert {outcome.container for outcome in answered} == {1}
    (outcome,) = ask(image, ["k7Qm"], content=b"nan\n")
    assert (outcome.failure, outcome.refusal) == (FailureCode.REFUSED, RefusalCode.NOT_SUPPORTED)
    crashed = ask(image, ["a", "b"], content=b"crash\n")
    assert [outcome.failure for outcome in crashed] == [FailureCode.CRASHED] * 2


def test_the_c_example_survives_what_is_no_question(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing")
    (tmp_path / "worker.c").write_text(example("c") + CLASSIFY_C)
    checked = ("-fsanitize=address,undefined", "-g")
    subprocess.run(["gcc", *checked, "-o", tmp_path / "worker", tmp_path / "worker.c"], check=True)
    lines = [
        "",
        "{}",
        '{"case":"a"}',
        '{"case":"a',
        f'{{"case":"{"a" * 65}","directory":"/x"}}',
        '"case":"a","directory":"',
    ]
    for line in lines:
        done = subprocess.run(
            [tmp_path / "worker"], input=f"{line}\n", capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (1, "this is no question\n")
