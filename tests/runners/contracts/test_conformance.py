"""One suite for all contracts: each must pass it with a container written in that contract's own style."""

import os
import time
from dataclasses import replace

import pytest

from runners.contracts.output_folder import _parent
from runners.contracts.reports import REPORTS
from runners.errors import PostureRefused
from runners.failures import FailureCode
from runners.images import build_image
from runners.leftovers import LABEL_OWNER

pytestmark = [pytest.mark.engine]

PER_CASE = (
    *("worker", "files-case", "gc-exec", "gc-invoke", "gc-exec-mha", "gc-invoke-mha"),
    *("map-holoscan", "map-monai"),
)
WHOLE_SET = ("files-set", "medperf", "medperf-weights", "medperf-mlcube")

EXPECTED = {
    "c0_25-a": None,
    "nothing-1": FailureCode.OUTPUT_MISSING,
    "c0_25-b": None,
    "range-1": FailureCode.OUT_OF_RANGE,
    "garbage-1": FailureCode.GARBAGE,
    "text-1": FailureCode.GARBAGE,
    "link-1": FailureCode.OUTPUT_REFUSED,
    "large-1": FailureCode.OUTPUT_REFUSED,
    "crash-1": FailureCode.CRASHED,
    "noise-1": FailureCode.FLOOD,
    "c0_75-a": None,
    "memory-1": FailureCode.OUT_OF_MEMORY,
    "slow-1": FailureCode.TIMEOUT,
    "c1-b": None,
}
# An application package cannot say by its exit code that it failed: what is missing is all that shows. Its results
# are objects, and a bare number stands at no declared place.
OF_PACKAGES = dict.fromkeys(("crash-1", "text-1", "range-1"), FailureCode.OUTPUT_MISSING)
# The worker contract has no output folder to misuse, and an end without an answer is an end.
OF_WORKERS = {
    "nothing-1": FailureCode.SILENT_EXIT,
    "link-1": FailureCode.GARBAGE,
    "large-1": FailureCode.GARBAGE,
}


REPORTED = {
    "worker": "`worker`",
    "files-case": "`files`, case",
    "files-set": "`files`, set",
    "gc-exec": "GC `exec`",
    "gc-exec-mha": "GC `exec`",
    "gc-invoke": "GC `invoke`",
    "gc-invoke-mha": "GC `invoke`",
    "map-holoscan": "`map`",
    "map-monai": "`map`",
    **dict.fromkeys(("medperf", "medperf-weights", "medperf-mlcube"), "`medperf`"),
}


def report_of(style):
    """The column of the table in CONTRACTS.md that speaks of this style."""
    (found,) = [item for item in REPORTS if item.name == REPORTED[style]]
    return found


@pytest.fixture(autouse=True)
def nothing_is_left(engine):
    yield
    mine = f"/{os.getpid()}/"
    assert [item for item in engine.labelled(LABEL_OWNER) if mine in item.labels[LABEL_OWNER]] == []
    assert list(_parent().glob(f"{os.getpid()}-*")) == []


def score(name):
    return float(name.split("-")[0].removeprefix("c").replace("_", "."))


@pytest.fixture
def codes_of_engine():
    """Failures that this engine tells by another code."""
    return {}


@pytest.mark.parametrize("style", PER_CASE)
def test_each_failure_has_its_code_and_the_run_goes_on(put, style, codes_of_engine):
    outcomes = {outcome.case: outcome for outcome in put(style, EXPECTED)}
    changes = OF_WORKERS if style == "worker" else OF_PACKAGES if style.startswith("map") else {}
    if FailureCode.CRASHED not in report_of(style).codes:
        codes_of_engine = dict.fromkeys(codes_of_engine, FailureCode.OUTPUT_MISSING)
    expected = EXPECTED | codes_of_engine | changes
    assert {name: outcome.failure for name, outcome in outcomes.items()} == expected
    for name, code in expected.items():
        if code is None:
            assert outcomes[name].answer == {"score": score(name)}
            assert outcomes[name].container > 0
    report = report_of(style)
    told = {outcome.failure for outcome in outcomes.values()} - {None}
    assert told <= report.codes
    assert (FailureCode.CRASHED in told) == (FailureCode.CRASHED in report.codes)
    warm = outcomes["c0_25-b"].container == outcomes["range-1"].container
    assert warm == (report.start == "warm, once")
    # A clock that starts with the container holds its start: far more than this program's answer takes.
    quickest = min(outcome.seconds for name, outcome in outcomes.items() if expected[name] is None)
    assert (quickest > 0.05) == (report.clock == "start and answer")


@pytest.mark.parametrize("style", WHOLE_SET)
def test_one_container_answers_the_whole_set(put, style):
    names = [f"c0_{number}-{number}" for number in range(1, 8)]
    outcomes = put(style, [*names, "nothing-1", "range-1", "text-1"])
    assert [outcome.answer for outcome in outcomes[:7]] == [{"score": score(name)} for name in names]
    assert {outcome.container for outcome in outcomes} == {1}
    codes = [outcome.failure for outcome in outcomes[7:]]
    assert codes == [FailureCode.OUTPUT_MISSING, FailureCode.OUT_OF_RANGE, FailureCode.GARBAGE]
    report = report_of(style)
    assert set(codes) <= report.codes
    assert (report.start, report.clock) == ("once, all cases", "of the run")
    assert len({outcome.seconds for outcome in outcomes}) == 1


@pytest.mark.parametrize("style", WHOLE_SET)
def test_answers_written_before_a_crash_stand(put, style):
    outcomes = put(style, ["c0_1-a", "c0_2-b", "crash-1", "d"])
    assert [outcome.failure for outcome in outcomes] == [None, None, FailureCode.CRASHED, FailureCode.CRASHED]
    assert FailureCode.CRASHED in report_of(style).run_codes


@pytest.mark.parametrize("style", WHOLE_SET)
def test_whole_set_has_the_clock_of_the_run(put, style, limits):
    outcomes = put(style, ["slow-1", "slow-2"], limits=replace(limits, seconds_per_run=1.5))
    assert {outcome.failure for outcome in outcomes} == {FailureCode.TIMEOUT}


def test_server_is_warm_and_sees_one_case_at_a_time(put):
    outcomes = put("gc-invoke", [f"c0_{number}-{number}" for number in range(1, 9)])
    assert [outcome.failure for outcome in outcomes] == [None] * 8
    assert {outcome.container for outcome in outcomes} == {1}


def test_error_status_keeps_a_healthy_server(put):
    outcomes = put("gc-invoke", ["c0_1-a", "error-1", "c0_2-b"])
    assert [outcome.failure for outcome in outcomes] == [None, FailureCode.ERROR_REPORTED, None]
    assert {outcome.container for outcome in outcomes} == {1}


@pytest.mark.parametrize("style", PER_CASE)
def test_dead_submission_is_given_up(put, style, limits):
    events = []
    few = replace(limits, failures_in_a_row=2)
    words = [f"noise-{number}" for number in range(5)]
    outcomes = put(style, words, limits=few, on_event=events.append)
    assert [outcome.failure for outcome in outcomes] == [FailureCode.FLOOD] * 2 + [
        FailureCode.NOT_STARTED
    ] * 3
    assert any(event.kind == "lost" and event.log_tail for event in events)


def test_time_of_the_run_is_shared(put, limits):
    outcomes = put("files-case", ["slow-1", "c0_1-a"], limits=replace(limits, seconds_per_run=1.0))
    assert [outcome.failure for outcome in outcomes] == [FailureCode.RUN_TIMEOUT] * 2


def test_without_the_right_to_mount_nothing_runs(put, monkeypatch):
    class NoMount:
        def mount(self, *_):
            import ctypes
            import errno

            ctypes.set_errno(errno.EPERM)
            return -1

    monkeypatch.setattr("runners.contracts.output_folder._libc", NoMount)
    with pytest.raises(PostureRefused, match="only root may mount"):
        put("files-case", ["c0_1-a"])


def test_closing_a_run_early_leaves_nothing(put, engine):
    began = time.monotonic()
    with pytest.raises(RuntimeError):
        put("gc-invoke", broken_source())
    assert time.monotonic() - began < 20


def broken_source():
    yield "c0_1-a"
    raise RuntimeError


@pytest.mark.parametrize(
    ("mode", "detail"), [("redirects", "redirects"), ("never", "in time"), ("ends", "ended")]
)
def test_server_that_is_not_healthy_ends_the_run_soon(put, mode, detail, engine, limits):
    answers = {
        "redirects": "self.send_response(302)",
        "never": "self.send_response(503)",
        "ends": "os._exit(0)",
    }
    program = SERVER.replace("ANSWER", answers[mode]).encode()
    dockerfile = b'FROM proctor/base\nCOPY s.py /\nUSER 65532:65532\nENTRYPOINT ["python3", "/s.py"]\n'
    image = build_image(engine, f"proctor/test-{mode}", {"s.py": program, "Dockerfile": dockerfile}).digest
    events = []
    quick = replace(limits, seconds_to_ready=1.0 if mode == "never" else 20.0)
    outcomes = put("gc-invoke", ["c0_1-a", "c0_2-b"], image=image, limits=quick, on_event=events.append)
    assert [outcome.failure for outcome in outcomes] == [FailureCode.NOT_STARTED] * 2
    assert [event.kind for event in events] == ["not_ready"] * 3 + ["gave_up"]
    assert detail in events[0].detail


SERVER = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        ANSWER
        self.send_header("Location", "/elsewhere")
        self.end_headers()

HTTPServer(("127.0.0.1", 4743), Handler).serve_forever()
"""
