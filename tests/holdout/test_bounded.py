"""Worker processes that crash, hang, hog and lie: the guilty task fails, all others have their result."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from holdout.bounded import BoundedPool, Failure
from holdout.errors import HoldoutError

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


def functions() -> Any:
    import bounded_functions

    return bounded_functions


def run(tasks: list[tuple[str, int]], *, seconds: float = 20.0, memory: int = 1 << 29) -> dict[Any, Any]:
    with BoundedPool(
        functions().misbehave, processes=2, memory_bytes=memory, seconds_per_task=seconds
    ) as pool:
        return dict(pool.map(tasks))


def test_every_result_comes_back_in_order() -> None:
    module = functions()
    with BoundedPool(module.square, processes=2, memory_bytes=1 << 29, seconds_per_task=10) as pool:
        answers = list(pool.map(range(5000), ordered=True))
        again = sorted(number for number, _ in pool.map(range(100)))
    assert answers == [(n, module.Square(number=n, square=n * n)) for n in range(5000)]
    assert again == list(range(100))


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("segfault", "crash", "SIGSEGV"),
        ("exit", "crash", "status"),
        ("hog", "memory", ""),
        ("slow hog", "memory", ""),
        ("raise", "exception", "ValueError: number 60"),
        ("recursion", "exception", "RecursionError"),
        ("unpicklable", "exception", "cannot be sent back"),
    ],
)
def test_exactly_the_guilty_task_fails(kind: str, code: str, words: str) -> None:
    tasks = [("fine", n) for n in range(60)] + [(kind, 60)] + [("fine", n) for n in range(61, 120)]
    answers = run(tasks)
    assert len(answers) == 120
    failure = answers.pop((kind, 60))
    assert isinstance(failure, Failure)
    assert failure.code == code
    assert words in failure.detail
    assert all(answer == task[1] for task, answer in answers.items())


def test_a_hanging_task_is_killed_and_blamed() -> None:
    tasks = [("fine", n) for n in range(30)] + [("hang", 0)] + [("fine", n) for n in range(31, 60)]
    started = time.monotonic()
    answers = run(tasks, seconds=0.5)
    assert time.monotonic() - started < 10
    assert answers.pop(("hang", 0)).code == "timeout"
    assert all(answer == task[1] for task, answer in answers.items())


def test_a_task_that_blocks_its_alarm_is_killed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdout.bounded.BACKSTOP_SECONDS", 1.5)
    answers = run([("deaf hang", 0), ("fine", 1)], seconds=0.2)
    assert answers[("deaf hang", 0)].code == "timeout"
    assert answers[("fine", 1)] == 1


def test_a_worker_cannot_make_its_parent_run_code() -> None:
    Path("/tmp/proctor-was-here").unlink(missing_ok=True)
    answers = run([("takeover", 0), ("fine", 1)])
    assert not Path("/tmp/proctor-was-here").exists()
    assert isinstance(answers[("takeover", 0)], Failure)
    assert answers[("fine", 1)] == 1


def test_large_results_pass() -> None:
    answers = run([("large", 50_000_000), ("large", 3)])
    assert len(answers[("large", 50_000_000)]) == 50_000_000


def test_tasks_are_drawn_only_as_needed() -> None:
    drawn = 0

    def source() -> Iterator[tuple[str, int]]:
        nonlocal drawn
        for number in itertools.count():
            drawn += 1
            yield "fine", number

    with BoundedPool(
        functions().misbehave, processes=2, memory_bytes=1 << 29, seconds_per_task=5, largest_chunk=2
    ) as pool:
        for _, _ in itertools.islice(pool.map(source(), ordered=True), 10):
            pass
        assert drawn <= 10 + 16
        # Leaving early does not spoil the pool.
        assert dict(pool.map([("fine", 7)])) == {("fine", 7): 7}


def test_secrets_of_the_environment_stay_with_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCTOR_KEY_PASSWORD", "secret")
    with BoundedPool(functions().environment, processes=1, memory_bytes=1 << 29, seconds_per_task=5) as pool:
        (_, seen), *_ = pool.map([0])
    assert "PROCTOR_KEY_PASSWORD" not in seen


def test_a_memory_limit_below_the_interpreter_is_one_clear_error() -> None:
    with (
        BoundedPool(functions().square, processes=1, memory_bytes=1 << 20, seconds_per_task=5) as pool,
        pytest.raises(HoldoutError, match="memory limit"),
    ):
        list(pool.map([1, 2, 3]))


def test_a_function_that_cannot_be_imported_is_one_clear_error() -> None:
    function = functions().square
    function_module = function.__module__
    sys.path.remove(str(HERE))
    try:
        with pytest.raises(HoldoutError, match="ModuleNotFoundError"), BoundedPool(function):
            pass
    finally:
        sys.path.insert(0, str(HERE))
    assert function_module == "bounded_functions"


def test_no_process_outlives_the_pool() -> None:
    with BoundedPool(functions().process_id, processes=2, memory_bytes=1 << 29, seconds_per_task=5) as pool:
        pids = {pid for _, pid in pool.map(range(20))}
    time.sleep(0.2)
    assert not any(psutil.pid_exists(pid) for pid in pids if isinstance(pid, int))


@pytest.mark.parametrize("signal_number", [9, 2])
def test_no_process_outlives_a_killed_parent(signal_number: int, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path[:0] = [{str(HERE)!r}, {str(ROOT)!r}]
            from bounded_functions import misbehave
            from holdout.bounded import BoundedPool

            with BoundedPool(misbehave, processes=2, memory_bytes=1 << 29, seconds_per_task=600) as pool:
                results = pool.map([("fine", 0), ("fine", 1), ("hang", 0), ("hang", 1)])
                next(results), next(results)
                print("ready", flush=True)
                list(results)
            """
        )
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) == 3
        os.kill(parent.pid, signal_number)
        parent.wait(timeout=10)
    deadline = time.monotonic() + 5
    # An orphan that ended stays a zombie where process 1 does not reap.
    while any(_lives(process) for process in family) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_lives(process) for process in family)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
