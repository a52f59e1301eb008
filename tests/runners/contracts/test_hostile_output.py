"""Output that attacks the host: what a container leaves in its output folder, and what becomes of it."""

from dataclasses import replace

import pytest

from runners.failures import FailureCode
from runners.images import build_image

pytestmark = pytest.mark.engine
ANSWER = "open('/output/answer.json', 'w').write('0.5')"
ATTACKS = {
    "link-to-a-secret": (
        "import os; os.symlink('/etc/shadow', '/output/answer.json')",
        FailureCode.OUTPUT_REFUSED,
    ),
    "second-link": (
        "import os; open('/output/x', 'w').write('1'); os.link('/output/x', '/output/answer.json')",
        FailureCode.OUTPUT_REFUSED,
    ),
    "fifo": ("import os; os.mkfifo('/output/answer.json')", FailureCode.OUTPUT_REFUSED),
    "folder": ("import os; os.mkdir('/output/answer.json')", FailureCode.OUTPUT_REFUSED),
    "socket": (
        "import socket; socket.socket(socket.AF_UNIX).bind('/output/answer.json')",
        FailureCode.OUTPUT_REFUSED,
    ),
    "sparse-terabyte": ("open('/output/answer.json', 'wb').truncate(1 << 40)", FailureCode.CRASHED),
    "sparse": ("open('/output/answer.json', 'wb').truncate(12 << 20)", FailureCode.OUTPUT_REFUSED),
    "many-files": ("for i in range(10**6): open(f'/output/{i}', 'w')", FailureCode.CRASHED),
    "root-file-system": ("open('/x', 'w')", FailureCode.CRASHED),
    "changes-its-input": ("open('/input/x', 'w')", FailureCode.CRASHED),
    "network": ("import socket; socket.socket()", FailureCode.CRASHED),
    "set-user-id": (f"import os; open('/output/s', 'w'); os.chmod('/output/s', 0o6755); {ANSWER}", None),
    "stays-behind": (f"import os, time\nif os.fork() == 0: time.sleep(100)\n{ANSWER}", None),
    "program": (
        "import os, shutil; shutil.copy('/bin/true', '/output/t'); os.chmod('/output/t', 0o755)\n"
        "assert os.system('/output/t') != 0\n" + ANSWER,
        None,
    ),
}


@pytest.fixture
def attacker(engine):
    def make(name, program, before=b""):
        dockerfile = b'FROM proctor/base\nCOPY p.py /\nUSER 65532:65532\nENTRYPOINT ["python3", "/p.py"]\n'
        files = {"p.py": program.encode(), "Dockerfile": dockerfile + before}
        return build_image(engine, f"proctor/test-attack-{name}", files).digest

    return make


@pytest.mark.parametrize("name", ATTACKS)
def test_output_that_attacks(put, attacker, name):
    program, code = ATTACKS[name]
    (outcome,) = put("files-case", ["c0_5-a"], image=attacker(name, program))
    assert outcome.failure is code
    assert outcome.answer == (None if code else {"score": 0.5})
    assert outcome.seconds < 3


BUSY = """
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

def litter():
    number = 0
    while True:
        number += 1
        try:
            open(f"/output/{number}", "w").close()
        except OSError:
            pass

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        open("/output/malignancy-likelihood.json", "w").write("0.5")
        self.send_response(201)
        self.end_headers()

threading.Thread(target=litter, daemon=True).start()
HTTPServer(("127.0.0.1", 4743), Handler).serve_forever()
"""


def test_server_that_litters_while_its_output_is_read(put, attacker, limits):
    image = attacker("litter", BUSY)
    outcomes = put(
        "gc-invoke", ["c0_5-a", "c0_5-b", "c0_5-c"], image=image, limits=replace(limits, seconds_per_run=30)
    )
    # Whether a place is left for the answer is the litterer's own affair; the run ends and nothing stays.
    allowed = {
        None,
        FailureCode.OUTPUT_REFUSED,
        FailureCode.OUTPUT_MISSING,
        FailureCode.SILENT_EXIT,
        FailureCode.TIMEOUT,
    }
    assert {outcome.failure for outcome in outcomes} <= allowed | {FailureCode.GARBAGE, FailureCode.CRASHED}
    assert sum(outcome.seconds for outcome in outcomes) < 20
