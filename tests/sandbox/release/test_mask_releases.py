"""Releases of masks and findings: the mean Dice from answers to the vendor's page, and what similar answers tell."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from holdout.mask_runs import TrueMask, encode
from sandbox.asking.predictions import SCHEMA
from sandbox.commands.main import main
from sandbox.disclosure.means import MEANS
from sandbox.disclosure.screen import plan
from sandbox.errors import ReleaseRefusedError
from sandbox.institution.policy import load_policy
from sandbox.institution.workspace import open_ledger
from sandbox.outcome.results import from_json
from sandbox.outcome.scored import scored_cases
from sandbox.plan import protocols
from sandbox.release import workflow
from sandbox.release.foresight import foresee
from sandbox.release.selection import field_name, selection
from sandbox.release.similar import read_answered
from sandbox.reuse.bits import reuse_adjusted_half_width
from tests.sandbox.release.examined import (
    approved,
    change_policy,
    command,
    document,
    entries,
    evaluate,
    finished,
    release,
)
from tests.sandbox.release.test_foresight import hold_out

CASES, SIDE = 300, 16
OUTLINE = """\
proctor: protocol/1
name: outline
title: Outline of a SYNTHETIC lesion
task: {kind: segmentation, target: lesion, unit: image}
output: {mask: {runs: 100}}
boundary: {tolerance: 1, unit: px}
intervals: {bootstrap_replicates: 200}
acceptance: [{name: overlap, metric: mean_dice, bound: lower, at_least: 0.5}]
"""
FINDINGS = """\
proctor: protocol/1
name: nodules
title: SYNTHETIC nodules
task: {kind: detection, target: nodule, unit: image}
output: {findings: {levels: 11}}
hits: {rule: centre, rates: [1.0]}
intervals: {bootstrap_replicates: 200}
acceptance: [{name: finds, metric: froc_sensitivity, subject: "1", bound: value, at_least: 0.5}]
"""


@pytest.fixture(autouse=True)
def registered(site):
    for name, text in (("outline", OUTLINE), ("nodules", FINDINGS)):
        path = site.home / f"{name}.yaml"
        path.write_text(text)
        protocols.register(site, path)


def box(left, size=8):
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[4 : 4 + size, left : left + size] = True
    return mask


def predictions(levels):
    columns = {"case_id": names(), "levels": levels, "failure": [None] * CASES, "seconds": [None] * CASES}
    return pa.table(columns, schema=SCHEMA)


def names():
    return [f"c-{index:016x}" for index in range(CASES)]


def cases():
    return pa.table({"case_id": names(), "patient_key": [f"p-{index:016x}" for index in range(CASES)]})


def outlined(site, vendor, *, seed, others=()):
    """A finished evaluation of boxes that lie beside the true one; ``others`` are answered with another size."""
    beside = np.random.default_rng(5).integers(0, 4, CASES)
    masks = [box(4 + int(left), 7 if index in others else 8) for index, left in enumerate(beside)]
    answered = predictions([encode(mask).numbers for mask in masks])
    text = TrueMask(runs=encode(box(4)), spacing=None).text
    reference = pa.table({"case_id": names(), "lesion": [text] * CASES})
    table = scored_cases(cases(), reference, answered, protocols.find(site, "outline").protocol)
    return finished(site, vendor, table, seed=seed, protocol="outline", answered=answered)


def found(site, vendor, *, seed, moved=()):
    """A finished evaluation of one finding in each case; those of ``moved`` lie elsewhere."""
    levels = [[0, 0, 80, 80, 5] if index in moved else [8, 8, 40, 40, 5] for index in range(CASES)]
    answered = predictions(levels)
    nodules = [json.dumps({"boxes": [[1, 1, 5, 5]] if index % 2 else []}) for index in range(CASES)]
    reference = pa.table({"case_id": names(), "nodule": nodules})
    table = scored_cases(cases(), reference, answered, protocols.find(site, "nodules").protocol)
    return finished(site, vendor, table, seed=seed, protocol="nodules", answered=answered)


def told(site, identifier):
    return {field_name(each["path"]): each["value"] for each in document(site, identifier)["fields"]}


def reasons(site, identifier):
    return {field_name(each["path"]): each["reason"] for each in document(site, identifier)["withheld"]}


def test_a_mean_dice_reaches_its_vendor_with_its_unit_its_bits_and_its_half_width(site, capsys, tmp_path):
    evaluation = outlined(site, "acme", seed=1)
    code, asked, _ = command(capsys, "release", "request", evaluation)
    assert code == 0
    identifier = asked["release"]
    left = told(site, identifier)
    assert left.keys() == {f"all/mean_dice/{part}" for part in ("value", "low", "high")} | {
        "all/mean_nsd/value", "verdict", "acceptance/overlap",
    }  # fmt: skip
    results = from_json((site.evaluation(evaluation) / "results.json").read_bytes())
    dice = next(each for each in results.analysis().estimates if each.metric == "mean_dice")
    assert abs(float(left["all/mean_dice/value"]) - dice.value) < 0.05
    assert float(left["all/mean_dice/low"]) <= dice.low
    assert dice.high <= float(left["all/mean_dice/high"])
    content = document(site, identifier)
    fields = {field_name(each["path"]): each for each in content["fields"]}
    assert fields["all/mean_dice/value"]["unit"] == MEANS["mean_dice"]
    assert "unit" not in fields["verdict"]
    bits = 4 * np.log2(191) + 2 * 2
    half_width = reuse_adjusted_half_width(bits, CASES, 0.05)
    assert content["budget"]["cost"] == pytest.approx(bits, abs=0.01)
    assert content["budget"]["reuse_adjusted_half_width"] == pytest.approx(half_width, abs=0.001)
    rules = load_policy(site.policy_path)
    planned = plan(protocols.find(site, "outline").protocol, [], CASES, rules.disclosure, scope="s",
                   selection=selection(rules.release.fields))  # fmt: skip
    assert sum(each.bits for each in planned) == pytest.approx(bits)

    _, sheet, _ = command(capsys, "release", "review", identifier, "--as", "ada")
    audited = {each["cell"].rpartition("/all/")[2]: each for each in sheet["audit"]}
    assert audited["mean_dice/sum_in_patients"]["width"] >= 4
    assert MEANS["mean_dice"] in sheet["files"]["release.json"]
    certificate = json.loads((site.release(identifier) / "audit.json").read_bytes())
    named = {cell.rpartition("/all/")[2] for block in certificate["solutions"] for cell in block["cells"]}
    assert {"mean_dice/sum_in_patients", "mean_dice/lack_in_patients"} <= named

    assert release(site, evaluation) == identifier
    capsys.readouterr()
    page = tmp_path / "page.html"
    assert main(["-q", "report", evaluation, "--for", "vendor", "-o", str(page)]) == 0
    text = page.read_text()
    assert f"{MEANS['mean_dice']}, in steps of 0.05" in text
    assert "rounded at random" in text
    assert f"{dice.value:.3f}" not in text
    assert entries(site, "release-issued")[-1].detail["bits"] == pytest.approx(bits)


def test_masks_that_differ_in_three_patients_are_told_once_and_a_verdict_still_leaves(site, capsys):
    first = release(site, outlined(site, "acme", seed=1))
    second = release(site, outlined(site, "acme", seed=2, others={3, 50, 299}))
    assert told(site, second).keys() == {"verdict", "acceptance/overlap"}
    assert set(reasons(site, second)) == told(site, first).keys() - {"verdict", "acceptance/overlap"}
    assert all("fewer patients than the policy allows" in each for each in reasons(site, second).values())
    with pytest.raises(ReleaseRefusedError, match="every field that was asked for is withheld"):
        workflow.request(site, outlined(site, "bolt", seed=3, others={3}), patterns=["all/mean_dice/value"])


def test_masks_that_differ_in_enough_patients_or_not_at_all_are_told(site, capsys):
    first = release(site, outlined(site, "acme", seed=1))
    again = release(site, outlined(site, "bolt", seed=2))
    other = approved(site, outlined(site, "acme", seed=3, others=set(range(10))))
    assert reasons(site, again) == reasons(site, other) == {}
    assert "all/mean_dice/value" in told(site, other)
    assert told(site, first).keys() == told(site, other).keys()
    _, sheet, _ = command(capsys, "release", "review", other, "--as", "ada")
    change = [line for line in sheet["change"].splitlines() if line[:1] in "+-" and "mean_dice/value" in line]
    assert len(change) == 2


def test_failed_masks_are_alike_whatever_made_them_fail(site):
    evaluation = outlined(site, "acme", seed=1)
    path = site.evaluation(evaluation) / "predictions.parquet"
    table = pq.read_table(path)
    for code in ("timeout", "crash"):
        levels = [None, *table["levels"].to_pylist()[1:]]
        failures = [code, *[None] * (CASES - 1)]
        pq.write_table(pa.table({"case_id": names(), "levels": levels, "failure": failures,
                                 "seconds": [None] * CASES}, schema=SCHEMA), path)  # fmt: skip
        with open_ledger(site) as ledger:
            answered = read_answered(site, ledger, evaluation)
        assert answered.answers.shape == (CASES, 1)
        assert answered.answers[0, 0] == b""
        assert len(set(answered.answers[1:, 0])) == 4


def test_of_findings_only_verdicts_leave_and_it_is_said_why(site, capsys):
    evaluation = found(site, "acme", seed=1)
    code, asked, message = command(capsys, "release", "request", evaluation)
    assert (code, told(site, asked["release"]).keys()) == (0, {"verdict", "acceptance/finds"})
    assert "one patient alone can move its numbers" in message
    with pytest.raises(ReleaseRefusedError, match="one patient alone can move its numbers"):
        workflow.request(site, evaluation, patterns=["all/*"])
    release(site, evaluation)
    # Findings are compared too, as soon as two were answered.
    assert "verdict" in told(site, release(site, found(site, "bolt", seed=2, moved={1, 2})))


def test_the_foresight_names_means_that_too_few_patients_carry(site):
    policy, outline = load_policy(site.policy_path), protocols.find(site, "outline").protocol
    locked, reference = hold_out(small=50)
    (sentence,) = foresee(policy, outline, locked, reference, told=[])
    # A hundred patients carry a value in steps of 0.1, and no interval.
    assert "all/mean_dice/low, all/mean_dice/high" in sentence
    assert "value" not in sentence
    change_policy(site, disclosure={"metrics": ["auroc"]})
    (sentence,) = foresee(load_policy(site.policy_path), outline, locked, reference, told=[])
    assert "only verdicts" in sentence


def test_scored_answers_have_no_word_about_means(site):
    page = (site.release(approved(site, evaluate(site, "acme"))) / "release.html").read_text()
    assert "rounded at random" not in page
