"""Stress of findings through the parts that an evaluation uses: kept while asked, scored, judged, proven.

Oracles: the wAFROC area as a double loop over lesions and normal cases, its resamples by another generator.
"""

import json

import numpy as np
import pyarrow as pa
import pytest

from sandbox.asking.asks import Ask, Journals
from sandbox.asking.journal import Journal
from sandbox.asking.stress_plan import StressPlan, make_plan
from sandbox.errors import ProtocolError
from sandbox.evidence.stress_arithmetic import stress_contradictions
from sandbox.outcome.kept_marks import answer_digest, with_digests
from sandbox.outcome.scored import scored_cases
from sandbox.outcome.stress_results import from_json, to_json
from sandbox.outcome.stress_step import StressStep, read_answers
from sandbox.plan.protocol import Protocol, load_protocol
from sandbox.plan.stress_section import resolved_test
from sandbox.report import glossary, stress_findings
from sandbox.scoring.detection.marks import CaseMarks
from sandbox.scoring.detection.matching import FALSE_POSITIVE
from sandbox.scoring.stress.findings import changes, judged_figures
from sandbox.scoring.stress.score import score_stress
from sandbox.stress.registry import find

N = 40
TESTS = (("dr_gamma", (1, 5)), ("as_rle", (1,)), ("constant", (1,)))
DOCUMENT = {
    "proctor": "protocol/1",
    "name": "boxes",
    "title": "Boxes",
    "task": {"kind": "detection", "target": "nodule", "unit": "image"},
    "output": {"findings": {"levels": 101}},
    "hits": {"rule": "centre", "rates": [0.5]},
    "intervals": {"bootstrap_replicates": 2000},
    "strata": [{"attribute": "scanner"}],
    "minimum": {"positives": 3, "negatives": 3, "patients": 3},
}
IDS = [f"c{i:03d}" for i in range(N)]
# Half of the cases have lesions, every fourth of these two.
LESIONS = [0 if i % 2 else 2 if i % 8 == 0 else 1 for i in range(N)]
PLACES = ((10, 10, 20, 20), (40, 40, 52, 52))
FALSE = (70, 70, 80, 80)


def protocol(tests=TESTS, **margins):
    section = {"patients": N, "perturbations": [{"name": name} for name, _ in tests], "margins": margins}
    given = Protocol.model_validate_json(json.dumps({**DOCUMENT, "stress": section}))
    return given.with_stress_tests(tuple(resolved_test(find(name), chosen) for name, chosen in tests))


def listed(ratings, false=None):
    """Findings as (box, level): one on each lesion with a rating, and a false one."""
    found = [(box, rating) for box, rating in zip(PLACES, ratings, strict=False) if rating is not None]
    return found + ([] if false is None else [(FALSE, false)])


def answers(seed, strength=1.0, shift=0):
    numbers = np.random.default_rng(seed)
    found = []
    for lesions in LESIONS:
        ratings = [
            int(np.clip(numbers.normal(45 + 25 * strength, 12) + shift, 0, 100)) for _ in range(lesions)
        ]
        false = int(np.clip(numbers.normal(45, 12) + shift, 0, 100)) if numbers.random() < 0.8 else None
        found.append(listed(ratings, false))
    return found


CLEAN = answers(1)


def numbers_of(findings):
    return [round(n * (1 if i == 4 else 8)) for box, level in findings for i, n in enumerate((*box, level))]


def reference():
    texts = [json.dumps({"boxes": [list(box) for box in PLACES[:lesions]]}) for lesions in LESIONS]
    return pa.table({"case_id": IDS, "nodule": pa.array(texts, pa.string())})


def evaluate(folder, plan, clean, cells):
    cases = pa.table(
        {
            "case_id": IDS,
            "patient_key": [f"p{i:03d}" for i in range(N)],
            "scanner": ["A" if i % 3 else "B" for i in range(N)],
        }
    )
    answered = pa.table(
        {
            "case_id": IDS,
            "levels": pa.array(
                [None if isinstance(each, str) else numbers_of(each) for each in clean], pa.list_(pa.int32())
            ),
            "failure": pa.array([each if isinstance(each, str) else None for each in clean], pa.string()),
            "seconds": pa.nulls(N, pa.float64()),
        }
    )
    asks = tuple(
        Ask(token=f"{name}-{severity}-{case}", case_id=case, perturbation=name, severity=severity)
        for name, severity in cells
        for case in IDS
    )
    folder.mkdir(exist_ok=True)
    step = StressStep(StressPlan(asks=asks, sample=tuple(IDS)), folder, plan, reference())
    with step.journal, Journal(folder / "journal.jsonl") as journal:
        journals = Journals(clean=journal, stressed=step.journal, keep=step.keep)
        for ask in asks:
            answer = cells[ask.perturbation, ask.severity][IDS.index(ask.case_id)]
            failed = isinstance(answer, str)
            levels = None if failed else numbers_of(answer)
            journals.append(ask, journals.ending(ask, levels=levels, failure=answer if failed else None))
        step.write()
    table = with_digests(scored_cases(cases, reference(), answered, plan), answered, plan)
    found = score_stress(table, read_answers(folder / "stress.parquet", plan), plan, "e-1")
    assert stress_contradictions(found, plan.document) == []
    return found


def sides(findings):
    """Ratings of each case's lesions (-1: not marked) and its highest false positive (-1: none; 999: failed)."""
    out = []
    for lesions, case in zip(LESIONS, findings, strict=True):
        if isinstance(case, str):
            out.append(([-1] * lesions, 999))
            continue
        ratings = [
            max((level for box, level in case if box == place), default=-1) for place in PLACES[:lesions]
        ]
        out.append((ratings, max((level for box, level in case if box == FALSE), default=-1)))
    return out


def wafroc(findings, chosen=range(N)):
    """The probability that a lesion, weighed within its case, is rated above a normal case's highest false positive."""
    each = sides(findings)
    above = total = 0.0
    for i in chosen:
        for j in chosen:
            if LESIONS[i] and not LESIONS[j]:
                total += 1
                above += np.mean([(r > each[j][1]) + (r == each[j][1]) / 2 for r in each[i][0]])
    return above / total if total else np.nan


def estimate_of(cell, metric):
    return next(each for each in cell.estimates if each.metric == metric)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    weak = answers(2, strength=0.0)
    cells = {
        ("clean", 1): CLEAN,
        ("dr_gamma", 1): CLEAN,
        ("dr_gamma", 5): ["crashed", *weak[1:]],
        ("as_rle", 1): [list(reversed(each)) for each in CLEAN],
        ("constant", 1): [[], *["refused"] * (N - 1)],
    }
    return cells, evaluate(
        tmp_path_factory.mktemp("findings"), protocol(wafroc=0.05, froc_sensitivity=0.1), CLEAN, cells
    )


def test_the_change_is_that_of_brute_force_with_the_same_resamples_for_both(world):
    cells, found = world
    cell = found.test("dr_gamma").cells[1]
    stressed = cells["dr_gamma", 5]
    estimate = estimate_of(cell, "wafroc_change")
    assert estimate.value == pytest.approx(wafroc(stressed) - wafroc(CLEAN))
    numbers = np.random.default_rng(9)
    drawn = []
    for _ in range(400):
        chosen = numbers.integers(0, N, N)
        drawn.append(wafroc(stressed, chosen) - wafroc(CLEAN, chosen))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.15 * (high - low))
    assert estimate_of(cell, "failure_rate").successes == 1
    assert {each.metric: each.value for each in found.clean}["wafroc"] == pytest.approx(wafroc(CLEAN))

    # Sensitivity at half a false positive a case, threshold by threshold.
    reached = []
    for findings in (stressed, CLEAN):
        each = sides(findings)
        false = np.array([top for _, top in each if top >= 0])
        ratings = np.array([r for case, _ in each for r in case])
        able = [np.mean(ratings >= t) for t in range(102) if np.count_nonzero(false >= t) <= 0.5 * N]
        reached.append(max(able))
    change = estimate_of(cell, "froc_sensitivity_change")
    assert (change.subject, change.value) == ("0.5", pytest.approx(reached[0] - reached[1]))


def test_each_expectation_has_its_verdict(world):
    _, found = world
    assert {test.name: test.verdict for test in found.tests} == {
        "clean": "equal",
        "dr_gamma": "outside",
        # The same findings in another order are the same answer.
        "as_rle": "equal",
        "constant": "answered_nonsense",
    }
    assert "wAFROC area" in found.test("dr_gamma").reason or "sensitivity" in found.test("dr_gamma").reason
    assert found.test("dr_gamma").breaks_at == 5
    assert (found.patients, found.positives) == (N, N // 2)
    assert from_json(to_json(found)) == found
    forged = to_json(found).decode().replace('"verdict":"outside"', '"verdict":"within"')
    told = stress_contradictions(
        from_json(forged.encode()), protocol(wafroc=0.05, froc_sensitivity=0.1).document
    )
    assert any("intervals of its changes" in each for each in told)


def test_the_report_has_words_for_every_number(world):
    _, found = world
    names = {each.metric for each in glossary.estimates_in(found)}
    assert names <= set(glossary.METRICS)
    words = {word for each in glossary.estimates_in(found) for word in glossary.words_of(each.method)}
    assert words <= {*glossary.METHODS, *glossary.BEFORE, *glossary.AFTER}
    assert stress_findings.drawn_name(found) == "the wAFROC area"
    assert [test.name for test in stress_findings.curve_tests(found)] == ["dr_gamma"]
    assert "wAFROC area 0.05" in stress_findings.margin_words(found)


@pytest.mark.parametrize(
    ("name", "change", "verdict", "largest"),
    [
        # Ratings all 5 lower: what is judged by ranks is as good, and what must not change has moved within 0.1.
        ("dr_gamma", lambda each: [(box, max(level - 5, 0)) for box, level in each], "within", 0.05),
        ("as_rle", lambda each: [(box, max(level - 5, 0)) for box, level in each], "within", 0.05),
        ("as_rle", lambda each: [(box, max(level - 20, 0)) for box, level in each], "outside", 0.2),
        ("dr_gamma", lambda each: [], "outside", None),
        # A box that still hits: another answer, worth the same.
        ("as_rle", lambda each: [((b[0] + 1, *b[1:]), level) for b, level in each], "within", 0.0),
    ],
)
def test_verdict_of_one_perturbation(tmp_path, name, change, verdict, largest):
    severity = len(find(name).severities)
    cells = {("clean", 1): CLEAN, (name, severity): [change(each) for each in CLEAN]}
    test = evaluate(tmp_path, protocol(((name, (severity,)),)), CLEAN, cells).test(name)
    assert test.verdict == verdict, test.reason
    assert test.cells[0].different > 0
    assert largest is None or test.cells[0].largest_difference == pytest.approx(largest)


def test_the_jackknife_s_error_is_that_of_the_resamples():
    plan = protocol()
    numbers = np.random.default_rng(3)
    patient = np.arange(N)

    def world():
        return tuple(
            CaseMarks(
                ratings=numbers.random(lesions + 1),
                matched=np.array([*range(lesions), FALSE_POSITIVE]),
                lesions=lesions,
            )
            for lesions in LESIONS
        )

    clean, stressed = world(), world()
    drawn = changes(
        clean, stressed, patient, judged_figures(plan), evaluation="e", level=0.95, replicates=2000
    )
    ((estimate, contribution),) = list(drawn)
    assert np.sqrt(np.sum(contribution**2)) == pytest.approx(
        (estimate.high - estimate.low) / (2 * 1.96), rel=0.15
    )
    assert contribution.sum() == pytest.approx(0, abs=1e-9)


def test_a_hold_out_of_lesions_only_is_judged_by_sensitivity(tmp_path):
    given = protocol((("dr_gamma", (5,)),), froc_sensitivity=0.1)
    assert given.stress.margins.named == {"froc_sensitivity": 0.1, "score": 0.1}
    path = tmp_path / "plan.yaml"
    document = {**DOCUMENT, "stress": {"patients": 20, "perturbations": [{"name": "shift"}]}}
    path.write_text(json.dumps(document))
    with pytest.raises(ProtocolError, match="moves or covers what the truth marks"):
        load_protocol(path)


def test_half_of_the_sample_has_lesions():
    cases = pa.table({"case_id": IDS, "patient_key": [f"p{i:03d}" for i in range(N)]})
    small = protocol().model_copy(update={"stress": protocol().stress.model_copy(update={"patients": 12})})
    plan = make_plan(cases, reference(), small, run_key=b"r" * 32, sample_key=b"h" * 32, batches=False)
    assert len(plan.sample) == 12
    assert sum(LESIONS[IDS.index(case)] > 0 for case in plan.sample) == 6


def test_the_order_of_findings_is_no_part_of_the_answer():
    plan = protocol()
    one = numbers_of(CLEAN[0])
    turned = numbers_of(list(reversed(CLEAN[0])))
    assert one != turned
    assert answer_digest(one, plan) == answer_digest(turned, plan)
    assert answer_digest(one, plan) != answer_digest([*one[:4], one[4] + 1, *one[5:]], plan)
