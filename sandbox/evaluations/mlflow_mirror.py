"""The institution's experiment view: one MLflow run for each evaluation, in a local SQLite store by default.

A mirror, not the record: runs, tags and metrics can be deleted in MLflow, so the ledger is the evidence and its
digests stand in the run's tags. Whatever goes wrong here is told as a :class:`MirrorOutcome` and never stops an
evaluation; mirroring again repairs it, because a run is found by its evaluation's name.

MLflow phones home unless told otherwise before it is imported; it is told so here, whatever the environment says.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.outcome.results import Analysis, Estimate, OperatingPointResult, Results
from sandbox.outcome.stress_results import StressResults

_LOG = logging.getLogger(__name__)
_METRICS_A_BATCH, _FIELDS_A_BATCH = 1000, 100  # what a tracking server takes in one request
_MAX_VALUE = 5000  # MLflow cuts longer tags and parameters silently
_MAX_KEY = 240
_DIGEST_SHOWN = 32  # a dataset's digest may have 36 characters; the whole one is in profile and tags
_SYMBOLS = {">=": "ge", "<=": "le", ">": "gt", "<": "lt", "=": "eq", "+": "plus", "%": "percent"}
_NOT_WORD = re.compile(r"[^a-z0-9.]+")
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorRun:
    """What is shown of one evaluation.

    Attributes:
        results: its results; both failure rules become metrics, the protocol's choice without a prefix.
        protocol_name, protocol_digest: one MLflow experiment for each.
        submission, vendor: image digest and the vendor's name.
        holdout: ``name``, ``version``, ``root`` and counts; becomes the dataset input.
        started, finished: times of the ledger entries (UTC, RFC 3339).
        artifacts: files to attach; their names are what MLflow shows.
        tags: further digests and places (``ledger.index``, ``ledger.checkpoint``, ``policy`` ...).
        params: further parameters; host paths do not belong here.
        stress: what came of its stress tests, or None.
    """

    results: Results
    protocol_name: str
    protocol_digest: str
    submission: str
    vendor: str
    holdout: Mapping[str, str | int]
    started: str
    finished: str
    artifacts: Sequence[Path] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    stress: StressResults | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorOutcome:
    """What became of mirroring: ``run_id`` when the run is there, else ``reason`` why not.

    ``already`` is True when an earlier call had written it, so nothing was written now.
    """

    run_id: str | None
    reason: str | None = None
    already: bool = False


def mirror(run: MirrorRun, store: Path, tracking_uri: str | None = None) -> MirrorOutcome:
    """Write ``run`` to MLflow unless it is there; never raises.

    Args:
        run: the evaluation.
        store: folder of the local store, made when needed (``mlflow.db`` and ``artifacts/``).
        tracking_uri: a tracking server or database instead of the local store.
    """
    try:
        return _write(run, store, tracking_uri)
    except Exception as error:
        # The message is not passed on: it may hold a tracking server's password or a path of the host.
        _LOG.debug("MLflow mirror failed", exc_info=True)
        where = "the tracking server" if tracking_uri else f"the local store {store}"
        return MirrorOutcome(
            run_id=None, reason=f"MLflow could not write to {where} ({type(error).__name__})"
        )


def metrics_of(results: Results) -> tuple[dict[str, float], dict[str, str]]:
    """Metric values by name, and the label that each name stands for.

    Names have only characters that MLflow takes: ``auroc``, ``auroc.low``, ``screening/sensitivity``,
    ``strata/manufacturer/synthetic_a/auroc``; those of the failure rule not chosen begin with its name.
    """
    values: dict[str, float] = {}
    labels: dict[str, str] = {}
    for analysis in results.analyses:
        first = () if analysis.failure_rule == results.chosen else (analysis.failure_rule,)
        for words, estimate in _estimates(analysis):
            _add(values, labels, (*first, *words), estimate)
    flow = results.flow
    counts = {
        "cases": flow.cases,
        "patients": flow.patients,
        "answered": flow.answered,
        "failed": flow.failed,
    }
    if flow.positives is not None:
        counts["positives"] = flow.positives
    for name, count in counts.items():
        values[f"flow/{name}"] = float(count)
    return values, labels


def stress_metrics(stress: StressResults) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of what came of stress tests: the step of a curve is the severity.

    ``stress/dr_gamma/auroc_change``, with ``.low`` and ``.high``; ``stress/dr_gamma/breaks_at`` is a severity, where it
    breaks at one; ``stress/verdicts/outside`` counts tests.
    """
    for item in stress.verdicts:
        yield f"stress/verdicts/{item.verdict}", float(item.tests), 0
    for test in stress.tests:
        if test.breaks_at is not None:
            yield f"stress/{test.name}/breaks_at", float(test.breaks_at), 0
        for cell in test.cells:
            for estimate in cell.estimates:
                words = (
                    test.name,
                    estimate.metric,
                    *(() if estimate.subject is None else (estimate.subject,)),
                )
                name = "/".join(("stress", *(slug(word) for word in words)))[:_MAX_KEY]
                for suffix, value in (("", estimate.value), (".low", estimate.low), (".high", estimate.high)):
                    if value is not None:
                        yield name + suffix, value, cell.severity


def slug(label: str) -> str:
    """``label`` in lower-case letters, digits, dots and underscores; comparison signs become words."""
    text = label.lower()
    for symbol, word in _SYMBOLS.items():
        text = text.replace(symbol, f" {word} ")
    return _NOT_WORD.sub("_", text).strip("_.") or "x"


def _estimates(analysis: Analysis) -> Iterator[tuple[tuple[str, ...], Estimate]]:
    for estimate in analysis.estimates:
        yield (estimate.metric,), estimate
    yield from _points(analysis.operating_points, ())
    for stratum in analysis.strata:
        words = ("strata", stratum.attribute, stratum.level)
        for estimate in stratum.estimates:
            yield (*words, estimate.metric), estimate
        yield from _points(stratum.operating_points, words)


def _points(
    points: Sequence[OperatingPointResult], words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Estimate]]:
    for point in points:
        for estimate in point.estimates:
            yield (*words, point.name, estimate.metric), estimate


def _add(
    values: dict[str, float], labels: dict[str, str], words: tuple[str, ...], estimate: Estimate
) -> None:
    label = " / ".join(words)
    base = name = "/".join(slug(word) for word in words)[:_MAX_KEY]
    number = 2
    while labels.get(name, label) != label:
        name, number = f"{base}_{number}", number + 1
    labels[name] = label
    for suffix, value in (("", estimate.value), (".low", estimate.low), (".high", estimate.high)):
        if value is not None:
            values[name + suffix] = value


def _write(run: MirrorRun, store: Path, tracking_uri: str | None) -> MirrorOutcome:
    os.environ.update(_ENVIRONMENT)
    # Imported here: one to five seconds that no other command should wait for.
    from mlflow import MlflowClient

    # Importing it turns its own messages on.
    for noisy in ("alembic", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    location = None
    if tracking_uri is None:
        store.mkdir(parents=True, exist_ok=True)
        tracking_uri = f"sqlite:///{store.resolve() / 'mlflow.db'}"
        location = (store.resolve() / "artifacts").as_uri()
    client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    experiment = _experiment(client, run, location)
    wanted = f"tags.`proctor.evaluation` = '{slug(run.results.evaluation).replace('_', '-')}'"
    for known in client.search_runs([experiment], wanted):
        if known.info.status == "FINISHED":
            return MirrorOutcome(run_id=known.info.run_id, already=True)
        # A run that a killed process left half written is put away and written afresh.
        client.delete_run(known.info.run_id)
    created = client.create_run(
        experiment,
        start_time=_milliseconds(run.started),
        run_name=f"{run.vendor} {run.results.evaluation}"[:_MAX_KEY],
        tags=_tags(run),
    )
    run_id: str = created.info.run_id
    _log_numbers(client, run_id, run)
    _log_dataset(client, run_id, run)
    for path in run.artifacts:
        client.log_artifact(run_id, str(path))
    client.set_terminated(run_id, status="FINISHED", end_time=_milliseconds(run.finished))
    return MirrorOutcome(run_id=run_id)


def _experiment(client: Any, run: MirrorRun, location: str | None) -> str:
    name = f"{run.protocol_name} {run.protocol_digest.removeprefix('sha256:')[:12]}"
    found = client.get_experiment_by_name(name)
    if found is None:
        created: str = client.create_experiment(
            name, artifact_location=location, tags={"proctor.protocol": run.protocol_digest}
        )
        return created
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _tags(run: MirrorRun) -> dict[str, str]:
    results = run.results
    tags = {
        # Set on purpose: MLflow would fill in the user's and script's names and paths of this host.
        "mlflow.user": "proctor",
        "mlflow.source.name": "proctor",
        "mlflow.source.type": "LOCAL",
        "proctor.evaluation": slug(results.evaluation).replace("_", "-"),
        "proctor.submission": run.submission,
        "proctor.vendor": run.vendor,
        "proctor.protocol": run.protocol_digest,
        "proctor.holdout": f"{run.holdout.get('name', '')} {run.holdout.get('version', '')}",
        "proctor.holdout_root": str(run.holdout.get("root", "")),
        "proctor.verdict": results.verdict or "none",
    }
    tags |= {f"proctor.{slug(name)}": value for name, value in run.tags.items()}
    return {name: value[:_MAX_VALUE] for name, value in tags.items()}


def _params(run: MirrorRun) -> dict[str, str]:
    results = run.results
    params = {
        "protocol": run.protocol_name,
        "target": results.target,
        "unit": results.unit,
        "failures": results.chosen,
        "interval_level": str(results.level),
        **{
            f"threshold.{slug(point.name)}": str(point.threshold)
            for point in results.analysis().operating_points
        },
        **run.params,
    }
    return {slug(name): str(value)[:_MAX_VALUE] for name, value in params.items()}


def _log_numbers(client: Any, run_id: str, run: MirrorRun) -> None:
    from mlflow.entities import Metric, Param

    values, labels = metrics_of(run.results)
    at = _milliseconds(run.finished)
    metrics = [Metric(name, value, at, 0) for name, value in values.items()]
    if run.stress is not None:
        metrics += [Metric(name, value, at, step) for name, value, step in stress_metrics(run.stress)]
    params = [Param(name, value) for name, value in _params(run).items()]
    for start in range(0, len(params), _FIELDS_A_BATCH):
        client.log_batch(run_id, params=params[start : start + _FIELDS_A_BATCH])
    for start in range(0, len(metrics), _METRICS_A_BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _METRICS_A_BATCH])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metric_labels.json"
        path.write_text(json.dumps(labels, indent=1, sort_keys=True, ensure_ascii=False), encoding="utf-8")
        client.log_artifact(run_id, str(path))


def _log_dataset(client: Any, run_id: str, run: MirrorRun) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    root = str(run.holdout.get("root", "")).removeprefix("sha256:")
    facts = json.dumps(dict(run.holdout), sort_keys=True)
    dataset = Dataset(
        name=str(run.holdout.get("name", "hold-out")),
        digest=root[:_DIGEST_SHOWN] or "unknown",
        source_type="proctor-holdout",
        source=facts,
        profile=facts,
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "testing")])])


def _milliseconds(time: str) -> int:
    return int(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1000)
