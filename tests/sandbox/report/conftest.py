"""A whole report input made by hand: plausible counts, every status once, no scorer and no engine needed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox.outcome.results import (
    Analysis,
    Association,
    CalibrationBin,
    CalibrationCurve,
    CriterionResult,
    Curves,
    Estimate,
    FailureCount,
    FailureRule,
    Flow,
    LevelCount,
    LevelPrevalence,
    OperatingPointResult,
    PrecisionRecallCurve,
    Results,
    RocCurve,
    StratumResult,
    WorstStratum,
)
from sandbox.report.model import (
    BudgetFacts,
    ControlFact,
    DataUse,
    Fact,
    FlowStep,
    HoldoutFacts,
    IntegrityFacts,
    LedgerEntryFact,
    LedgerMark,
    LeftOut,
    MissingShare,
    OverlapCheck,
    PolicyFacts,
    ProtocolFacts,
    ReferenceMethod,
    ReportInput,
    RunFacts,
    SelfCheck,
    SubmissionFacts,
)
from sandbox.report.page import render

DIGEST = "sha256:" + "3f7a" * 16
TOO_FEW = "4 positive cases, the protocol asks for at least 10"


def estimate(
    metric: str,
    value: float | None,
    half: float = 0.05,
    n: int = 200,
    positives: int = 80,
    patients: int = 150,
    **more: object,
) -> Estimate:
    """An estimate with a symmetric interval, or an undefined one with its reason."""
    known = value is not None
    settings: dict[str, object] = {
        "low": round(max(0.0, value - half), 6) if known else None,
        "high": round(min(1.0, value + half), 6) if known else None,
        "status": "ok" if known else "undefined",
        "reason": None if known else "no case of this kind was answered",
        "method": "delong-logit" if metric == "auroc" else "wilson",
    }
    return Estimate(
        metric=metric,
        value=value,
        level=0.95,
        n=n,
        positives=positives,
        patients=patients,
        version=1,
        **(settings | more),  # type: ignore[arg-type]
    )


def operating_point(tp: int, fp: int, fn: int, tn: int, half: float = 0.06) -> OperatingPointResult:
    """Rates at the threshold 0.5 from four counts."""
    basis = {"positives": tp + fn, "n": tp + fn + fp + tn, "half": half}
    called = tp + fp
    return OperatingPointResult(
        name="screening",
        threshold=0.5,
        tp=tp,
        fp=fp,
        fn=fn,
        tn=tn,
        estimates=(
            estimate("sensitivity", tp / (tp + fn) if tp + fn else None, **basis),
            estimate("specificity", tn / (tn + fp) if tn + fp else None, **basis),
            estimate("ppv", tp / called if called else None, **basis),
            estimate("npv", tn / (tn + fn) if tn + fn else None, **basis),
            estimate("lr_positive", 4.1, 0.9, **{k: v for k, v in basis.items() if k != "half"}),
            estimate("f1", 0.79, **basis),
            estimate(
                "mcc", None, method="bootstrap-percentile-patients", reason="one margin of the table is zero"
            ),
        ),
    )


def stratum(attribute: str, level: str, auroc: float | None, n: int, positives: int) -> StratumResult:
    """One level with AUROC and rates; fewer than ten positives makes it too small to claim anything."""
    few = positives < 10
    tp, tn = round(positives * 0.8), round((n - positives) * 0.75)
    return StratumResult(
        attribute=attribute,
        level=level,
        n=n,
        positives=positives,
        negatives=n - positives,
        patients=max(1, n * 3 // 4),
        failures=1 if level == "Synthetic B" else 0,
        estimates=(
            estimate(
                "auroc",
                auroc,
                0.4 / max(positives, 1) ** 0.5,
                n,
                positives,
                status="undefined" if auroc is None else "too_few" if few else "ok",
                reason="no positive case" if auroc is None else TOO_FEW if few else None,
            ),
        ),
        operating_points=(
            operating_point(tp, n - positives - tn, positives - tp, tn, 0.5 / max(positives, 1) ** 0.5),
        ),
        status="undefined" if auroc is None else "too_few" if few else "ok",
        reason="no positive case" if auroc is None else TOO_FEW if few else None,
    )


def association(attribute: str, alone: float, within: float, flagged: bool) -> Association:
    """Two levels whose prevalences differ, and what is left of the AUROC within them."""
    return Association(
        attribute=attribute,
        levels=(
            LevelPrevalence(
                level="AP", n=90, positives=62, patients=70, prevalence=estimate("prevalence", 62 / 90, n=90)
            ),
            LevelPrevalence(
                level="PA",
                n=110,
                positives=18,
                patients=95,
                prevalence=estimate("prevalence", 18 / 110, n=110),
            ),
        ),
        attribute_auroc=estimate("auroc", alone),
        pooled=estimate("auroc", 0.80),
        conditional=estimate("auroc", within, 0.07),
        drop=estimate("auroc_drop", 0.80 - within, 0.04, method="bootstrap-percentile-patients"),
        between_pairs=0.47,
        flagged=flagged,
        chance=0.55,
        drop_shown=flagged,
        sentence=(
            f"Knowing only {attribute} gives AUROC {alone:.2f}; "
            f"within its levels the algorithm's AUROC falls from 0.80 to {within:.2f}."
        ),
    )


def curves() -> Curves:
    """A short ROC with its band, precision-recall corners and five calibration bins."""
    rates = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
    sensitivities = (0.0, 0.25, 0.41, 0.56, 0.72, 0.83, 0.91, 0.97, 1.0)
    bins = tuple(
        CalibrationBin(
            lower_edge=i / 5,
            upper_edge=(i + 1) / 5,
            n=n,
            positives=round(n * observed),
            patients=n,
            mean_score=i / 5 + 0.1,
            observed=observed,
            low=max(0.0, observed - 0.09),
            high=min(1.0, observed + 0.09),
        )
        for i, (n, observed) in enumerate(((90, 0.12), (40, 0.34), (25, 0.48), (20, 0.70), (25, 0.80)))
    )
    return Curves(
        roc=RocCurve(
            false_positive_rate=rates,
            sensitivity=sensitivities,
            threshold=(None, 0.95, 0.9, 0.8, 0.6, 0.5, 0.4, 0.2, 0.0),
            band_low=tuple(max(0.0, s - 0.08) for s in sensitivities),
            band_high=tuple(min(1.0, s + 0.08) for s in sensitivities),
            level=0.95,
            method="bootstrap-percentile-patients",
        ),
        precision_recall=PrecisionRecallCurve(
            recall=(0.25, 0.5, 0.75, 1.0),
            precision=(0.95, 0.88, 0.75, 0.4),
            threshold=(0.95, 0.8, 0.6, 0.0),
            prevalence=0.4,
        ),
        calibration=CalibrationCurve(
            bins=bins, level=0.95, binning="5 bins of equal width, closed on the right", method="wilson"
        ),
    )


def analysis(rule: FailureRule) -> Analysis:
    """One analysis; the worst-case one counts three failed cases as wrong."""
    strata = (
        stratum("manufacturer", "Synthetic A", 0.86, 120, 52),
        stratum("manufacturer", "Synthetic B", 0.68, 80, 28),
        stratum("patient_sex", "F", 0.81, 104, 44),
        stratum("patient_sex", "M", 0.79, 92, 32),
        stratum("patient_sex", "unknown", 0.9, 9, 4),
        stratum("patient_age_years", "0–40", None, 22, 0),
        stratum("patient_age_years", "40–60", 0.78, 88, 30),
        stratum("patient_age_years", "60–120", 0.8, 90, 50),
    )
    worst = strata[1].estimates[0]
    return Analysis(
        failure_rule=rule,
        n=200 if rule == "worst_case" else 197,
        positives=80 if rule == "worst_case" else 78,
        negatives=120 if rule == "worst_case" else 119,
        patients=150,
        sampling="clustered",
        estimates=(
            estimate("auroc", 0.80 if rule == "worst_case" else 0.82),
            estimate("average_precision", 0.74, method="bootstrap-percentile-patients"),
            estimate("brier", 0.162, 0.02, method="bootstrap-percentile-patients"),
            estimate("calibration_slope", 0.91, 0.2, method="bootstrap-percentile-patients"),
            estimate("calibration_intercept", None, reason="the fit did not converge"),
        ),
        operating_points=(operating_point(63, 27, 17, 93),),
        curves=curves(),
        strata=strata,
        associations=(
            association("view_position", 0.74, 0.66, flagged=True),
            association("patient_sex", 0.52, 0.80, flagged=False),
        ),
        worst=(
            WorstStratum(
                metric="auroc",
                operating_point=None,
                attribute="manufacturer",
                level="Synthetic B",
                estimate=worst,
                overall=estimate("auroc", 0.80),
            ),
        ),
    )


def criterion(
    name: str, metric: str, limit: float, verdict: str, point: str | None = None
) -> CriterionResult:
    """One criterion on a lower confidence limit."""
    return CriterionResult(
        name=name,
        metric=metric,
        operating_point=point,
        stratum=None,
        bound="lower",
        direction="at_least",
        limit=limit,
        estimate=estimate(metric, None if verdict == "cannot_tell" else 0.80),
        verdict=verdict,  # type: ignore[arg-type]
        reason={
            "met": "the lower limit lies above the limit",
            "not_met": "the lower limit lies below the limit",
            "cannot_tell": "no case of this kind was answered",
        }[verdict],
    )


def sample_results() -> Results:
    """Results in which one criterion is met, one is not and one cannot be told."""
    return Results(
        evaluation="ev-0007",
        protocol_name="opacity-screening",
        protocol_digest=DIGEST,
        task="binary",
        target="opacity",
        unit="image",
        level=0.95,
        flow=Flow(
            locked=203,
            staged=202,
            asked=200,
            answered=197,
            failed=3,
            failures=(
                FailureCount(code="timeout", cases=2, positives=1),
                FailureCount(code="crash", cases=1, positives=1),
            ),
            unlabelled=3,
            cases=200,
            patients=150,
            positives=80,
            negatives=120,
        ),
        composition=(
            LevelCount(
                attribute="manufacturer", level="Synthetic A", cases=120, patients=90, positives=52, share=0.6
            ),
            LevelCount(
                attribute="manufacturer", level="Synthetic B", cases=80, patients=60, positives=28, share=0.4
            ),
            LevelCount(attribute="patient_sex", level="F", cases=104, patients=78, positives=44, share=0.52),
            LevelCount(attribute="patient_sex", level="M", cases=87, patients=66, positives=32, share=0.435),
            LevelCount(
                attribute="patient_sex", level="unknown", cases=9, patients=6, positives=4, share=0.045
            ),
        ),
        chosen="worst_case",
        analyses=(analysis("worst_case"), analysis("excluded")),
        acceptance=(
            criterion("Discrimination", "auroc", 0.70, "met"),
            criterion("Few missed findings", "sensitivity", 0.90, "not_met", "screening"),
            criterion("Rule-out", "npv", 0.95, "cannot_tell", "screening"),
        ),
        verdict="not_met",
        notes=("Cases are clustered in patients: intervals resample patients.",),
    )


def sample_report(**changes: object) -> ReportInput:
    """A whole report input; `changes` replace fields of the top level."""
    fields: dict[str, object] = {
        "audience": "institution",
        "site": "Site North",
        "results": sample_results(),
        "protocol": ProtocolFacts(
            name="opacity-screening",
            title="Opacity on chest radiographs, second reader",
            digest=DIGEST,
            document={
                "proctor": "protocol/1",
                "operating_points": [{"name": "screening", "threshold": 0.5}],
                "intervals": {"level": 0.95, "bootstrap_replicates": 2000},
                "minimum": {"positives": 10, "negatives": 10},
                "failures": "worst_case",
            },
            registered=LedgerMark(index=11, time="2026-07-01T08:55:00Z"),
        ),
        "policy": PolicyFacts(name="default", digest="sha256:" + "9b" * 32),
        "submission": SubmissionFacts(
            vendor="acme",
            name="brittle",
            image_digest="sha256:" + "c0de" * 16,
            contract="worker",
            size_bytes=184_320_000,
            admitted=LedgerMark(index=9, time="2026-07-01T08:40:00Z"),
            details=(Fact(name="Version (vendor's words)", value="2.1.0"),),
        ),
        "holdout": HoldoutFacts(
            name="cxr",
            version="1",
            root="ab" * 32,
            cases=203,
            patients=152,
            instances=203,
            synthetic=True,
            locked=LedgerMark(index=7, time="2026-07-01T08:31:00Z"),
            description="Synthetic chest radiographs with planted truths.",
            flow=(
                FlowStep(
                    label="Files found in the folder",
                    count=420,
                    unit="files",
                    left_out=(
                        LeftOut(reason="not DICOM", count=2),
                        LeftOut(reason="truncated", count=1),
                        LeftOut(reason="development part (by patient)", count=214),
                    ),
                ),
            ),
            reference_definition="Opacity planted by the generator.",
            reference_methods=(ReferenceMethod(method="planted", cases=203, positives=81),),
            missing=(MissingShare(attribute="patient_age_years", cases=61, of=203),),
            overlap=(
                OverlapCheck(name="patients in both parts", found=0),
                OverlapCheck(name="images equal to declared training data", found=None, note="none declared"),
            ),
            staging=(Fact(name="Attributes shown to the container", value="ViewPosition, PatientSex"),),
            warnings=("Burned-in text was not checked on 203 of 203 images.",),
            verified_before=LedgerMark(index=12, time="2026-07-01T08:56:00Z"),
            verified_after=LedgerMark(index=15, time="2026-07-01T09:01:00Z"),
        ),
        "run": RunFacts(
            started=LedgerMark(index=13, time="2026-07-01T08:57:00Z"),
            finished=LedgerMark(index=14, time="2026-07-01T09:00:12Z"),
            containers_started=4,
            engine=(Fact(name="Engine", value="Docker 20.10.24"), Fact(name="Kernel", value="6.1.0-44")),
            tool=(Fact(name="Proctor", value="0.1.0"), Fact(name="NumPy", value="2.3.4")),
        ),
        "posture": (
            ControlFact(name="no network", expected="loopback only", measured="lo only", held=True),
            ControlFact(
                name="user namespace",
                expected="container root is not host root",
                measured="0 0 4294967295",
                held=False,
                waiver="waived by policy default: dedicated host",
            ),
        ),
        "budget": BudgetFacts(
            spent=41.0,
            budget=160,
            pooled_spent=82.0,
            pooled_budget=640,
            patients=120,
            delta=0.05,
            half_width=0.5,
        ),
        "earlier_use": (
            DataUse(
                time="2026-06-12T10:00:00Z",
                vendor_pseudonym="vendor-4c1d",
                evaluation="ev-0003",
                cases=203,
                disclosed="full report, institution only",
            ),
        ),
        "integrity": IntegrityFacts(
            origin="proctor.site-north.example/ledger",
            tree_size=18,
            root="5e" * 32,
            key_id="site-north+a1b2c3d4",
            verify_command="proctor verify ev-0007.zip",
            entries=(
                LedgerEntryFact(
                    index=11,
                    time="2026-07-01T08:55:00Z",
                    kind="protocol registered",
                    subject="opacity-screening",
                ),
            ),
        ),
        "self_checks": (
            SelfCheck(name="perfect container", expected="AUROC 1", observed="1.000", passed=True),
            SelfCheck(name="constant container", expected="AUROC 0.5", observed="0.500", passed=True),
        ),
        "not_built": (
            "Stress tests: no perturbed image was shown to the algorithm.",
            "Hostile-container suite: the isolation was probed, not attacked.",
        ),
    }
    return ReportInput(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def make_report() -> Callable[..., ReportInput]:
    """Make a whole report input; keyword arguments replace fields of its top level."""
    return sample_report


@pytest.fixture
def make_results() -> Callable[[], Results]:
    """Make the results that the sample report holds."""
    return sample_results


@pytest.fixture(scope="session")
def sample_page() -> bytes:
    """The page of the sample report, rendered once."""
    return render(sample_report())
