"""Classes, grades and labels: each as a binary task, with all that a reader knows of how they hang together."""

import itertools

import numpy as np
import pytest

from sandbox.disclosure.audit import audit
from sandbox.disclosure.cells import between, total
from sandbox.disclosure.counted import Counted, count
from sandbox.disclosure.fields import Term
from sandbox.disclosure.rules import DisclosureRules
from sandbox.disclosure.screen import plan, protocol_mark, screen
from sandbox.disclosure.subjects import against_rest, between_subjects, subjects_of
from sandbox.disclosure.withholding import Links, keep_safe
from sandbox.reuse.bits import cost
from sandbox.scoring.score import score
from tests.sandbox.scoring import task_tables

OPEN = DisclosureRules(
    label_free="rules",
    extreme_rates="released",
    metrics=("auroc", "sensitivity", "ppv", "npv", "specificity", "failure_rate"),
)
KINDS = ("multiclass", "ordinal", "multilabel")


def made(kind, *, n=400, failures="worst_case", rules=OPEN, acceptance=(), selection=None, **more):
    protocol = getattr(task_tables, f"{kind}_plan")(failures=failures, acceptance=acceptance)
    table = getattr(task_tables, f"{kind}_table")(n, **more)
    results = score(table, protocol, "e")
    return table, protocol, results, screen(results, rules, scope="s", selection=selection)


def truth(results):
    mark, values = protocol_mark(results.protocol_digest), {}
    for subject in subjects_of(results):
        values |= count(against_rest(results, subject), f"s:{subject}", mark).values
    return values


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("failures", ["worst_case", "excluded"])
@pytest.mark.parametrize(("failed", "per_patient"), [(0.0, 1), (0.1, 2)])
def test_what_a_field_tells_is_true(kind, failures, failed, per_patient):
    more = {"unknown": 0.1} if kind == "multilabel" else {}
    _, _, results, found = made(kind, failures=failures, failed=failed, per_patient=per_patient, **more)
    values = truth(results)
    assert [each for each in found.structure if not each.holds(values)] == []
    for field in found.fields:
        assert all(each.holds(values) for each in field.constraints), field.path
    assert len(found.released) > 10


def test_a_class_has_the_table_that_counting_gives():
    table, _, results, _ = made("multiclass", failed=0.0)
    answers = np.column_stack([table[f"answer:{name}"].to_numpy() for name in task_tables.CLASSES])
    call, reference = answers.argmax(axis=1), table["reference"].to_numpy()
    inside = np.array(table["sex"].to_pylist()) == "F"
    for index, name in enumerate(task_tables.CLASSES):
        view = against_rest(results, name).analysis()
        (female,) = [each for each in view.strata if each.level == "F"]
        for point, chosen in (
            (view.operating_points[0], inside | True),
            (female.operating_points[0], inside),
        ):
            own, called = reference[chosen] == index, call[chosen] == index
            expected = [
                np.count_nonzero(each)
                for each in (own & called, own & ~called, ~own & called, ~own & ~called)
            ]
            assert [point.tp, point.fn, point.fp, point.tn] == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_cost_before_the_run_is_the_cost_after_it(kind):
    _, protocol, results, found = made(kind, failed=0.05)
    groups = [f"{item.attribute}={item.level}" for item in results.composition]
    planned = plan(protocol, groups, results.flow.cases, OPEN, scope="s")
    assert [field.path for field in planned] == [field.path for field in found.fields]
    assert cost(planned) == cost(found.fields)


@pytest.mark.parametrize("kind", KINDS)
def test_the_rates_over_all_cases_pass_the_audit_and_exact_ones_do_not(kind):
    rates = {"selection": lambda path: "=" not in path and path.endswith("ity/value")}
    _, _, _, found = made(kind, n=900, rules=DisclosureRules(), **rates)
    assert len(found.released) > 3
    assert audit([], found.constraints, protected=found.protected, minimum_width=4).safe
    exact = DisclosureRules(minimum_cell=1, count_base=1, interval_base=1, rate_grids=("0.001",))
    _, _, _, told = made(kind, rules=exact, selection=lambda path: "=" not in path)
    assert not audit([], told.constraints, protected=told.protected, minimum_width=4, first_refusal=True).safe


def test_of_everything_that_is_asked_for_the_least_useful_part_is_withheld():
    _, _, _, found = made(
        "multiclass", n=900, rules=DisclosureRules(), selection=lambda path: "=" not in path
    )
    kept = keep_safe(found, (), protected=(), minimum_width=4, links=Links())
    assert kept.audit.safe
    assert 3 < len(kept.screened.released) < len(found.released)
    told = {each.field for each in kept.screened.verdicts if each.rule == "audit"}
    assert told >= set(kept.withheld)
    assert all(
        each.value is None and not each.constraints for each in kept.screened.fields if each.path in told
    )


def test_a_rare_class_is_withheld():
    _, _, _, found = made("multiclass", n=120, rules=DisclosureRules())
    withheld = {each.path.split("/", 2)[2] for each in found.fields if each.value is None}
    assert "bcc/call/all/sensitivity/value" in withheld


def test_a_criterion_on_a_class_tells_of_its_counts():
    acceptance = [
        {"name": "melanoma", "metric": "sensitivity", "subject": "mel", "bound": "lower", "at_least": 0.3},
        {"name": "overall", "metric": "accuracy", "bound": "lower", "at_least": 0.3},
    ]
    _, _, results, found = made("multiclass", acceptance=acceptance)
    fields = {each.path.rsplit("/", 1)[1]: each for each in found.fields if each.kind == "verdict"}
    assert fields["melanoma"].constraints
    assert set(fields["melanoma"].constraints) <= set(fields["verdict"].constraints)
    assert {term.cell for each in fields["melanoma"].constraints for term in each.terms} <= truth(
        results
    ).keys()


def test_one_class_tells_of_the_other_as_enumeration_says():
    """Two classes: what is told of the one is known of the other. Every table of up to 6 cases is listed."""
    names = {kind: {part: f"{kind}/{part}" for part in ("tp", "fn", "fp", "tn", "positives", "negatives", "patients")}
             for kind in "ab"}  # fmt: skip
    parts, structure = [], []
    for kind in "ab":
        own = names[kind]
        values = dict.fromkeys(own.values(), 0)
        table = {part: own[part] for part in ("tp", "fn", "fp", "tn")}
        sizes = {part: own[part] for part in ("positives", "negatives", "patients")}
        parts.append(
            Counted(groups=(), truth={"all": sizes}, confusion={"call": {"all": table}}, values=values)
        )
        for left, right in (("positives", ("tp", "fn")), ("negatives", ("fp", "tn"))):
            structure.append(between([*total([own[left]]), *(t for t in _minus(own, right))], 0, 0))
    structure += between_subjects(parts, exclusive=True)
    limits = {("a/tp",): (1, 2), ("a/fn",): (0, 1), ("a/positives", "a/negatives"): (6, 6), ("b/tp",): (2, 3)}
    told = [between(total(cells), *ends) for cells, ends in limits.items()]
    expected = {"a/fp": set(), "b/fn": set(), "b/fp": set()}
    for tp, fn, fp, tn in itertools.product(range(7), repeat=4):
        # The negatives of a are the positives of b.
        if tp + fn + fp + tn == 6 and 1 <= tp <= 2 and fn <= 1 and 2 <= tn <= 3:
            expected["a/fp"].add(fp)
            expected["b/fn"].add(fp)
            expected["b/fp"].add(fn)
    found = audit(structure, told, protected=tuple(expected), minimum_width=1, exact=True).findings
    assert {each.cell: (each.low, each.high) for each in found} == {
        cell: (min(seen), max(seen)) for cell, seen in expected.items()
    }


def _minus(own, parts):
    return [Term(cell=own[part], coefficient=-1) for part in parts]
