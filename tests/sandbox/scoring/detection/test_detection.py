"""Matching and curves of detection against hand-worked cases and direct definitions over every pair and threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score

from sandbox.scoring.bootstrap import Seed, patient_weights
from sandbox.scoring.detection import curves
from sandbox.scoring.detection.hits import boxes_by_iou, centres, points_by_distance, points_in_boxes
from sandbox.scoring.detection.maps import case_of_maps, objects
from sandbox.scoring.detection.marks import CaseMarks, failed_case, make_marks
from sandbox.scoring.detection.matching import FALSE_POSITIVE, IGNORED, LEFT_OUT, match

NAN = np.nan


def marked(ratings, matched, lesions, **more):
    return CaseMarks(
        ratings=np.array(ratings, float), matched=np.array(matched, int), lesions=lesions, **more
    )


CASE = st.integers(0, 3).flatmap(
    lambda lesions: st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from([FALSE_POSITIVE, LEFT_OUT, *range(lesions)])), max_size=5
    ).map(
        lambda marks: marked(
            [rating for rating, _ in marks],
            # No lesion is matched twice.
            [
                m if m < 0 or m not in [o for _, o in marks[:i]] else LEFT_OUT
                for i, (_, m) in enumerate(marks)
            ],
            lesions,
        )
    )
)
CASES = st.lists(CASE, min_size=1, max_size=8)


def lesion_ratings(case):
    found = [-np.inf] * case.lesions
    for rating, lesion in zip(case.ratings, case.matched, strict=True):
        if lesion >= 0:
            found[lesion] = rating
    return found


def false_ratings(case):
    return [r for r, m in zip(case.ratings, case.matched, strict=True) if m == FALSE_POSITIVE]


def highest(values):
    return max(values, default=-np.inf)


def pairs_above(ours, theirs):
    """Weighted share of pairs in which the first is above, ties one half: by going through all of them."""
    total = sum(w for _, w in ours) * len(theirs)
    above = sum(w * ((a > b) + (a == b) / 2) for a, w in ours for b in theirs)
    return above / total if total else NAN


@given(CASES)
def test_every_figure_by_its_definition(cases):
    marks = make_marks(cases, np.arange(len(cases)))
    counts = marks.total()
    lesions = [(r, 1 / case.lesions) for case in cases for r in lesion_ratings(case)]
    false = [r for case in cases for r in false_ratings(case)]
    normal = [case for case in cases if not case.lesions]
    tops = [highest(false_ratings(case)) for case in normal]
    every = [highest(case.ratings) for case in normal]
    assert curves.afroc(marks, counts, weighted=False)[0] == pytest.approx(
        pairs_above([(r, 1) for r, _ in lesions], tops), nan_ok=True
    )
    assert curves.afroc(marks, counts, weighted=True)[0] == pytest.approx(
        pairs_above(lesions, tops), nan_ok=True
    )
    diseased = [(highest(case.ratings), 1) for case in cases if case.lesions]
    assert curves.case_auroc(marks, counts)[0] == pytest.approx(pairs_above(diseased, every), nan_ok=True)
    for rate in (0.125, 0.5, 1.0, 2.0):
        reached = (
            [
                np.mean([r >= t for r, _ in lesions])
                for t in [np.inf, *range(1, 7)]
                if sum(r >= t for r in false) / len(cases) <= rate
            ]
            if lesions
            else [NAN]
        )
        assert curves.sensitivity_at(marks, counts, rate)[0] == pytest.approx(max(reached), nan_ok=True)
        in_normal = [r for case in normal for r in false_ratings(case)]
        if normal and lesions:
            reached = [
                np.mean([r >= t for r, _ in lesions])
                for t in [np.inf, *range(1, 7)]
                if sum(r >= t for r in in_normal) / len(normal) <= rate
            ]
            assert curves.sensitivity_at(marks, counts, rate, "normal_case")[0] == pytest.approx(max(reached))


@given(CASES)
def test_average_precision_and_case_auroc_against_scikit_learn(cases):
    marks = make_marks(cases, np.arange(len(cases)))
    counts = marks.total()
    truth = [(1, r) for case in cases for r in lesion_ratings(case)]
    truth += [(0, r) for case in cases for r in false_ratings(case)]
    found = [each for each in truth if each[1] > -np.inf]
    total = sum(case.lesions for case in cases)
    if total and any(label for label, _ in found):
        # scikit-learn knows no missed lesion: its recall is of those found.
        share = sum(label for label, _ in found) / total
        expected = share * average_precision_score(*zip(*found, strict=True))
        assert curves.average_precision(marks, counts)[0] == pytest.approx(expected)
    sick = [case.lesions > 0 for case in cases]
    if len(set(sick)) == 2:
        tops = [max(case.ratings, default=0) for case in cases]
        assert curves.case_auroc(marks, counts)[0] == pytest.approx(roc_auc_score(sick, tops))


@given(CASES, st.integers(1, 3))
def test_a_resample_is_the_cases_taken_that_often(cases, patients):
    patient = np.arange(len(cases)) % patients
    marks = make_marks(cases, patient)
    seed = Seed(evaluation="e", metric="m")
    drawn = np.concatenate(list(marks.resampled(seed, 3)))
    weights = np.concatenate(list(patient_weights(marks.patients, seed, 3, 1000)))
    for counts, weight in zip(drawn, weights, strict=True):
        copies = [case for case, owner in zip(cases, patient, strict=True) for _ in range(int(weight[owner]))]
        again = make_marks(copies, np.arange(len(copies)))
        for figure in (curves.average_precision, curves.case_auroc, curves.competition_metric):
            assert figure(marks, counts[None])[0] == pytest.approx(
                figure(again, again.total())[0], nan_ok=True
            )


@given(CASES)
def test_a_rising_change_of_the_ratings_changes_nothing(cases):
    moved = [
        CaseMarks(ratings=np.exp(case.ratings) - 7, matched=case.matched, lesions=case.lesions)
        for case in cases
    ]
    one, other = (make_marks(each, np.arange(len(cases))) for each in (cases, moved))
    assert np.array_equal(one.total(), other.total())


def test_froc_of_three_cases_by_hand():
    # Two lesions in the first case, one in the second, none in the third.
    cases = [
        marked([9, 7, 3], [0, FALSE_POSITIVE, 1], 2),
        marked([8], [FALSE_POSITIVE], 1),
        marked([6], [FALSE_POSITIVE], 0),
    ]
    marks = make_marks(cases, np.array([0, 1, 2]))
    alarms, found = curves.froc(marks, marks.total())
    # From above: nothing, (nothing above every rating), 9, 8, 7, 6, 3.
    assert found[0] == pytest.approx([0, 0, 1 / 3, 1 / 3, 1 / 3, 1 / 3, 2 / 3])
    assert alarms[0] == pytest.approx([0, 0, 0, 1 / 3, 2 / 3, 1, 1])
    assert curves.froc(marks, marks.total(), "normal_case")[0][0] == pytest.approx([0, 0, 0, 0, 0, 1, 1])
    # Lesions 9, 3 (weights one half) and an unmarked one (weight 1) against the normal case's 6.
    assert curves.afroc(marks, marks.total(), weighted=True)[0] == pytest.approx(0.25)
    assert curves.afroc(marks, marks.total(), weighted=False)[0] == pytest.approx(1 / 3)
    # On the line from (0, 1/3) at 1/8, 1/4 and 1/2; 2/3 from 1 on.
    assert curves.competition_metric(marks, marks.total())[0] == pytest.approx((3 / 3 + 4 * 2 / 3) / 7)


def test_an_unmarked_lesion_ties_with_an_unmarked_normal_case():
    cases = [marked([], [], 1), marked([], [], 0)]
    marks = make_marks(cases, np.array([0, 1]))
    assert curves.afroc(marks, marks.total(), weighted=True)[0] == 0.5
    assert curves.case_auroc(marks, marks.total())[0] == 0.5
    assert curves.average_precision(marks, marks.total())[0] == 0.0


def test_a_failed_case_is_worse_than_any_answer():
    right = [marked([5], [0], 1), marked([], [], 0)]
    for broken in (0, 1):
        cases = list(right)
        cases[broken] = failed_case(cases[broken].lesions)
        good, bad = (make_marks(each, np.array([0, 1])) for each in (right, cases))
        for figure in (curves.case_auroc, lambda m, c: curves.afroc(m, c, weighted=True)):
            assert figure(good, good.total())[0] == 1.0
            assert figure(bad, bad.total())[0] <= 0.5
        assert curves.average_precision(bad, bad.total())[0] <= 0.5


def test_several_hits_and_ignored_regions():
    ratings = np.array([0.9, 0.8, 0.7, 0.6])
    merits = np.array([[0.5, NAN], [0.9, 0.2], [NAN, 0.8], [NAN, NAN]])
    assert match(ratings, merits).tolist() == [0, 1, LEFT_OUT, FALSE_POSITIVE]
    assert match(ratings, merits, repeats="false_positive").tolist() == [0, 1, FALSE_POSITIVE, FALSE_POSITIVE]
    assert match(ratings, merits, order="most_matches").tolist() == [LEFT_OUT, 0, 1, FALSE_POSITIVE]
    ignored = np.array([True, False, False, True])
    assert match(ratings, merits, ignored=ignored).tolist() == [0, 1, LEFT_OUT, IGNORED]
    assert match(np.empty(0), np.empty((0, 2))).tolist() == []
    assert match(np.array([0.5]), np.empty((1, 0))).tolist() == [FALSE_POSITIVE]


def test_when_a_box_is_hit():
    lesions = np.array([[0.0, 0, 4, 4], [10, 10, 12, 14]])
    findings = np.array([[0.0, 0, 4, 2], [11, 11, 13, 13], [20, 20, 21, 21]])
    iou = boxes_by_iou(findings, lesions, 0.1)
    assert iou[0, 0] == 0.5
    assert iou[1, 1] == pytest.approx(2 / 10)
    assert np.isnan(iou[[0, 1, 2, 2], [1, 0, 0, 1]]).all()
    assert np.isnan(boxes_by_iou(findings, lesions, 0.51)).all()
    inside = points_in_boxes(centres(findings), lesions)
    assert (~np.isnan(inside)).tolist() == [[True, False], [False, True], [False, False]]
    away = points_by_distance(np.array([[0.0, 0.0]]), np.array([[0.0, 3.0], [3.0, 0.0]]), 2.0, (1.0, 0.5))
    assert (~np.isnan(away)).tolist() == [[True, False]]


def test_maps_find_objects_and_their_overlap():
    lesions, found = np.zeros((2, 8, 8)), np.zeros((2, 8, 8))
    lesions[0, 1:3, 1:5] = 1
    lesions[1, 6:8, 6:8] = 1
    found[0, 1:3, 1:3] = 0.7
    found[0, 5:7, 0:2] = 0.4
    case = case_of_maps(found, lesions, least=0.5)
    assert case.lesions == 2
    assert sorted(zip(case.ratings.tolist(), case.matched.tolist(), strict=True)) == [(0.4, -1), (0.7, 0)]
    empty = case_of_maps(np.zeros((2, 8, 8)), lesions)
    assert (empty.lesions, empty.ratings.size) == (2, 0)


@given(arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=3, max_side=5)))
def test_objects_are_those_of_a_labelled_array(mask):
    places, labels, count = objects(mask)
    expected, number = ndimage.label(mask, np.ones((3,) * mask.ndim))
    assert np.array_equal(places, np.flatnonzero(mask))
    assert count == number
    # The same elements belong together, under whatever number.
    theirs = expected.reshape(-1)[places]
    assert len(set(zip(labels.tolist(), theirs.tolist(), strict=True))) == number
