"""Bootstrap of AUROC, sensitivity and specificity in 20 uneven strata, against fairlearn and a scikit-learn loop.

Run: ``python tests/benchmarks/bench_scoring.py [cases ...]`` (100,000 by default; with several numbers, how time
grows). Both peers resample cases, as they or their users do; a few resamples of theirs are timed and extrapolated to
the number that the product draws. Times are of the processor, because a shared machine's clock is not. The
product runs on one core here.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings

import numpy as np
import pyarrow as pa
from fairlearn.metrics import MetricFrame
from sklearn import metrics

from sandbox.plan.protocol import Protocol
from sandbox.scoring import bootstrap, roc
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import make_cases
from sandbox.scoring.score import score

STRATA = 20
REPLICATES = 2000
FEW = 3


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


def columns(table: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    scanner = np.unique(np.array(table["scanner"].to_pylist()), return_inverse=True)[1]
    patient = np.unique(np.array(table["patient_key"].to_pylist()), return_inverse=True)[1]
    return table["reference"].to_numpy(), table["score"].to_numpy(), scanner, patient


def sklearn_loop(table: pa.Table, replicates: int) -> float:
    reference, values, scanner, _ = columns(table)
    random = np.random.default_rng(0)
    start = time.process_time()
    for level in range(STRATA):
        members = np.flatnonzero(scanner == level)
        for _ in range(replicates):
            chosen = random.choice(members, members.size)
            truth, answer = reference[chosen], values[chosen]
            metrics.roc_auc_score(truth, answer)
            metrics.recall_score(truth, answer >= 0.5)
            metrics.recall_score(1 - truth, answer < 0.5)
    return time.process_time() - start


def fairlearn_frame(table: pa.Table, replicates: int) -> float:
    reference, values, scanner, _ = columns(table)
    wanted = {
        "auroc": metrics.roc_auc_score,
        "sensitivity": lambda truth, answer: metrics.recall_score(truth, answer >= 0.5),
        "specificity": lambda truth, answer: metrics.recall_score(truth, answer >= 0.5, pos_label=0),
    }

    def frame(n_boot: int | None) -> float:
        more = {"n_boot": n_boot, "ci_quantiles": [0.025, 0.975], "random_state": 0} if n_boot else {}
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            MetricFrame(metrics=wanted, y_true=reference, y_pred=values, sensitive_features=scanner, **more)
        return time.process_time() - start

    # The frame without resamples is taken off: what is extrapolated is the cost of a resample alone.
    return frame(replicates) - frame(None)


def own_bootstrap(table: pa.Table) -> float:
    reference, values, scanner, patient = columns(table)
    start = time.process_time()
    order = np.argsort(scanner, kind="stable")
    for level, members in enumerate(np.split(order, np.cumsum(np.bincount(scanner))[:-1])):
        part = make_cases(reference[members], values[members], patient[members])
        seed = Seed(evaluation="b", metric="auroc", stratum=str(level))
        bootstrap.auroc_and_rates(part, 0.5, seed, REPLICATES)
    return time.process_time() - start


def scoring(table: pa.Table) -> float:
    start = time.process_time()
    found = score(table, protocol(), "bench")
    assert found.analysis().n == table.num_rows
    return time.process_time() - start


def main() -> None:
    sizes = [int(word) for word in sys.argv[1:]] or [100_000]
    first: dict[tuple[bool, str], float] = {}
    for cases in sizes:
        for clustered in (False, True):
            table = draw(cases, clustered)
            print(f"{cases} cases, {STRATA} strata, {'2 cases' if clustered else '1 case'} a patient")
            for name, run in (
                (f"bootstrap of the three, {REPLICATES}x", own_bootstrap),
                ("full scoring, all metrics and curves", scoring),
            ):
                taken = run(table)
                base = first.setdefault((clustered, name), taken)
                growth = f"   {taken / base:5.1f}x of {sizes[0]} cases" if cases != sizes[0] else ""
                print(f"  {name:<44}{taken:10.2f} s{growth}")
            if not clustered and cases == sizes[0]:
                peers(table, first[False, f"bootstrap of the three, {REPLICATES}x"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process {peak:.0f} MiB")


def peers(table: pa.Table, own: float) -> None:
    loop = sklearn_loop(table, FEW) * REPLICATES / FEW
    print(f"  scikit-learn loop, extrapolated from {FEW:<8}{loop:18.0f} s   {loop / own:5.0f}x ours")
    frame = fairlearn_frame(table, FEW) * REPLICATES / FEW
    print(f"  fairlearn MetricFrame, extrapolated from {FEW:<4}{frame:18.0f} s   {frame / own:5.0f}x ours")
    everything = make_cases(table["reference"].to_numpy(), table["score"].to_numpy())
    start = time.process_time()
    roc.auroc(everything, 0.95)
    print(f"  DeLong alone, sorted once                   {time.process_time() - start:10.3f} s")


if __name__ == "__main__":
    main()
