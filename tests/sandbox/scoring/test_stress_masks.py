"""Stress of masks through the parts that an evaluation uses: kept while asked, joined, scored, judged, shown, proven.

Oracles: Dice over sets of elements, Student's t for paired differences, Wilson's interval written out again.
"""

import json
import math
import shutil

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from holdout.mask_runs import TrueMask, encode
from sandbox.asking.asks import Ask, Journals
from sandbox.asking.journal import Journal
from sandbox.asking.stress_plan import StressPlan
from sandbox.evidence.stress_arithmetic import stress_contradictions
from sandbox.outcome.kept_marks import DIGEST, with_digests
from sandbox.outcome.scored import scored_cases
from sandbox.outcome.stress_results import from_json, to_json
from sandbox.outcome.stress_step import StressStep, read_answers, sampled_cases
from sandbox.plan.protocol import Protocol
from sandbox.plan.stress_section import resolved_test
from sandbox.report import glossary, stress_figure, stress_findings
from sandbox.scoring.stress.score import score_stress
from sandbox.stress.registry import find

N = 40
SHAPE = (24, 30)
TESTS = (("blur", (1, 5)), ("as_rle", (1,)), ("constant", (1,)))


def protocol(tests=TESTS, **section):
    document = {
        "proctor": "protocol/1",
        "name": "outlines",
        "title": "Outlines",
        "task": {"kind": "segmentation", "target": "lesion", "unit": "image"},
        "output": {"mask": {"runs": 200}},
        "boundary": {"tolerance": 1, "unit": "px", **section.pop("boundary", {})},
        "intervals": {"bootstrap_replicates": 2000},
        "strata": [{"attribute": "scanner"}],
        "minimum": {"positives": 3, "negatives": 3, "patients": 3},
        "stress": {"patients": N, "perturbations": [{"name": name} for name, _ in tests], **section},
    }
    given = Protocol.model_validate_json(json.dumps(document))
    return given.with_stress_tests(tuple(resolved_test(find(name), chosen) for name, chosen in tests))


def square(row, column, size=8):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[row : row + size, column : column + size] = True
    return mask


TRUTHS = [square(4 + i % 7, 5 + i % 11) for i in range(N)]
CLEAN = [np.roll(mask, i % 3, axis=1) for i, mask in enumerate(TRUTHS)]


def evaluate(tmp_path, plan, clean, cells, truths=TRUTHS):
    """Keep, write, read back and score; ``cells``: (name, severity) to a mask, numbers or a failure for each case."""
    ids = [f"c{i:03d}" for i in range(N)]
    cases = pa.table(
        {
            "case_id": ids,
            "patient_key": [f"p{i:03d}" for i in range(N)],
            "scanner": ["A" if i % 3 else "B" for i in range(N)],
        }
    )
    texts = [TrueMask(runs=encode(mask), spacing=None).text for mask in truths]
    reference = pa.table({"case_id": ids, "lesion": pa.array(texts, pa.string())})
    answered = pa.table(
        {
            "case_id": ids,
            "levels": pa.array(
                [None if isinstance(mask, str) else encode(mask).numbers for mask in clean],
                pa.list_(pa.int32()),
            ),
            "failure": pa.array([mask if isinstance(mask, str) else None for mask in clean], pa.string()),
            "seconds": pa.nulls(N, pa.float64()),
        }
    )
    asks = tuple(
        Ask(token=f"{name}-{severity}-{case}", case_id=case, perturbation=name, severity=severity)
        for name, severity in cells
        for case in ids
    )
    tmp_path.mkdir(exist_ok=True)
    step = StressStep(StressPlan(asks=asks, sample=tuple(ids)), tmp_path, plan, reference)
    with step.journal, Journal(tmp_path / "journal.jsonl") as journal:
        journals = Journals(clean=journal, stressed=step.journal, keep=step.keep)
        for ask in asks:
            answer = cells[ask.perturbation, ask.severity][ids.index(ask.case_id)]
            failed = isinstance(answer, str)
            levels = None if failed else [int(each) for each in encode(answer).numbers]
            journals.append(
                ask, journals.ending(ask, levels=levels, failure=answer if failed else None, container="m")
            )
        assert step.done
        step.write()
    table = with_digests(scored_cases(cases, reference, answered, plan), answered, plan)
    assert sampled_cases(tmp_path / "stress.parquet") == set(ids)
    asked = read_answers(tmp_path / "stress.parquet", plan)
    return asked, score_stress(table, asked, plan, "e-1")


def dice(one, other):
    ours, theirs = (set(map(tuple, np.argwhere(mask))) for mask in (one, other))
    return 2 * len(ours & theirs) / (len(ours) + len(theirs)) if ours or theirs else 1.0


def estimate_of(cell, metric):
    return next(each for each in cell.estimates if each.metric == metric)


def broken(masks, seed=1):
    """Masks that lose more or less of what they had; one case crashes."""
    numbers = np.random.default_rng(seed)
    lost = [np.where(numbers.random(SHAPE) < 0.2 + 0.6 * numbers.random(), False, mask) for mask in masks]
    return ["crashed", *lost[1:]]


@pytest.fixture
def world(tmp_path):
    cells = {
        ("clean", 1): CLEAN,
        ("blur", 1): CLEAN,
        ("blur", 5): broken(CLEAN),
        ("as_rle", 1): CLEAN,
        ("constant", 1): ["refused"] * N,
    }
    asked, found = evaluate(tmp_path / "world", protocol(), CLEAN, cells)
    return cells, asked, found


def test_the_change_is_that_of_brute_force_and_its_interval_that_of_paired_differences(world):
    cells, _, found = world
    cell = found.test("blur").cells[1]
    change = [
        (0.0 if isinstance(answer, str) else dice(truth, answer)) - dice(truth, before)
        for truth, before, answer in zip(TRUTHS, CLEAN, cells["blur", 5], strict=True)
    ]
    estimate = estimate_of(cell, "dice_change")
    assert estimate.value == pytest.approx(np.mean(change), abs=1e-12)
    low, high = stats.t.interval(0.95, N - 1, np.mean(change), stats.sem(change))
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.12 * (high - low))
    lost = sum(each < -0.05 for each in change)
    rate = estimate_of(cell, "dice_loss_rate")
    assert (rate.successes, rate.n) == (lost, N)
    z, share = stats.norm.ppf(0.975), lost / N
    half = z * math.sqrt(share * (1 - share) / N + z * z / (4 * N * N)) / (1 + z * z / N)
    middle = (share + z * z / (2 * N)) / (1 + z * z / N)
    assert (rate.low, rate.high) == pytest.approx((middle - half, middle + half))
    assert estimate_of(cell, "failure_rate").successes == 1
    assert cell.different == N
    assert cell.largest_difference == pytest.approx(max(map(abs, change[1:])))
    assert {each.metric: each.value for each in found.clean}["mean_dice"] == pytest.approx(
        np.mean([dice(truth, before) for truth, before in zip(TRUTHS, CLEAN, strict=True)])
    )


def test_each_expectation_has_its_verdict_and_the_dossier_agrees(world):
    _, _, found = world
    assert {test.name: test.verdict for test in found.tests} == {
        "clean": "equal",
        "blur": "outside",
        "as_rle": "equal",
        "constant": "refused",
    }
    assert found.test("blur").breaks_at == 5
    assert "mean Dice" in found.test("blur").reason
    assert (found.margins.dice, found.margins.auroc, found.margins.score) == (0.05, None, None)
    assert from_json(to_json(found)) == found
    document = protocol().document
    assert document["stress"]["margins"] == {"dice": 0.05}
    assert stress_contradictions(found, document) == []
    text = to_json(found).decode()
    for old, new, told in (
        ('"dice":0.05', '"dice":0.5', "margin of dice"),
        ('"successes":1,', '"successes":2,', "not that of its counts"),
        ('"verdict":"outside"', '"verdict":"within"', "not that of the intervals"),
    ):
        assert old in text, old
        forged = stress_contradictions(from_json(text.replace(old, new).encode()), document)
        assert any(told in sentence for sentence in forged), (told, forged)


def test_no_mask_is_stored_only_what_it_was_worth(world, tmp_path):
    _, asked, _ = world
    assert "levels" not in asked.column_names
    assert asked[DIGEST].null_count == N + 1
    first = json.loads((tmp_path / "world/stress.jsonl").read_text().splitlines()[0])
    assert first["levels"] is None
    assert set(first["kept"]) == {DIGEST, *protocol().answer_columns}
    assert (tmp_path / "world/journal.jsonl").read_bytes() == b""


def test_a_run_that_goes_on_from_its_journal_writes_the_same_bytes(world, tmp_path):
    cells, _, _ = world
    asks = tuple(
        Ask(token=f"{name}-{severity}-c{i:03d}", case_id=f"c{i:03d}", perturbation=name, severity=severity)
        for name, severity in cells
        for i in range(N)
    )
    again = tmp_path / "again"
    again.mkdir()
    shutil.copyfile(tmp_path / "world/stress.jsonl", again / "stress.jsonl")
    plan = StressPlan(asks=asks, sample=())
    step = StressStep(plan, again, protocol(), pa.table({"case_id": pa.array([], pa.string())}))
    with step.journal:
        assert step.done
        step.write()
    written = [(folder / "stress.parquet").read_bytes() for folder in (again, tmp_path / "world")]
    assert written[0] == written[1]


def one_test(tmp_path, name, answers, clean=CLEAN, truths=TRUTHS, **section):
    severity = len(find(name).severities)
    plan = protocol(((name, (severity,)),), **section)
    _, found = evaluate(tmp_path, plan, clean, {("clean", 1): clean, (name, severity): answers}, truths)
    assert stress_contradictions(found, plan.document) == []
    return found.test(name)


def test_one_other_element_is_not_equal_though_the_dice_is(tmp_path):
    """A mask that misses two elements may miss two others: as good, and another answer."""
    pairs = []
    for truth in TRUTHS:
        rows, columns = np.nonzero(truth)
        one, other = truth.copy(), truth.copy()
        one[rows[:2], columns[:2]] = False
        other[rows[-2:], columns[-2:]] = False
        pairs.append((one, other))
    clean, others = [one for one, _ in pairs], [other for _, other in pairs]
    same = one_test(tmp_path / "same", "as_rle", clean, clean)
    assert (same.verdict, same.cells[0].different) == ("equal", 0)
    changed = one_test(tmp_path / "changed", "as_rle", [others[0], *clean[1:]], clean)
    (cell,) = changed.cells
    assert (changed.verdict, cell.different, cell.largest_difference) == ("within", 1, 0.0)
    assert "1 of 40 answers differ, by 0 Dice at most" in changed.reason


@pytest.mark.parametrize(
    ("name", "change", "verdict"),
    [
        ("blur", lambda masks: [np.zeros(SHAPE, dtype=bool)] * N, "outside"),
        ("blur", lambda masks: ["refused"] * N, "refused"),
        ("blur", lambda masks: ["crashed"] * N, "outside"),
        ("blur", lambda masks: ["not_applicable"] * N, "not_applicable"),
        ("blur", lambda masks: [np.roll(masks[0], 1, axis=0), *masks[1:]], "within"),
        ("blur", lambda masks: [*["crashed"] * 3, *masks[3:]], "cannot_tell"),
        ("as_rle", lambda masks: ["crashed", *masks[1:]], "outside"),
        ("as_rle", lambda masks: ["refused", *masks[1:]], "refused"),
        ("as_rle", lambda masks: [np.roll(masks[0], 4, axis=0), *masks[1:]], "outside"),
        ("constant", lambda masks: [np.zeros((5, 7), dtype=bool), *["refused"] * (N - 1)], "answered_nonsense"),
        ("constant", lambda masks: ["crashed"] * N, "refused"),
    ],
)  # fmt: skip
def test_verdict_of_one_perturbation(tmp_path, name, change, verdict):
    test = one_test(tmp_path, name, change(CLEAN))
    assert test.verdict == verdict, test.reason


def test_an_answer_on_another_grid_is_a_failure_worth_nothing(tmp_path):
    turned = [mask.T.copy() for mask in CLEAN]
    (cell,) = one_test(tmp_path, "blur", [*CLEAN[:20], *turned[20:]]).cells
    assert [(each.code, each.cases) for each in cell.failures] == [("out_of_range", 20)]
    lost = -sum(dice(truth, mask) for truth, mask in zip(TRUTHS[20:], CLEAN[20:], strict=True)) / N
    assert estimate_of(cell, "dice_change").value == pytest.approx(lost)


def test_a_false_alarm_on_an_empty_case_is_a_loss_whatever_two_empty_masks_count(tmp_path):
    truths = [np.zeros(SHAPE, dtype=bool) if i % 2 else mask for i, mask in enumerate(TRUTHS)]
    alarms = [square(2, 2) if i % 2 else mask for i, mask in enumerate(truths)]
    for rule in ("right", "excluded"):
        test = one_test(
            tmp_path / rule, "blur", alarms, clean=truths, truths=truths, boundary={"both_empty": rule}
        )
        assert estimate_of(test.cells[0], "dice_change").value == pytest.approx(-0.5)
        assert test.verdict == "outside"


def test_the_surface_is_judged_where_its_margin_is_declared(tmp_path):
    # A rim of one element is forgiven by the surface Dice and costs Dice; half of a mask costs both.
    worse = [np.where(np.arange(SHAPE[1]) % 2, mask, False) for mask in CLEAN]
    plain = one_test(tmp_path / "plain", "blur", worse, margins={"dice": 0.9})
    assert plain.verdict == "within"
    assert "nsd_loss_rate" not in {each.metric for each in plain.cells[0].estimates}
    judged = one_test(tmp_path / "judged", "blur", worse, margins={"dice": 0.9, "nsd": 0.01})
    assert judged.verdict == "outside", judged.reason
    assert "mean NSD" in judged.reason


def test_a_group_that_loses_more_is_found(tmp_path):
    numbers = np.random.default_rng(4)
    worse = [
        np.where(numbers.random(SHAPE) < (0.1 if i % 3 else 0.7) * numbers.random(), False, mask)
        for i, mask in enumerate(CLEAN)
    ]
    groups = {group.level: group for group in one_test(tmp_path, "blur", worse).groups}
    assert (groups["B"].shown, groups["A"].shown) == (True, False)
    lost = [
        dice(t, c) - dice(t, w)
        for i, (t, c, w) in enumerate(zip(TRUTHS, CLEAN, worse, strict=True))
        if i % 3 == 0
    ]
    assert groups["B"].harm == pytest.approx(np.mean(lost))


def test_the_report_has_words_for_every_number_and_curves_of_dice(world):
    _, _, found = world
    names = {each.metric for each in glossary.estimates_in(found)}
    assert names <= set(glossary.METRICS)
    assert names >= {"dice_change", "nsd_change", "dice_loss_rate", "mean_dice", "harm_difference"}
    words = {word for each in glossary.estimates_in(found) for word in glossary.words_of(each.method)}
    assert words <= {*glossary.METHODS, *glossary.BEFORE, *glossary.AFTER}
    assert "1 of 3 perturbations break it, first of all blur" in stress_findings.stress_line(found)
    assert stress_findings.margin_words(found) == "mean Dice 0.05"
    (row,) = [row for row in stress_findings.heat_rows(found) if row.test.name == "blur"]
    loss = estimate_of(found.test("blur").cells[1], "dice_change").value
    assert row.squares[-1].text == f"Dice \u2212{-loss:.2f}"
    tests = stress_findings.curve_tests(found)
    assert [test.name for test in tests] == ["blur"]
    drawn = stress_figure.stress_curves(tests, stress_findings.drawn_margin(found), "stress", "mean Dice")
    assert "Change of mean Dice" in drawn
