"""What is impossible in a protocol although each field alone is well formed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from holdout.yamlfile import Where
from sandbox.plan.bands import CROSS, band_names
from sandbox.plan.metric_catalogue import GAP_METRICS, METRICS, PAIR, MetricRule, TaskKind
from sandbox.plan.output_schema import GRADE

if TYPE_CHECKING:
    from sandbox.plan.protocol import Protocol
    from sandbox.plan.strata_section import Criterion, Stratum

Mistake = tuple[Where, str]

_OUTPUT_OF: dict[TaskKind, str] = {
    "binary": "score",
    "triage": "score",
    "multiclass": "classes",
    "multilabel": "classes",
    "ordinal": "grades",
    "measurement": "value",
    "segmentation": "mask",
    "detection": "findings",
}
_BELONGS: dict[str, tuple[TaskKind, ...]] = {
    "partial_auroc": ("binary", "triage"),
    "intended_prevalence": ("binary", "triage"),
    "decision_curve": ("binary", "triage"),
    "operating_points": ("binary", "triage", "multilabel"),
    "costs": ("ordinal",),
    "agreement": ("measurement",),
    "queue": ("triage",),
    "case_mix": ("binary", "triage"),
    "population": ("binary", "triage"),
    "slices": ("binary", "triage"),
    "reference_error": ("binary", "triage"),
    "boundary": ("segmentation",),
    "hits": ("detection",),
}


def find_mistakes(protocol: Protocol) -> list[Mistake]:
    """Return what is impossible in ``protocol``, as (path, message)."""
    found = [
        *_output_mistakes(protocol),
        *_part_mistakes(protocol),
    ]
    for index, keyword in enumerate(protocol.input.attributes):
        if keyword in protocol.input.attributes[:index]:
            found.append((("input", "attributes", index), "is named twice."))
    found += _operating_point_mistakes(protocol)
    found += _stratum_mistakes(protocol)
    found += _bias_mistakes(protocol)
    found += _criterion_mistakes(protocol)
    if protocol.limits.seconds_per_case > protocol.limits.seconds_per_run:
        found.append((("limits", "seconds_per_case"), "must not exceed seconds_per_run."))
    return found


def _output_mistakes(protocol: Protocol) -> Iterator[Mistake]:
    """Say where the answer's schema does not fit the kind of task."""
    task, output = protocol.task, protocol.output
    wanted = _OUTPUT_OF[task.kind]
    for name in ("score", "classes", "grades", "value", "mask", "findings"):
        part = getattr(output, name)
        if name == wanted and part is None:
            yield ("output",), f"a {task.kind} task needs {name}."
        elif name != wanted and part is not None:
            yield ("output", name), f"does not go with a {task.kind} task, which answers {wanted}."
    if (task.target is None) != (task.kind == "multilabel"):
        if task.target is None:
            yield ("task",), f"a {task.kind} task needs a target."
        else:
            yield ("task", "target"), "a multilabel task has none: its labels are output.classes.names."
    if task.repeats is not None and task.kind != "measurement":
        yield ("task", "repeats"), "belongs to a measurement."
    for name, part in (
        ("score", output.score),
        ("classes", output.classes),
        ("value", output.value),
        ("findings", output.findings),
    ):
        if part is not None and not part.minimum < part.maximum:
            yield ("output", name, "maximum"), "must be greater than minimum."
    for name, listed in (("classes", output.classes), ("grades", output.grades)):
        if listed is None:
            continue
        for index, each in enumerate(listed.names):
            if each in listed.names[:index]:
                yield ("output", name, "names", index), "is named twice."
            if name == "grades" and each == GRADE:
                yield (
                    ("output", name, "names", index),
                    f"must not be {GRADE!r}, which the answer's grade has.",
                )
            if PAIR in each:
                yield ("output", name, "names", index), f"must not hold {PAIR!r}."


def _part_mistakes(protocol: Protocol) -> Iterator[Mistake]:
    """Say which parts do not belong to the kind of task, or contradict themselves."""
    for name, kinds in _BELONGS.items():
        if getattr(protocol, name) and protocol.task.kind not in kinds:
            yield (name,), f"does not go with a {protocol.task.kind} task."
    names = [part.name for part in protocol.partial_auroc]
    for index, part in enumerate(protocol.partial_auroc):
        if part.name in names[:index]:
            yield ("partial_auroc", index, "name"), "is used by a range above; names must differ."
        if not part.low < part.high:
            yield ("partial_auroc", index, "high"), "must be greater than low."
    curve = protocol.decision_curve
    if curve is not None:
        if not curve.low < curve.high:
            yield ("decision_curve", "high"), "must be greater than low."
        score = protocol.output.score
        if score is not None and (score.minimum, score.maximum) != (0, 1):
            yield ("decision_curve",), "needs a score that is a probability, from 0 to 1."
    grades = protocol.output.grades
    if protocol.costs is not None and grades is not None:
        size = len(grades.names)
        if len(protocol.costs) != size or any(len(row) != size for row in protocol.costs):
            yield (
                ("costs",),
                f"must have a row for each true grade and a column for each answer, {size} of each.",
            )
        elif any(
            cost < 0 or (i == j and cost > 0)
            for i, row in enumerate(protocol.costs)
            for j, cost in enumerate(row)
        ):
            yield ("costs",), "must not be negative, and a right answer costs 0."
    if protocol.task.kind == "triage" and protocol.queue is None:
        yield ("task",), "a triage task needs queue: the reading list that it changes."
    if protocol.task.kind == "segmentation" and protocol.boundary is None:
        yield ("task",), "a segmentation needs boundary: the tolerance and the unit of its distances."
    if protocol.task.kind == "detection" and protocol.hits is None:
        yield ("task",), "a detection needs hits: when a finding hits a lesion."
    hits = protocol.hits
    if hits is not None:
        for name, rule in (("least", "iou"), ("most_distance", "distance")):
            if (getattr(hits, name) is None) == (hits.rule == rule):
                yield ("hits", name), f"goes with the rule {rule}, which needs it."
    yield from _findings_mistakes(protocol)
    queue = protocol.queue
    if queue is not None:
        fixed = [point.name for point in protocol.operating_points if point.threshold is not None]
        if queue.operating_point not in fixed:
            yield ("queue", "operating_point"), f"is not a declared threshold ({', '.join(fixed) or 'none'})."
        mean = queue.prevalence * queue.diseased.mean_minutes
        mean += (1 - queue.prevalence) * queue.non_diseased.mean_minutes
        if queue.arrivals_per_hour / 60 * mean >= 1:
            yield (
                ("queue", "arrivals_per_hour"),
                "the reader cannot keep up: cases arrive faster than they are read.",
            )


def _findings_mistakes(protocol: Protocol) -> Iterator[Mistake]:
    """Say where the form of findings, the unit and the hit rule do not fit."""
    findings, hits = protocol.output.findings, protocol.hits
    if findings is None:
        return
    if findings.in_volume and protocol.task.unit == "study":
        yield (
            ("task", "unit"),
            f"{findings.form} needs a case with one system of coordinates: series, or image where one image has all "
            "slices. The series of a study need not share one.",
        )
    if hits is None:
        return
    if hits.rule == "radius" and not findings.in_volume:
        yield (
            ("hits", "rule"),
            "radius is for lesions in a volume, which have one; a box in an image has none. Use centre, or ask for "
            "points_in_volume.",
        )
    if hits.rule == "iou" and findings.form == "points_in_volume":
        yield (
            ("hits", "rule"),
            "iou needs boxes: points overlap with nothing. Use radius, centre or distance.",
        )


def _operating_point_mistakes(protocol: Protocol) -> Iterator[Mistake]:
    scale = protocol.output.score or protocol.output.classes
    names = [point.name for point in protocol.operating_points]
    for index, point in enumerate(protocol.operating_points):
        where: Where = ("operating_points", index)
        if point.name in names[:index]:
            yield (*where, "name"), "is used by an operating point above; names must differ."
        ways = ("threshold", "thresholds", "sensitivity", "specificity")
        given = [way for way in ways if getattr(point, way) is not None]
        if len(given) != 1:
            yield where, "give exactly one of threshold, thresholds, sensitivity and specificity."
            continue
        labels = protocol.output.classes
        if point.thresholds is not None and (labels is None or set(point.thresholds) != set(labels.names)):
            yield (*where, "thresholds"), "must name every label of a multilabel task, and nothing else."
        if protocol.task.kind == "multilabel" and given[0] in ("sensitivity", "specificity"):
            yield (*where, given[0]), "a multilabel task has thresholds only."
        limits = [point.threshold] if point.threshold is not None else (point.thresholds or {}).values()
        if scale is not None and not all(scale.minimum < limit <= scale.maximum for limit in limits):
            yield (
                (*where, given[0]),
                f"must be above {scale.minimum:g} and at most {scale.maximum:g}, the range of the score: "
                "otherwise every case, or none, is called positive.",
            )


def _stratum_mistakes(protocol: Protocol) -> list[Mistake]:
    found: list[Mistake] = []
    seen: set[str] = set()
    for index, stratum in enumerate(protocol.strata):
        where: Where = ("strata", index)
        if (stratum.attribute is None) == (stratum.cross is None):
            found.append((where, "give either attribute or cross."))
            continue
        if stratum.name in seen:
            found.append((where, "is declared twice."))
        seen.add(stratum.name)
        if stratum.bands is not None:
            if stratum.cross is not None:
                found.append(
                    ((*where, "bands"), "belong to the stratum of the attribute, not to a crossing.")
                )
            if list(stratum.bands) != sorted(set(stratum.bands)):
                found.append(((*where, "bands"), "must rise from edge to edge."))
        if stratum.cross is not None and len(set(stratum.cross)) < len(stratum.cross):
            found.append(((*where, "cross"), "names an attribute twice."))
        if stratum.reference is not None:
            found += [((*where, "reference"), text) for text in _reference_mistakes(stratum, protocol)]
    return found


def _bias_mistakes(protocol: Protocol) -> Iterator[Mistake]:
    bias, kind = protocol.bias, protocol.task.kind
    if bias is None:
        return
    if not protocol.strata:
        yield ("bias",), "needs strata: there is no group to compare."
    if bias.margin is None and not bias.margins:
        yield ("bias",), "needs a margin, or margins of single metrics."
    compared = GAP_METRICS[kind]
    for metric, margin in bias.margins.items():
        rule = compared.get(metric)
        if rule is None:
            yield ("bias", "margins", metric), f"is not compared between groups ({', '.join(compared)})."
        elif rule.high - rule.low < margin:
            yield ("bias", "margins", metric), "must be smaller than the metric's range."
        elif rule.high <= 1 and margin > 1:
            yield ("bias", "margins", metric), "must be at most 1."


def _reference_mistakes(stratum: Stratum, protocol: Protocol) -> list[str]:
    """Say why ``reference`` cannot be a level, as far as that shows before the data are seen."""
    levels = (stratum.reference or "").split(CROSS)
    if len(levels) < len(stratum.attributes):
        return [f"must name one level of each of {', '.join(stratum.attributes)}, joined by {CROSS!r}."]
    if len(levels) > len(stratum.attributes):
        return []  # a level's own text holds the joining word; the data will tell
    found = []
    for attribute, level in zip(stratum.attributes, levels, strict=True):
        bands = protocol.bands(attribute)
        if bands is not None and level not in band_names(bands):
            found.append(f"is not a band of {attribute} ({', '.join(band_names(bands))}).")
        elif level == "unknown":
            found.append("must be a level that is known.")
    return found


def _criterion_mistakes(protocol: Protocol) -> Iterator[Mistake]:
    rules = METRICS[protocol.task.kind]
    strata = [stratum.name for stratum in protocol.strata]
    names = [criterion.name for criterion in protocol.acceptance]
    for index, criterion in enumerate(protocol.acceptance):
        where: Where = ("acceptance", index)
        if criterion.name in names[:index]:
            yield (*where, "name"), "is used by a criterion above; names must differ."
        rule = rules.get(criterion.metric)
        if rule is None:
            near = get_close_matches(criterion.metric, rules, 1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            yield (*where, "metric"), f"is not a metric of a {protocol.task.kind} task.{hint}"
            continue
        if (criterion.at_least is None) == (criterion.at_most is None):
            yield where, "give either at_least or at_most."
            continue
        if criterion.bound == "lower" and criterion.at_most is not None:
            yield (*where, "bound"), "lower goes with at_least; use upper, or value, with at_most."
        if criterion.bound == "upper" and criterion.at_least is not None:
            yield (*where, "bound"), "upper goes with at_most; use lower, or value, with at_least."
        for key, text in (*_point_of(criterion, rule, protocol), *_subject_of(criterion, rule, protocol)):
            yield (*where, key), text
        if criterion.stratum is not None:
            if criterion.stratum.attribute not in strata:
                declared = ", ".join(strata) or "none"
                yield (*where, "stratum", "attribute"), f"is not a declared stratum ({declared})."
            if not rule.in_strata:
                yield (*where, "stratum"), f"{criterion.metric} is estimated over all cases only."
        if not rule.low <= criterion.limit <= rule.high:
            yield (*where, criterion.direction), f"is not a possible value of {criterion.metric}."


def _point_of(criterion: Criterion, rule: MetricRule, protocol: Protocol) -> Iterator[tuple[str, str]]:
    points = {point.name: point for point in protocol.operating_points}
    if not rule.at_point:
        if criterion.operating_point is not None:
            yield "operating_point", f"does not go with {criterion.metric}, which has no threshold."
        return
    if criterion.operating_point is None:
        yield "metric", f"{criterion.metric} needs an operating_point."
        return
    point = points.get(criterion.operating_point)
    if point is None:
        yield "operating_point", f"is not declared ({', '.join(points) or 'none'})."
        return
    fixed = {"sensitivity": "specificity", "specificity": "sensitivity"}
    for target, other in fixed.items():
        if getattr(point, target) is None:
            continue
        if criterion.metric != other:
            yield "metric", f"at a declared {target} only {other} is estimated."
        if criterion.stratum is not None:
            yield "stratum", f"at a declared {target} {other} is estimated over all cases only."
    if criterion.metric.endswith("_at_prevalence") and protocol.intended_prevalence is None:
        yield "metric", f"{criterion.metric} needs intended_prevalence in the protocol."
    if criterion.metric == "net_benefit" and protocol.decision_curve is None:
        yield "metric", "net_benefit needs decision_curve in the protocol."


def _subject_of(criterion: Criterion, rule: MetricRule, protocol: Protocol) -> Iterator[tuple[str, str]]:
    if rule.subject is None:
        if criterion.subject is not None:
            yield "subject", f"does not go with {criterion.metric}, which is about the whole task."
        return
    listed = protocol.output.classes or protocol.output.grades
    names = list(listed.names) if listed is not None else []
    if rule.subject == "pair":
        names = [PAIR.join(pair) for pair in itertools.pairwise(names)]
    if rule.subject == "range":
        names = [part.name for part in protocol.partial_auroc]
    if rule.subject == "rate":
        names = [f"{rate:g}" for rate in protocol.hits.rates] if protocol.hits is not None else []
    if criterion.subject is None:
        yield "metric", f"{criterion.metric} needs a subject ({', '.join(names) or 'none is declared'})."
    elif criterion.subject not in names:
        yield "subject", f"is not declared ({', '.join(names) or 'none'})."
