"""What the code gives for each row of table.yaml: functions without arguments, each a mapping of names to numbers."""

from __future__ import annotations

import math

import numpy as np

from sandbox.scoring import operating_points, proportions, roc
from sandbox.scoring.case_mix.mantel_haenszel import pool_tables
from sandbox.scoring.case_mix.random_effects import pool
from sandbox.scoring.cases import make_cases
from sandbox.scoring.comparison.paired import mcnemar
from sandbox.scoring.comparison.predictive_values import compare_predictive_values
from sandbox.scoring.differences import newcombe
from sandbox.scoring.mrmc.covariances import Components
from sandbox.scoring.mrmc.obuchowski_rockette import from_components
from sandbox.scoring.multiplicity import holm as adjust
from sandbox.scoring.planning.precision import chance_of_clearing
from sandbox.scoring.planning.reader_study import Pilot, plan
from sandbox.scoring.readers.agreement import fleiss_kappa, krippendorff_alpha
from sandbox.scoring.readers.intraclass import FORMS, intraclass_correlation
from sandbox.scoring.readers.verification import begg_greenes

# Empirical AUROCs of the Van Dyke study as MRMCaov prints them, CINE MRI and spin-echo MRI, five readers.
VAN_DYKE = np.array(
    [
        [0.9196457, 0.8587762, 0.9038647, 0.9731079, 0.8297907],
        [0.9478261, 0.9053140, 0.9217391, 0.9993559, 0.9299517],
    ]
)
DELONG = Components(
    error=0.0007921325, cov1=0.0003420090, cov2=0.0003395265, cov3=0.0002358497,
    error_by_treatment=(), cov2_by_treatment=(0.0004775239, 0.0002015292),
)  # fmt: skip
JACKKNIFE = Components(error=0.0008022883, cov1=0.0003466137, cov2=0.0003440748, cov3=0.0002390284)
UNBIASED = Components(error=0.0007883925, cov1=0.0003416706, cov2=0.0003390650, cov3=0.0002356148)
SCANS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
).T


def proportion_cases():
    return [(81, 263), (15, 148), (0, 20), (1, 29)]


def proportions_():
    found = {}
    for x, n in proportion_cases():
        for name, method in (("wilson", proportions.wilson), ("exact", proportions.clopper_pearson)):
            low, high = method(x, n, 0.95)
            found |= {f"{x}/{n} {name} low": float(low), f"{x}/{n} {name} high": float(high)}
    return found


def difference_cases():
    return [
        (56, 70, 48, 80), (9, 10, 3, 10), (6, 7, 2, 7), (5, 56, 0, 29), (0, 10, 0, 20), (10, 10, 0, 20),
        (10, 10, 0, 10),
    ]  # fmt: skip


def differences():
    found = {}
    for a, m, b, n in difference_cases():
        low, high = newcombe(a, m, b, n, 0.95)
        found |= {f"{a}/{m}-{b}/{n} low": low, f"{a}/{m}-{b}/{n} high": high}
    return found


def hanley_mcneil():
    normal, abnormal, ratings = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33], np.arange(1, 6)
    score = np.concatenate((np.repeat(ratings, normal), np.repeat(ratings, abnormal)))
    cases = make_cases(np.concatenate((np.zeros(58), np.ones(51))), score)
    over, under = roc.win_shares(cases)
    value = over.mean()
    positive = cases.reference
    variance = roc.pair_variance(
        (over - value) / 51, (under - value) / 58, cases.patient[positive], cases.patient[~positive]
    )
    point = operating_points.at_threshold(cases, "x", 3, level=0.95, method="wilson")
    rates = {estimate.metric: estimate.value for estimate in point.estimates}
    half = 1.959964 * math.sqrt(variance)
    return {
        "area": value, "error": math.sqrt(variance), "low": value - half, "high": value + half,
        "sensitivity at 3": rates["sensitivity"], "specificity at 3": rates["specificity"],
    }  # fmt: skip


def _random(values, parts):
    found = from_components(values, parts)
    gap = found.differences[0]
    return found, {
        "mean square treatment": found.mean_squares.treatment,
        "statistic": found.statistic, "degrees": found.degrees, "p": found.p, "low": gap.low, "high": gap.high,
        "reader variance": found.reader_variance, "interaction variance": found.interaction_variance,
        "first low": found.treatments[0].low, "first high": found.treatments[0].high,
        "first degrees": found.treatments[0].degrees, "second low": found.treatments[1].low,
        "second high": found.treatments[1].high, "second degrees": found.treatments[1].degrees,
    }  # fmt: skip


def van_dyke_delong():
    found, values = _random(VAN_DYKE, DELONG)
    return values | {"denominator": found.mean_squares.treatment / found.statistic}


def van_dyke_unbiased():
    return _random(VAN_DYKE, UNBIASED)[1]


def van_dyke_jackknife():
    whole = from_components(VAN_DYKE, JACKKNIFE)
    cases = from_components(VAN_DYKE, JACKKNIFE, generalises="cases")
    readers = from_components(VAN_DYKE, JACKKNIFE, generalises="readers")
    nested = from_components(VAN_DYKE, Components(error=0.0008058382, cov1=0.0, cov2=0.0003455973, cov3=0.0))
    return {
        "mean square treatment": whole.mean_squares.treatment,
        "mean square interaction": whole.mean_squares.interaction,
        "random p": whole.p,
        "fixed readers chi-square": cases.statistic, "fixed readers p": cases.p,
        "fixed readers error": cases.differences[0].error,
        "fixed cases F": readers.statistic, "fixed cases p": readers.p,
        "fixed cases low": readers.differences[0].low, "fixed cases high": readers.differences[0].high,
        "nested F": nested.statistic, "nested degrees": nested.degrees, "nested p": nested.p,
    }  # fmt: skip


def van_dyke_sensitivity():
    # 45 positives: the printed rates are these fractions.
    hits = np.array([[40, 35, 37, 42, 31], [44, 37, 41, 45, 40]]) / 45
    parts = Components(
        error=0.0023681257, cov1=0.0009943883, cov2=0.0010145903, cov3=0.0006604938,
        cov2_by_treatment=(0.001646465, 0.000382716),
    )  # fmt: skip
    return _random(hits, parts)[1]


def van_dyke_power():
    pilot = Pilot(components=JACKKNIFE, interaction_variance=0.0002004025, cases=114)
    return {"power": plan(pilot, 10, 165, 0.04380032).power}


def paired_columns():
    """Paired1 of DTComPair from its printed tables: truth, first and second test."""
    cells = {
        (1, 1, 1): 319, (1, 0, 1): 22, (1, 1, 0): 78, (1, 0, 0): 32,
        (0, 1, 1): 31, (0, 0, 1): 22, (0, 1, 0): 53, (0, 0, 0): 155,
    }  # fmt: skip
    return np.repeat(np.array(list(cells)), list(cells.values()), axis=0).T


def predictive_values():
    truth, first, second = paired_columns()
    found = {}
    for name, negative in (("PPV", False), ("NPV", True)):
        gap = compare_predictive_values(truth, first, second, negative=negative)
        found |= {
            f"{name} first": gap.first, f"{name} second": gap.second, f"{name} difference": gap.value,
            f"{name} statistic": gap.statistic**2, f"{name} p": gap.p,
        }  # fmt: skip
    return found


def krippendorff():
    nan = np.nan
    readings = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
        [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
    ]
    return {scale: krippendorff_alpha(readings, scale).value for scale in ("nominal", "ordinal", "interval")}


FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip


def fleiss():
    return {"kappa": fleiss_kappa(FLEISS).value}


def shrout_fleiss():
    return {form: intraclass_correlation(SCANS, form).value for form in FORMS}


def shrout_fleiss_limits():
    found = {}
    for form in FORMS:
        icc = intraclass_correlation(SCANS, form)
        found |= {f"{form} low": icc.low, f"{form} high": icc.high}
    return found


def hepatic_scintigraphy():
    called = np.repeat([1, 1, 0, 0, 1, 0], [231, 32, 27, 54, 166, 140])
    truth = np.repeat([1, 0, 1, 0, np.nan, np.nan], [231, 32, 27, 54, 166, 140])
    found = begg_greenes(called, truth)
    return {
        "sensitivity": found.sensitivity.value, "specificity": found.specificity.value,
        "naive sensitivity": found.sensitivity.naive, "naive specificity": found.specificity.naive,
    }  # fmt: skip


CHINA = np.array(
    [[126, 100, 35, 61], [908, 688, 497, 807], [913, 747, 336, 598], [235, 172, 58, 121],
     [402, 308, 121, 215], [182, 156, 72, 98], [60, 99, 11, 43], [104, 89, 21, 36]]
)  # fmt: skip


def china_smoking():
    a, b, c, d = CHINA.T
    found = pool_tables(a, a + b, c, c + d)
    return {
        "odds ratio": found.odds_ratio, "Cochran-Mantel-Haenszel": found.cochran_mantel_haenszel,
        "Breslow-Day": found.breslow_day, "Breslow-Day p": found.breslow_day_p,
    }  # fmt: skip


def bcg_columns():
    tpos, tneg = [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27], [
        119, 300, 228, 13536, 5036, 1361, 2537, 87886, 7470, 1699, 50448, 2493, 16886,
    ]  # fmt: skip
    cpos, cneg = [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29], [
        128, 274, 209, 12619, 5761, 1079, 619, 87892, 7232, 1600, 27197, 2338, 17825,
    ]  # fmt: skip
    a, b, c, d = (np.array(column, dtype=float) for column in (tpos, tneg, cpos, cneg))
    return np.log((a / (a + b)) / (c / (c + d))), np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))


def bcg():
    reml = pool(*bcg_columns())
    moments = pool(*bcg_columns(), method="dersimonian-laird")
    return {
        "reml between": reml.between, "reml value": reml.value, "reml error": reml.error, "i squared": reml.i_squared,
        "q": reml.q, "dl between": moments.between, "dl value": moments.value, "dl error": moments.error,
    }  # fmt: skip


def mcnemar_():
    exact, mid = mcnemar(1, 7)
    return {"exact p": exact, "mid-p": mid}


def flahault():
    """First number of cases with which the exact one-sided 95 % bound clears with probability 0.95."""

    def first(value, margin):
        n = 1
        while chance_of_clearing(value, margin, n, 0.90, "clopper-pearson") < 0.95:
            n += 1
        return n

    return {"0.90 against 0.75": first(0.9, 0.75), "0.95 against 0.90": first(0.95, 0.9)}


def holm():
    found = adjust([0.01, 0.02, 0.03, 0.04, 0.05])
    return dict(zip(("first", "second", "third", "fourth", "fifth"), found, strict=True))


COMPUTATIONS = {
    "proportions": proportions_, "differences": differences, "hanley_mcneil": hanley_mcneil,
    "van_dyke_delong": van_dyke_delong, "van_dyke_jackknife": van_dyke_jackknife,
    "van_dyke_sensitivity": van_dyke_sensitivity, "van_dyke_unbiased": van_dyke_unbiased,
    "van_dyke_power": van_dyke_power, "predictive_values": predictive_values, "krippendorff": krippendorff,
    "fleiss": fleiss, "shrout_fleiss": shrout_fleiss, "shrout_fleiss_limits": shrout_fleiss_limits,
    "hepatic_scintigraphy": hepatic_scintigraphy, "china_smoking": china_smoking, "bcg": bcg, "mcnemar": mcnemar_,
    "flahault": flahault, "holm": holm,
}  # fmt: skip
