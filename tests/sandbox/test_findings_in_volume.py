"""Findings in a volume: hit rules against a brute-force reading of them, LUNA16's score worked out apart, refusals."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdout.volume_lesions import VolumeLesions
from sandbox.errors import ProtocolError
from sandbox.outcome.findings_selfcheck import findings_checks
from sandbox.outcome.matched_findings import match_findings
from sandbox.outcome.scored import scored_cases
from sandbox.outcome.truth import read_truth
from sandbox.plan.protocol import Protocol, load_protocol
from sandbox.scoring.score import score

PARTS = 16
POINTS, BOXES = "points_in_volume", "boxes_in_volume"


def plan(form=POINTS, **hits):
    document = {
        "proctor": "protocol/1",
        "name": "nodules",
        "title": "Nodules",
        "task": {"kind": "detection", "target": "nodule", "unit": "series"},
        "output": {"findings": {"form": form, "levels": 1001}},
        "hits": {"rule": "radius", **hits},
        "intervals": {"bootstrap_replicates": 200},
        "minimum": {"positives": 1, "negatives": 1, "patients": 1},
    }
    return Protocol.model_validate_json(json.dumps(document), strict=True)


def text(kind, lesions):
    return VolumeLesions(kind=kind, lesions=tuple(tuple(map(float, each)) for each in lesions)).text


def truth(nodules, **labels):
    columns = {"case_id": [f"c{index}" for index in range(len(nodules))], "nodule": nodules, **labels}
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def answered(*cases):
    """Findings of each case: place in mm, then the score."""
    levels = [
        [n for *place, rating in case for n in (*(round(PARTS * at) for at in place), round(1000 * rating))]
        for case in cases
    ]
    return pa.table(
        {
            "case_id": [f"c{index}" for index in range(len(cases))],
            "levels": pa.array(levels, pa.list_(pa.int32())),
            "failure": pa.nulls(len(cases), pa.string()),
            "seconds": pa.nulls(len(cases), pa.float64()),
        }
    )


def matched(reference, answers, protocol):
    return match_findings(reference, answers, protocol)["answer:matched"].to_pylist()


def inside_cube(centre, diameter, point):
    return all(abs(a - b) <= diameter / 2 for a, b in zip(centre, point, strict=True))


def volume_of(low, high):
    return math.prod(max(0.0, b - a) for a, b in zip(low, high, strict=True))


def hits_by_hand(rule, form, kind, finding, lesion):
    """Whether a finding hits, and how far it is or how much it overlaps, from the words of the rule alone."""
    at = (
        finding[:3]
        if form == POINTS
        else [(a + b) / 2 for a, b in zip(finding[:3], finding[3:6], strict=True)]
    )
    middle = (
        lesion[:3] if kind != "boxes" else [(a + b) / 2 for a, b in zip(lesion[:3], lesion[3:], strict=True)]
    )
    away = math.dist(at, middle)
    if rule == "distance":
        return away <= 5, -away
    if rule == "radius" or (rule == "centre" and kind == "spheres"):
        return away <= lesion[3] / 2, -away
    if kind == "spheres":
        half = lesion[3] / 2
        lesion = (*(a - half for a in middle), *(a + half for a in middle))
    if rule == "centre":
        return all(a <= b <= c for a, b, c in zip(lesion[:3], at, lesion[3:], strict=True)), -away
    shared = volume_of(np.maximum(finding[:3], lesion[:3]), np.minimum(finding[3:6], lesion[3:]))
    union = volume_of(finding[:3], finding[3:6]) + volume_of(lesion[:3], lesion[3:]) - shared
    return shared / union >= 0.2, shared / union


# Sixteenths of a millimetre, as answers are kept, so that both sides read the same numbers.
PLACE = st.tuples(*[st.integers(-20 * PARTS, 20 * PARTS).map(lambda n: n / PARTS)] * 3)
SIZE = st.tuples(*[st.integers(8, 12 * PARTS).map(lambda n: n / PARTS)] * 3)
BOX = st.tuples(PLACE, SIZE).map(lambda each: (*each[0], *(a + b for a, b in zip(*each, strict=True))))
SPHERE = st.tuples(PLACE, st.integers(8, 30 * PARTS)).map(lambda each: (*each[0], each[1] / PARTS))
RULES = [
    ("radius", POINTS, "spheres"),
    ("radius", BOXES, "spheres"),
    ("centre", POINTS, "spheres"),
    ("centre", POINTS, "boxes"),
    ("centre", BOXES, "boxes"),
    ("distance", POINTS, "points"),
    ("distance", BOXES, "spheres"),
    ("iou", BOXES, "boxes"),
    ("iou", BOXES, "spheres"),
]


@pytest.mark.parametrize(("rule", "form", "kind"), RULES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_hits_is_what_the_words_of_the_rule_say(rule, form, kind, data):
    lesion = {"points": PLACE, "spheres": SPHERE, "boxes": BOX}[kind]
    lesions = sorted(data.draw(st.lists(lesion, min_size=1, max_size=4, unique=True)))
    findings = data.draw(st.lists(PLACE if form == POINTS else BOX, max_size=6))
    ratings = data.draw(st.permutations(range(1, len(findings) + 1)))
    extra = {"iou": {"least": 0.2}, "distance": {"most_distance": 5}}.get(rule, {})
    own = [(*finding, rating / 10) for finding, rating in zip(findings, ratings, strict=True)]
    (found,) = matched(truth([text(kind, lesions)]), answered(own), plan(form, rule=rule, **extra))
    # Findings choose from the highest rating down, each the best lesion that is still free.
    free = set(range(len(lesions)))
    for number in sorted(range(len(own)), key=lambda each: -ratings[each]):
        seen = [hits_by_hand(rule, form, kind, findings[number], each) for each in lesions]
        best = max((seen[each][1] for each in free if seen[each][0]), default=None)
        if best is None:
            assert found[number] == (-2 if any(hit for hit, _ in seen) else -1)
            continue
        # Of equally good ones either may be taken.
        assert found[number] in free
        assert seen[found[number]][0]
        assert seen[found[number]][1] == pytest.approx(best, abs=1e-9)
        free.remove(found[number])


NODULES = [
    [(10, 0, 0, 6), (40, 0, 0, 10)],
    [(0, 0, 0, 8)],
    [(-20, 5, 5, 5)],
    [],
    [],
    [],
    [],
    [],
]
CANDIDATES = [
    # Hits the first twice (the second counts for nothing), misses the second by more than its radius.
    [(12, 1, 0, 0.9), (10, 0, 0, 0.6), (40, 0, 5.25, 0.8), (100, 0, 0, 0.15)],
    [(0, 3, 2.5, 0.7)],
    [(-20, 5, 7.75, 0.95)],
    [(1, 1, 1, 0.5)],
    [],
    [(3, 3, 3, 0.3), (4, 4, 4, 0.2)],
    [],
    [(9, 9, 9, 0.1)],
]


def cpm_by_hand(nodules, candidates):
    """LUNA16's score (Setio et al. 2017) from its words: mean sensitivity at 1/8 ... 8 false positives per scan.

    A candidate within the nodule's radius of its centre detects it, once; further ones count for nothing; all others
    are false positives. Between points of the FROC curve sensitivity is interpolated, beyond its end it stays.
    """
    marks = []
    for own, found in zip(nodules, candidates, strict=True):
        left = list(own)
        for *place, rating in sorted(found, key=lambda each: -each[3]):
            near = [each for each in own if math.dist(place, each[:3]) <= each[3] / 2]
            fresh = [each for each in near if each in left]
            if fresh:
                left.remove(min(fresh, key=lambda each: math.dist(place, each[:3])))
            if fresh or not near:
                marks.append((rating, bool(fresh)))
    total, scans = sum(map(len, nodules)), len(nodules)
    curve = [(0.0, 0.0)]
    for threshold in sorted({rating for rating, _ in marks}, reverse=True):
        above = [hit for rating, hit in marks if rating >= threshold]
        curve.append(((len(above) - sum(above)) / scans, sum(above) / total))
    rates = [0.125, 0.25, 0.5, 1, 2, 4, 8]
    x, y = zip(*curve, strict=True)
    return float(np.mean(np.interp(rates, x, y)))


def test_the_rule_of_luna16():
    protocol = plan()
    reference = truth([text("spheres", each) for each in NODULES])
    assert matched(reference, answered(*CANDIDATES), protocol) == [
        [0, -2, -1, -1], [0], [-1], [-1], [], [-1, -1], [], [-1]
    ]  # fmt: skip
    cases = pa.table({"case_id": reference["case_id"], "patient_key": reference["case_id"]})
    results = score(scored_cases(cases, reference, answered(*CANDIDATES), protocol), protocol, "e")
    found = {(each.metric, each.subject): each.value for each in results.analysis().estimates}
    assert found["cpm", None] == pytest.approx(cpm_by_hand(NODULES, CANDIDATES))
    # The lesion of the second scan is found below one false positive per scan, the missed two never.
    assert found["froc_sensitivity", "1"] == 0.5
    assert 0 < found["cpm", None] < 0.5
    assert any("own radius (LUNA16)" in note for note in results.notes)


def test_what_fewer_readers_marked_counts_neither_way():
    reference = truth(
        [text("spheres", [(0, 0, 0, 6)]), text("spheres", [])],
        irrelevant=[None, text("spheres", [(50, 0, 0, 10)])],
    )
    answers = answered([(0, 0, 0, 0.5)], [(52, 0, 0, 0.9), (56, 0, 0, 0.4)])
    assert matched(reference, answers, plan(ignored="irrelevant")) == [[0], [-3, -1]]
    assert matched(reference, answers, plan()) == [[0], [-1, -1]]
    points = reference.set_column(2, "irrelevant", pa.array([None, text("points", [(50, 0, 0)])]))
    with pytest.raises(ProtocolError, match="label of points has no regions"):
        match_findings(points, answers, plan(ignored="irrelevant"))


def test_weights_go_with_lesions_in_a_volume():
    both, one = text("spheres", [(0, 0, 0, 6), (30, 0, 0, 6)]), text("spheres", [(30, 0, 0, 6)])
    reference = truth([both, text("spheres", [])], malignant=[one, None])
    found = match_findings(reference, answered([], []), plan(weights={"malignant": 3}))
    assert found["truth:weights"].to_pylist() == [[0.25, 0.75], None]
    other = truth([both, text("spheres", [])], malignant=[text("spheres", [(31, 0, 0, 6)]), None])
    with pytest.raises(ProtocolError, match="none of the target's lesions"):
        match_findings(other, answered([], []), plan(weights={"malignant": 3}))


@pytest.mark.parametrize(
    ("protocol", "kind", "lesion", "why"),
    [
        (plan(), "boxes", (0, 0, 0, 5, 5, 5), "boxes, which have no radius"),
        (plan(), "points", (0, 0, 0), "points without a diameter"),
        (plan(rule="centre"), "points", (0, 0, 0), "points without a diameter"),
        (plan(BOXES, rule="iou", least=0.1), "points", (0, 0, 0), "points without a diameter"),
    ],
)
def test_truth_that_the_rule_cannot_be_held_to(protocol, kind, lesion, why):
    with pytest.raises(ProtocolError, match=why):
        read_truth(truth([text(kind, [lesion])]), protocol)


@pytest.mark.parametrize("label", ['{"boxes":[[1,2,3,4]]}', '{"runs":[4],"shape":[2,2],"spacing":null}', "1"])
def test_truth_in_an_image_is_none_in_a_volume(label):
    with pytest.raises(ProtocolError, match="holds no lesions in a volume"):
        read_truth(truth([label]), plan())


def test_truth_is_the_number_of_lesions():
    reference = truth([text("spheres", [(0, 0, 0, 6), (9, 9, 9, 1)]), text("spheres", []), None])
    assert read_truth(reference, plan())["reference"].to_pylist() == [2.0, 0.0, None]


@pytest.mark.parametrize(
    ("protocol", "kind", "lesions"),
    [
        (plan(), "spheres", [(-301.03, 77.77, -1003.47, 0.2), (5.5, 6.61, 7.77, 30.1)]),
        (plan(BOXES), "spheres", [(-301.03, 77.77, -1003.47, 0.2)]),
        (plan(rule="distance", most_distance=1), "points", [(1.03, 2.06, 3.09), (-1.03, -2.06, -3.09)]),
        (plan(BOXES, rule="iou", least=0.5), "boxes", [(0.03, 0.04, 0.05, 2.01, 3.02, 4.03)]),
        (plan(BOXES, rule="iou", least=0.5), "spheres", [(0.03, 0.04, 0.05, 3.3)]),
    ],
)
def test_a_container_that_knows_the_lesions_finds_them(protocol, kind, lesions):
    reference = truth([text(kind, lesions), text(kind, []), None])
    assert [each[1:] for each in findings_checks(reference, protocol)] == [(1.0, 1.0), (0.0, 0.0)]


HEAD = """\
proctor: protocol/1
name: test
title: Test
task: {kind: detection, target: nodule, unit: UNIT}
"""


@pytest.mark.parametrize(
    ("unit", "form", "hits", "why"),
    [
        ("study", POINTS, "{rule: radius}", "task.unit.*one system of coordinates"),
        ("image", "boxes_in_image", "{rule: radius}", "hits.rule.*radius is for lesions in a volume"),
        ("series", POINTS, "{rule: iou, least: 0.1}", "hits.rule.*iou needs boxes"),
        ("series", POINTS, "{rule: distance}", "hits.most_distance"),
        ("series", POINTS, "{rule: radius, most_distance: 3}", "hits.most_distance"),
        ("series", "points_in_image", "{rule: centre}", "output.findings.form"),
    ],
)
def test_protocols_whose_form_unit_and_rule_do_not_fit(tmp_path, unit, form, hits, why):
    path = tmp_path / "p.yaml"
    path.write_text(f"{HEAD.replace('UNIT', unit)}output: {{findings: {{form: {form}}}}}\nhits: {hits}\n")
    with pytest.raises(ProtocolError, match=why):
        load_protocol(path)


def test_a_protocol_of_boxes_in_an_image_keeps_its_digest(tmp_path):
    path = tmp_path / "p.yaml"
    head = HEAD.replace("UNIT", "image")
    path.write_text(f"{head}output: {{findings: {{most: 5}}}}\nhits: {{rule: centre}}\n")
    old = load_protocol(path)
    # The digest of this file before there were other forms.
    assert old.digest == "sha256:7bd68cf145b83b5ccad0a4f435a4b5066f5a11d3f30ce12f7a63d6e7b0be1ffc"
    path.write_text(
        f"{head}output: {{findings: {{most: 5, form: boxes_in_image}}}}\nhits: {{rule: centre}}\n"
    )
    assert load_protocol(path).digest == old.digest
    assert "form" not in old.output.findings.request["findings"]
    assert plan().document["output"]["findings"]["form"] == POINTS
    assert plan().output.findings.request["findings"]["form"] == POINTS
