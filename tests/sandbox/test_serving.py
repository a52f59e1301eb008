"""One round of asking, with a contract that lives in the test: what stressed asks do costs no clean case its answer."""

import contextlib
import random

import pytest

from runners.contracts.interface import Contract, ContractRun
from runners.failures import FailureCode
from runners.limits import Limits
from runners.worker import CaseInput, CaseOutcome
from sandbox.asking.asks import Ask, Journals
from sandbox.asking.journal import Journal
from sandbox.asking.serving import Round, RunTally, Serving, Smoke
from sandbox.errors import EvaluationRefusedError
from sandbox.plan.output_schema import ScoreOutput
from sandbox.plan.task_section import Output

PATIENCE = 4
LIMITS = Limits(failures_in_a_row=PATIENCE)


def clean(number):
    return Ask(token=f"clean{number:03d}", case_id=f"c{number:03d}")


def stressed(number):
    return Ask(token=f"stressed{number:03d}", case_id=f"c{number:03d}", perturbation="blur", severity=1)


def scripted(behaviour):
    """A warm contract that asks ``behaviour(name, said_before)`` and keeps the patience of :mod:`runners.warm`."""

    def run(request, cases):
        said, container, lost = [], 1, 0
        for case in cases:
            failure = None
            if lost >= request.limits.failures_in_a_row:
                failure, number = FailureCode.NOT_STARTED, 0
            else:
                failure, number = behaviour(case.case, said), container
                said.append(case.case)
            if failure is not None and failure.container_is_lost and number:
                container, lost, said = container + 1, lost + 1, []
            elif failure is None:
                lost = 0
            yield CaseOutcome(
                case=case.case,
                failure=failure,
                answer=None if failure else {"score": 1.0},
                seconds=0.5,
                container=number,
                refusal=None,
                detail="",
            )

    return Contract(name="scripted", declare=lambda *_: {}, run=run, default_answer=None, needs_answer=False)


@pytest.fixture
def serve(tmp_path):
    with contextlib.ExitStack() as opened:
        journals = Journals(
            clean=opened.enter_context(Journal(tmp_path / "clean.jsonl")),
            stressed=opened.enter_context(Journal(tmp_path / "stressed.jsonl")),
        )

        def put(asks, behaviour, *, containers=1, smoke=None, codes=()):
            folder = tmp_path / "cases"
            source = []
            for ask in asks:
                if ask.token in dict(codes):
                    source.append((ask, dict(codes)[ask.token]))
                    continue
                (folder / ask.token).mkdir(parents=True, exist_ok=True)
                source.append(
                    (ask, CaseInput(case=ask.token, directory=folder / ask.token, files=("000001.dcm",)))
                )
            this = Round(
                name=f"round{journals.ended}",
                asks=asks,
                contract=scripted(behaviour),
                request=ContractRun(
                    engine=None, image="", posture=None, limits=LIMITS, input_root=tmp_path, task={}
                ),
                containers=containers,
                smoke=smoke,
                output=Output(score=ScoreOutput()),
                work=tmp_path,
            )
            serving = Serving(this, iter(source), journals, RunTally(), lambda: None)
            serving.put()
            return serving

        yield put, journals


def failures(journal):
    return {name: item.failure for name, item in journal.ended.items()}


def test_containers_lost_to_stressed_asks_alone_never_end_the_run(serve):
    put, journals = serve
    asks = [stressed(n) for n in range(3 * PATIENCE)] + [clean(n) for n in range(5)]
    crash = lambda name, _said: FailureCode.CRASHED if name.startswith("stressed") else None  # noqa: E731
    assert put(asks, crash).again == []
    assert failures(journals.clean) == {f"c{n:03d}": None for n in range(5)}
    assert set(failures(journals.stressed).values()) == {"crashed"}
    # Nor where a resumed run has only stressed asks left.
    left = [stressed(n) for n in range(20, 20 + 3 * PATIENCE)]
    put(left, crash)
    assert set(failures(journals.stressed).values()) == {"crashed"}


def test_a_clean_case_that_pays_for_an_earlier_stressed_ask_is_handed_back_not_failed(serve):
    put, journals = serve
    asks = [clean(0), stressed(0), clean(1), clean(2), stressed(1)]

    def poisoned(_name, said):
        return FailureCode.TIMEOUT if said and said[-1].startswith("stressed") else None

    served = put(asks, poisoned)
    assert served.again == [clean(1)]
    assert served.clean_seconds == pytest.approx(1.5)
    assert failures(journals.clean) == {"c000": None, "c002": None}
    # What containers without stressed asks do with it is final.
    assert put(served.again, lambda *_: FailureCode.CRASHED).again == []
    assert journals.clean.ended["c001"].failure == "crashed"


def test_a_refusal_is_an_answer_and_is_not_asked_twice(serve):
    put, journals = serve
    served = put([clean(0), stressed(0)], lambda *_: FailureCode.REFUSED)
    assert served.again == []
    assert failures(journals.clean) == {"c000": "refused"}


def test_a_submission_that_loses_clean_cases_in_a_row_is_given_up_among_stressed_asks(serve):
    put, journals = serve
    asks = [ask for n in range(30) for ask in (clean(n), stressed(n))]
    asked = []

    def dead(name, _said):
        asked.append(name)
        return FailureCode.CRASHED

    served = put(asks, dead)
    assert sum(name.startswith("clean") for name in asked) == PATIENCE
    assert served.again == [clean(n) for n in range(30)]
    codes = list(failures(journals.stressed).values())
    assert (codes.count("crashed"), codes.count("not_started")) == (PATIENCE - 1, 31 - PATIENCE)
    assert {
        item.container == "" for item in journals.stressed.ended.values() if item.failure == "not_started"
    } == {True}


def test_without_stress_nothing_is_asked_twice(serve):
    put, journals = serve
    served = put([clean(n) for n in range(10)], lambda *_: FailureCode.CRASHED)
    assert served.again == []
    assert sorted(failures(journals.clean).values()) == ["crashed"] * PATIENCE + ["not_started"] * (
        10 - PATIENCE
    )


def test_every_ask_ends_once_whatever_two_containers_do(serve):
    put, journals = serve
    asks = [ask for n in range(100) for ask in (clean(n), stressed(n))]
    random.Random(1).shuffle(asks)
    codes = {stressed(3).token: "not_applicable", clean(7).token: "staging_failed"}

    def some(name, said):
        return FailureCode.CRASHED if name.endswith("5") or len(said) > 20 else None

    served = put(asks, some, containers=2, codes=codes.items())
    again = {ask.case_id for ask in served.again}
    assert {f"c{n:03d}" for n in range(5, 100, 10)} <= again
    assert again | set(journals.clean.ended) == {f"c{n:03d}" for n in range(100)}
    assert not again & set(journals.clean.ended)
    assert set(journals.stressed.ended) == {stressed(n).token for n in range(100)}
    assert journals.stressed.ended["stressed003"].failure == "not_applicable"
    assert journals.clean.ended["c007"].failure == "staging_failed"


def test_no_real_case_is_asked_before_the_smoke_case_was_stood(serve, tmp_path):
    put, journals = serve
    asked = []

    def judge(_outcome):
        raise EvaluationRefusedError("it failed")

    (tmp_path / "smoke").mkdir()
    case = CaseInput(case="synthetic", directory=tmp_path / "smoke", files=())
    smoke = Smoke(case=lambda: contextlib.nullcontext(case), judge=judge)
    with pytest.raises(EvaluationRefusedError, match="it failed"):
        put([clean(0), stressed(0)], lambda name, _: asked.append(name), containers=2, smoke=smoke)
    assert asked == ["synthetic"]
    assert journals.ended == 0
