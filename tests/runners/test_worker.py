"""The worker contract against vendors that break it, each in its own way, on a real engine."""

import dataclasses
import os
import time

import pytest

from runners.errors import ImageRefused, PostureRefused, SessionError
from runners.failures import FailureCode, RefusalCode
from runners.leftovers import LABEL_OWNER, NAME_PREFIX
from runners.posture import Posture
from runners.worker import CaseInput, run_cases

pytestmark = pytest.mark.engine

SCORE = {"output": {"score": {"minimum": 0, "maximum": 1}}}

# How a case is named decides how the vendor fails it (vendors/vendor.c).
EXPECTED = {
    "slow": FailureCode.TIMEOUT,
    "memory": FailureCode.OUT_OF_MEMORY,
    "childmemory": FailureCode.OUT_OF_MEMORY,
    "crash": FailureCode.CRASHED,
    "segfault": FailureCode.CRASHED,
    "killed": FailureCode.CRASHED,
    "silent": FailureCode.SILENT_EXIT,
    "halfhang": FailureCode.PARTIAL_LINE,
    "half": FailureCode.PARTIAL_LINE,
    "garbage": FailureCode.GARBAGE,
    "binary": FailureCode.GARBAGE,
    "empty": FailureCode.GARBAGE,
    "nan": FailureCode.GARBAGE,
    "infinite": FailureCode.GARBAGE,
    "long": FailureCode.GARBAGE,
    "text": FailureCode.GARBAGE,
    "true": FailureCode.GARBAGE,
    "twokeys": FailureCode.GARBAGE,
    "more": FailureCode.GARBAGE,
    "deep": FailureCode.FLOOD,
    "excuse": FailureCode.GARBAGE,
    "range": FailureCode.OUT_OF_RANGE,
    "refuses": FailureCode.REFUSED,
    "wrong": FailureCode.WRONG_CASE,
    "stale": FailureCode.WRONG_CASE,
    "errors": FailureCode.FLOOD,
    "endless": FailureCode.FLOOD,
    "lines": FailureCode.GARBAGE,
    "closes": FailureCode.TIMEOUT,
}


def ours(engine):
    """Containers of this process; another run of the tests may be at work on the same engine."""
    known = [item for item in engine.labelled(LABEL_OWNER) if item.name.startswith(NAME_PREFIX)]
    return [item for item in known if f"/{os.getpid()}/" in item.labels[LABEL_OWNER]]


def test_each_failure_has_its_own_code_and_the_run_goes_on(engine, vendor, ask):
    names = [name for kind in EXPECTED for name in (f"{kind}-1", f"plain-after-{kind}")]
    began = time.monotonic()
    outcomes = {outcome.case: outcome for outcome in ask(vendor(), names)}
    assert {kind: outcomes[f"{kind}-1"].failure for kind in EXPECTED} == EXPECTED
    for kind, code in EXPECTED.items():
        failed, after = outcomes[f"{kind}-1"], outcomes[f"plain-after-{kind}"]
        assert failed.answer is None
        assert after.failure is None
        assert after.answer == {"score": 0.5}
        assert (after.container > failed.container) == code.container_is_lost
    assert outcomes["refuses-1"].refusal is RefusalCode.POOR_QUALITY
    assert time.monotonic() - began < 60
    assert ours(engine) == []


def test_second_answer_counts_for_nobody(vendor, ask):
    first, second, third = ask(vendor(), ["twice-1", "plain-1", "plain-2"])
    assert first.answer == {"score": 0.5}
    assert second.failure is FailureCode.WRONG_CASE
    assert third.answer == {"score": 0.5}


def test_container_reads_its_case_and_only_its_case(vendor, ask):
    outcomes = ask(vendor(), ["first-1", "neighbours-1", "writes-1", "neighbours-2"], content=b"\x33")
    assert [outcome.answer["score"] for outcome in outcomes] == [0.2, 0.1, 0.0, 0.1]
    assert {outcome.container for outcome in outcomes} == {1}


@pytest.mark.parametrize("mode", ["never-ready", "not-ready", "ends-at-once"])
def test_container_that_never_is_ready_ends_the_run_soon(engine, vendor, ask, limits, mode):
    events = []
    quick = dataclasses.replace(limits, seconds_to_ready=1)
    outcomes = ask(vendor(mode), [f"plain-{i}" for i in range(50)], limits=quick, on_event=events.append)
    assert {outcome.failure for outcome in outcomes} == {FailureCode.NOT_STARTED}
    assert {outcome.container for outcome in outcomes} == {0}
    assert [event.kind for event in events] == ["not_ready"] * 3 + ["gave_up"]
    assert ours(engine) == []


def test_image_without_its_program(vendor, ask):
    image = vendor("", ('ENTRYPOINT ["/there-is-no-such-program"]',))
    assert [outcome.failure for outcome in ask(image, ["plain-1"])] == [FailureCode.NOT_STARTED]


def test_dead_submission_is_given_up(vendor, ask, limits):
    events = []
    few = dataclasses.replace(limits, failures_in_a_row=4)
    names = [f"plain-{i}" for i in range(30)]
    outcomes = ask(vendor("always-crashes"), names, limits=few, on_event=events.append)
    codes = [outcome.failure for outcome in outcomes]
    assert codes == [FailureCode.CRASHED] * 4 + [FailureCode.NOT_STARTED] * 26
    assert events[-1].kind == "gave_up"


def test_deaf_container_with_a_long_question(engine, vendor, tmp_path, limits):
    root = tmp_path / "input"
    root.mkdir()
    case = tmp_path / "staged" / "case"
    case.mkdir(parents=True)
    names = tuple(f"{number:060}.dcm" for number in range(20_000))
    cases = [CaseInput(case="case", directory=case, files=names)]
    run = run_cases(
        engine, vendor("deaf"), posture=Posture(), limits=limits, cases=cases, input_root=root, task=SCORE
    )
    assert [outcome.failure for outcome in run] == [FailureCode.TIMEOUT]


def test_time_of_the_run_is_shared_by_all_cases(vendor, ask, limits):
    short = dataclasses.replace(limits, seconds_per_run=2.5)
    outcomes = ask(vendor(), [f"slow-{i}" for i in range(20)], limits=short)
    codes = [outcome.failure for outcome in outcomes]
    assert codes[0] is FailureCode.TIMEOUT
    assert codes[-1] is FailureCode.RUN_TIMEOUT
    assert sum(outcome.seconds for outcome in outcomes) < 3.5


def test_container_that_stays_after_the_last_case_is_removed(engine, vendor, ask, limits):
    quick = dataclasses.replace(limits, seconds_to_stop=0.3)
    assert ask(vendor("stays"), ["plain-1"], limits=quick)[0].failure is None
    assert ours(engine) == []


def test_closing_the_run_early_leaves_nothing(engine, vendor, tmp_path, limits):
    root, case = tmp_path / "input", tmp_path / "case"
    root.mkdir()
    case.mkdir()
    cases = iter([CaseInput(case="plain-1", directory=case, files=())])
    run = run_cases(
        engine, vendor(), posture=Posture(), limits=limits, cases=cases, input_root=root, task=SCORE
    )
    next(run)
    assert len(ours(engine)) == 1
    run.close()
    assert ours(engine) == []
    assert list(root.iterdir()) == []


def test_what_is_wrong_on_the_host_is_said_and_not_blamed_on_the_container(engine, vendor, tmp_path, limits):
    def run(image, root, cases=()):
        return list(
            run_cases(
                engine, image, posture=Posture(), limits=limits, cases=cases, input_root=root, task=SCORE
            )
        )

    (tmp_path / "left.dcm").write_bytes(b"")
    with pytest.raises(SessionError, match="not empty"):
        run(vendor(), tmp_path)
    with pytest.raises(SessionError, match="not a folder"):
        run(vendor(), tmp_path / "nowhere")
    root = tmp_path / "input"
    root.mkdir()
    with pytest.raises(ImageRefused, match="Load the admitted archive"):
        run("sha256:" + "0" * 64, root)
    with pytest.raises(PostureRefused, match="volumes"):
        run(vendor("", ("VOLUME /data",)), root)
    with pytest.raises(PostureRefused, match="working directory"):
        run(vendor("", ("WORKDIR /proc/self/fd/8",)), root)
    missing = [CaseInput(case="plain", directory=tmp_path / "missing", files=())]
    with pytest.raises(SessionError, match="cannot be moved"):
        run(vendor(), root, missing)
    for case, files in (("../up", ()), ("plain", ("../../etc/passwd",)), ("plain", ("/etc/passwd",))):
        with pytest.raises(SessionError):
            run(vendor(), root, [CaseInput(case=case, directory=tmp_path / "missing", files=files)])
    assert ours(engine) == []
