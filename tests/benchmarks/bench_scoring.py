"""Scoring against a scikit-learn loop, both in this one run, on 100,000 cases in 20 uneven strata.

Run: ``python tests/benchmarks/bench_scoring.py [cases]``. The loop resamples cases within each stratum, as
its users write it; few resamples are timed and extrapolated to the number that the product draws.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np
import pyarrow as pa
from sklearn import metrics

from sandbox.protocol import Protocol
from sandbox.scoring import bootstrap, roc
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import make_cases
from sandbox.scoring.score import score

STRATA = 20
REPLICATES = 2000


def draw(cases: int, clustered: bool) -> pa.Table:
    random = np.random.default_rng(11)
    reference = (random.random(cases) < 0.2).astype(np.int8)
    logit = random.normal(1.4 * reference - 0.7, 1.0)
    share = np.arange(1, STRATA + 1) / np.arange(1, STRATA + 1).sum()
    patient = random.integers(0, cases // 2, cases) if clustered else np.arange(cases)
    return pa.table(
        {
            "case_id": [f"{index:016x}" for index in range(cases)],
            "patient_key": [f"{index:016x}" for index in patient],
            "reference": reference,
            "score": np.round(1000 / (1 + np.exp(-logit))) / 1000,
            "failure": pa.nulls(cases, pa.string()),
            "scanner": [f"scanner {index:02d}" for index in random.choice(STRATA, cases, p=share)],
        }
    )


def protocol() -> Protocol:
    document = {
        "proctor": "protocol/1",
        "name": "bench",
        "title": "Benchmark",
        "task": {"kind": "binary", "target": "finding", "unit": "image"},
        "operating_points": [{"name": "half", "threshold": 0.5}],
        "strata": [{"attribute": "scanner"}],
        "intervals": {"bootstrap_replicates": REPLICATES},
    }
    return Protocol.model_validate_json(json.dumps(document), strict=True)


def sklearn_loop(table: pa.Table, replicates: int) -> float:
    reference, values = table["reference"].to_numpy(), table["score"].to_numpy()
    scanner = np.array(table["scanner"].to_pylist())
    random = np.random.default_rng(0)
    start = time.perf_counter()
    for level in np.unique(scanner):
        members = np.flatnonzero(scanner == level)
        for _ in range(replicates):
            chosen = random.choice(members, members.size)
            truth, answer = reference[chosen], values[chosen]
            metrics.roc_auc_score(truth, answer)
            metrics.recall_score(truth, answer >= 0.5)
            metrics.recall_score(1 - truth, answer < 0.5)
    return time.perf_counter() - start


def own_bootstrap(table: pa.Table) -> float:
    reference, values = table["reference"].to_numpy(), table["score"].to_numpy()
    patient = np.array(table["patient_key"].to_pylist())
    scanner = np.array(table["scanner"].to_pylist())
    cases = [(level, scanner == level) for level in np.unique(scanner)]
    made = [(level, make_cases(reference[m], values[m], patient[m])) for level, m in cases]
    start = time.perf_counter()
    for level, part in made:
        bootstrap.aurocs(part, Seed(evaluation="b", metric="auroc", stratum=level), REPLICATES)
        bootstrap.rates(part, 0.5, Seed(evaluation="b", metric="rates", stratum=level), REPLICATES)
    return time.perf_counter() - start


def main() -> None:
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    plan = protocol()
    for clustered in (False, True):
        table = draw(cases, clustered)
        name = "2 cases a patient" if clustered else "1 case a patient"
        start = time.perf_counter()
        found = score(table, plan, "bench")
        whole = time.perf_counter() - start
        print(f"{cases} cases, {STRATA} strata, {name}")
        print(f"  full scoring, both failure rules, all metrics and curves   {whole:8.2f} s")
        replicated = own_bootstrap(table)
        print(f"  bootstrap of AUROC, sensitivity, specificity, {REPLICATES}x        {replicated:8.2f} s")
        if not clustered:
            few = 3
            loop = sklearn_loop(table, few) * REPLICATES / few
            print(f"  scikit-learn loop, {REPLICATES}x (extrapolated from {few})        {loop:10.1f} s")
            print(f"  ratio, bootstrap against bootstrap                         {loop / replicated:8.0f}")
            print(f"  ratio, full scoring by closed forms against the loop       {loop / whole:8.0f}")
            everything = make_cases(table["reference"].to_numpy(), table["score"].to_numpy())
            start = time.perf_counter()
            roc.auroc(everything, 0.95)
            alone = time.perf_counter() - start
            print(f"  DeLong alone, sorted once                                  {alone:8.3f} s")
        assert found.analysis().n == cases
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process {peak:.0f} MiB")


if __name__ == "__main__":
    main()
