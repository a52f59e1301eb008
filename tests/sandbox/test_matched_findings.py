"""Answered findings against declared lesions: ignored regions, weights, and what both do to figures worked by hand."""

import json

import numpy as np
import pyarrow as pa
import pytest

from holdout.mask_runs import TrueMask, encode
from sandbox.errors import ProtocolError
from sandbox.outcome.matched_findings import match_findings
from sandbox.outcome.scored import scored_cases
from sandbox.plan.protocol import Protocol
from sandbox.scoring.detection.matching import FALSE_POSITIVE, IGNORED
from sandbox.scoring.score import score


def plan(**hits):
    document = {
        "proctor": "protocol/1",
        "name": "boxes",
        "title": "Boxes",
        "task": {"kind": "detection", "target": "nodule", "unit": "image"},
        "output": {"findings": {"levels": 11}},
        "hits": {"rule": "centre", "rates": [1.0], **hits},
        "intervals": {"bootstrap_replicates": 200},
        "minimum": {"positives": 1, "negatives": 1, "patients": 1},
    }
    return Protocol.model_validate_json(json.dumps(document), strict=True)


def boxes(*each):
    return json.dumps({"boxes": [list(box) for box in each]})


def answered(*cases):
    """Findings of each case: (left, top, right, bottom, level of the score)."""
    levels = [[round(n * (8 if i < 4 else 1)) for finding in case for i, n in enumerate(finding)]
              for case in cases]  # fmt: skip
    ids = [f"c{index}" for index in range(len(cases))]
    return pa.table(
        {
            "case_id": ids,
            "levels": pa.array(levels, pa.list_(pa.int32())),
            "failure": pa.nulls(len(cases), pa.string()),
            "seconds": pa.nulls(len(cases), pa.float64()),
        }
    )


def truth(nodules, **labels):
    columns = {"case_id": [f"c{index}" for index in range(len(nodules))], "nodule": nodules, **labels}
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def figures(reference, answers, protocol):
    cases = pa.table({"case_id": reference["case_id"], "patient_key": reference["case_id"]})
    found = score(scored_cases(cases, reference, answers, protocol), protocol, "e").analysis().estimates
    return {(each.metric, each.subject): each.value for each in found}


SCAR = [(30, 30, 40, 40, 9), (31, 31, 39, 39, 9)]


@pytest.mark.parametrize("form", ["boxes", "mask"])
def test_a_finding_in_an_ignored_region_counts_neither_way(form):
    mask = np.zeros((64, 64), dtype=bool)
    mask[28:42, 28:42] = True
    region = boxes((28, 28, 42, 42)) if form == "boxes" else TrueMask(runs=encode(mask), spacing=None).text
    reference = truth([boxes((10, 10, 20, 20)), boxes(), boxes()], scar=[None, region, boxes()])
    answers = answered([(10, 10, 20, 20, 5)], SCAR, [(2, 2, 6, 6, 1)])
    open_, strict = plan(ignored="scar"), plan()
    assert match_findings(reference, answers, open_)["answer:matched"].to_pylist() == [
        [0], [IGNORED, IGNORED], [FALSE_POSITIVE]
    ]  # fmt: skip
    assert match_findings(reference, answers, strict)["answer:matched"].to_pylist()[1] == [-1, -1]
    with_rule, without = figures(reference, answers, open_), figures(reference, answers, strict)
    # Without the region the two marks stand above the lesion's; with it neither list nor case knows of them.
    assert with_rule["average_precision", None] == 1.0
    assert without["average_precision", None] == pytest.approx(1 / 3)
    assert (with_rule["wafroc", None], without["wafroc", None]) == (1.0, 0.5)
    assert (with_rule["case_auroc", None], without["case_auroc", None]) == (1.0, 0.5)


def test_a_lesion_inside_of_an_ignored_region_is_found_as_any_other():
    reference = truth([boxes((10, 10, 20, 20)), boxes()], scar=[boxes((0, 0, 60, 60)), None])
    found = match_findings(reference, answered([(11, 11, 19, 19, 5)], []), plan(ignored="scar"))
    assert found["answer:matched"].to_pylist() == [[0], []]


def test_weights_are_scaled_within_a_case_and_move_only_what_is_weighed():
    reference = truth(
        [boxes((10, 10, 20, 20), (40, 40, 50, 50)), boxes()], malignant=[boxes((10, 10, 20, 20)), None]
    )
    answers = answered([(10, 10, 20, 20, 5)], [])
    protocol = plan(weights={"malignant": 3})
    assert match_findings(reference, answers, protocol)["truth:weights"].to_pylist() == [[0.75, 0.25], None]
    equal, weighed = figures(reference, answers, plan()), figures(reference, answers, protocol)
    # The found lesion stands above the unmarked normal case, the missed one ties with it.
    assert (equal["wafroc", None], weighed["wafroc", None]) == (0.75, 0.75 + 0.25 / 2)
    assert equal["afroc", None] == weighed["afroc", None] == 0.75


def test_what_is_not_there_is_said():
    reference = truth([boxes((1, 1, 2, 2)), boxes()], other=[boxes((5, 5, 6, 6)), None])
    with pytest.raises(ProtocolError, match="no label scar"):
        match_findings(reference, answered([], []), plan(ignored="scar"))
    with pytest.raises(ProtocolError, match="none of the target's lesions"):
        match_findings(reference, answered([], []), plan(weights={"other": 2}))
    wrong = truth([boxes((1, 1, 2, 2)), boxes()], scar=["left", None])
    with pytest.raises(ProtocolError, match="neither boxes nor masks"):
        match_findings(wrong, answered([], []), plan(ignored="scar"))


def test_a_protocol_without_these_keeps_its_digest():
    assert "ignored" not in plan().document["hits"]
    assert "weights" not in plan().document["hits"]
    assert plan(ignored="scar").digest != plan().digest
