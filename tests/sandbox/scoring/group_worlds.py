"""Hold-outs with groups, made in memory, for the tests of gaps."""

import json

import numpy as np

from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import ScoredCases
from sandbox.scoring.gaps import find_gaps
from sandbox.scoring.outcomes import outcomes
from sandbox.scoring.strata import Levels


def protocol(**changes):
    document = {
        "proctor": "protocol/1",
        "name": "gaps",
        "title": "Gaps",
        "task": {"kind": "binary", "target": "finding", "unit": "image"},
        "operating_points": [{"name": "half", "threshold": 0.5}],
        "strata": [{"attribute": "group"}],
        "intervals": {"bootstrap_replicates": 400},
        "minimum": {"positives": 5, "negatives": 5, "patients": 5},
    }
    return Protocol.model_validate_json(json.dumps(document | changes), strict=True)


def gaps(reference, score, groups, patient=None, failed=None, rule="worst_case", evaluation="e", **changes):
    """Compare groups; ``groups`` is one array of level numbers, or a dict of several by attribute."""
    reference, score = np.asarray(reference, dtype=bool), np.asarray(score, dtype=float)
    n = reference.size
    failed = np.zeros(n, dtype=bool) if failed is None else np.asarray(failed)
    score = np.where(failed, np.where(reference, -np.inf, np.inf), score)
    order = np.argsort(score, kind="stable")
    patient = np.arange(n) if patient is None else np.asarray(patient)
    cases = ScoredCases(
        reference=reference[order], score=score[order], failed=failed[order], patient=patient[order]
    )
    named = groups if isinstance(groups, dict) else {"group": groups}
    levels = []
    for name, column in named.items():
        kept, codes = np.unique(np.asarray(column)[order], return_inverse=True)
        levels.append(Levels(name=name, names=tuple(f"{level:02d}" for level in kept), codes=codes))
    plan = protocol(**({"strata": [{"attribute": name} for name in named]} | changes))
    asked = outcomes(cases, rule, [("half", 0.5)], probability=True)
    return find_gaps(cases.patient, asked, levels, rule, plan, evaluation)


def pick(bias, metric, attribute="group"):
    return next(s for s in bias.strata if (s.metric, s.attribute) == (metric, attribute))


def family(bias, metric):
    return next(each for each in bias.families if each.metric == metric)
