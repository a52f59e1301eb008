"""What the metrics and methods of the tasks other than one binary score mean, with their sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.report.definition import Method, Metric

TASK_METRICS: Final[Mapping[str, Metric]] = {
    "partial_auroc": Metric(
        label="Partial AUROC",
        definition=("Area under the ROC curve over the declared range of one axis, divided by nothing."),
        source="McClish 1989",
    ),
    "partial_auroc_corrected": Metric(
        label="Partial AUROC, corrected",
        definition=(
            "(1 + (area − chance area) / (largest area − chance area)) / 2: 0.5 is chance and 1 is"
            " best whatever the range."
        ),
        source="McClish 1989",
    ),
    "ppv_at_prevalence": Metric(
        label="PPV at the intended prevalence",
        definition=(
            "Positive predictive value by Bayes' theorem from sensitivity, specificity and the "
            "prevalence that the protocol states."
        ),
        source="Mercaldo, Lau & Zhou 2007",
    ),
    "npv_at_prevalence": Metric(
        label="NPV at the intended prevalence",
        definition=(
            "Negative predictive value by Bayes' theorem from sensitivity, specificity and the "
            "prevalence that the protocol states."
        ),
        source="Mercaldo, Lau & Zhou 2007",
    ),
    "net_benefit": Metric(
        label="Net benefit",
        definition=(
            "TP / n − FP / n × t / (1 − t), with t the threshold probability: true positives per "
            "case, false alarms taken off at the exchange rate that t implies."
        ),
        source="Vickers & Elkin 2006",
    ),
    "accuracy": Metric(
        label="Accuracy",
        definition=(
            "Share of cases whose highest answer is the true class; a tie goes to the class that "
            "the protocol names first."
        ),
        source="Stehman 1997",
    ),
    "top_2_accuracy": Metric(
        label="Top-2 accuracy",
        definition=(
            "Share of cases whose true class is among the two highest answers; classes tied with "
            "it count as above it."
        ),
        source="Russakovsky et al. 2015",
    ),
    "top_3_accuracy": Metric(
        label="Top-3 accuracy",
        definition=(
            "Share of cases whose true class is among the three highest answers; classes tied with"
            " it count as above it."
        ),
        source="Russakovsky et al. 2015",
    ),
    "macro_ppv": Metric(
        label="Macro PPV",
        definition="Mean of the PPV of all classes; a class that is never called counts 0.",
        source="Sokolova & Lapalme 2009",
    ),
    "macro_f1": Metric(
        label="Macro F1",
        definition="Mean over classes or labels of F1, 2 TP / (2 TP + FP + FN).",
        source="Sokolova & Lapalme 2009",
    ),
    "micro_f1": Metric(
        label="Micro F1",
        definition=("F1 of the true positives, false positives and false negatives of all labels together."),
        source="Sokolova & Lapalme 2009",
    ),
    "cohen_kappa": Metric(
        label="Cohen's kappa",
        definition=(
            "Agreement of call and truth beyond what their margins give by chance; 1 is best, 0 chance."
        ),
        source="Cohen 1960",
    ),
    "macro_auroc": Metric(
        label="Macro AUROC",
        definition=(
            "Mean over classes or labels of the AUROC of one against the rest, each weighing the same."
        ),
        source="Fawcett 2006",
    ),
    "micro_auroc": Metric(
        label="Micro AUROC",
        definition=(
            "AUROC over all pairs of case and class together, each a positive where the class is "
            "the true one."
        ),
        source="Fawcett 2006",
    ),
    "hand_till_auroc": Metric(
        label="Hand–Till M",
        definition=("Mean over all pairs of classes of the AUROC between the two, by the answer for either."),
        source="Hand & Till 2001",
    ),
    "multiclass_brier": Metric(
        label="Brier score, all classes",
        definition=(
            "Mean over cases of the sum over classes of (answer − truth)², from 0 to 2; a failed "
            "case counts 2."
        ),
        source="Brier 1950",
    ),
    "macro_average_precision": Metric(
        label="Macro average precision",
        definition="Mean of the average precision of all labels.",
        source="Davis & Goadrich 2006",
    ),
    "label_ranking_average_precision": Metric(
        label="Label ranking average precision",
        definition=(
            "Mean over cases of the mean over a case's true labels of the share of true labels "
            "among those ranked at least as high."
        ),
        source="Schapire & Singer 2000; Tsoumakas et al. 2010",
    ),
    "exact_match": Metric(
        label="Exact match",
        definition="Share of cases with every label called right.",
        source="Tsoumakas et al. 2010",
    ),
    "hamming_loss": Metric(
        label="Hamming loss",
        definition="Share of pairs of case and label that are called wrong; 0 is best.",
        source="Schapire & Singer 1999",
    ),
    "quadratic_kappa": Metric(
        label="Quadratic-weighted kappa",
        definition=(
            "Agreement beyond chance, disagreement weighted by the square of its distance in grades."
        ),
        source="Cohen 1968; Fleiss, Cohen & Everitt 1969",
    ),
    "linear_kappa": Metric(
        label="Linear-weighted kappa",
        definition="Agreement beyond chance, disagreement weighted by its distance in grades.",
        source="Cohen 1968; Fleiss, Cohen & Everitt 1969",
    ),
    "exact_agreement": Metric(
        label="Exact agreement",
        definition="Share of cases given the true grade.",
        source="BI-RADS audit practice",
    ),
    "within_one_agreement": Metric(
        label="Agreement within one grade",
        definition="Share of cases given the true grade or one next to it.",
        source="BI-RADS audit practice",
    ),
    "mean_grade_error": Metric(
        label="Mean grade error",
        definition="Mean of answer minus truth in grades; above 0 the grades are too high.",
        source="this project",
    ),
    "mean_absolute_grade_error": Metric(
        label="Mean absolute grade error",
        definition="Mean distance of answer and truth in grades.",
        source="Gaudette & Japkowicz 2009",
    ),
    "expected_cost": Metric(
        label="Expected cost",
        definition="Mean over cases of the declared cost of the answer given the truth.",
        source="Adams & Hand 1999",
    ),
    "adjacent_auroc": Metric(
        label="AUROC between neighbouring grades",
        definition=(
            "AUROC of the higher of two neighbouring grades against the lower, by the expected "
            "grade, or by the grade where no probabilities are asked for."
        ),
        source="Hand & Till 2001, restricted to neighbours",
    ),
    "bias": Metric(
        label="Bias",
        definition="Mean of answer minus reference.",
        source="Bland & Altman 1986",
    ),
    "answered_bias": Metric(
        label="Bias of answered cases",
        definition=(
            "Mean of answer minus reference over answered cases: a failed case has no direction. Compared between "
            "groups only."
        ),
        source="Bland & Altman 1986",
    ),
    "answered_grade_error": Metric(
        label="Mean error in grades of answered cases",
        definition=(
            "Mean of answered minus true grade over answered cases: a failed case has no direction. Compared between "
            "groups only."
        ),
        source="declared",
    ),
    "lower_limit_of_agreement": Metric(
        label="Lower limit of agreement",
        definition=(
            "Bias minus z times the standard deviation of the differences, between which the "
            "declared share of differences is expected."
        ),
        source="Bland & Altman 1986, 1999",
    ),
    "upper_limit_of_agreement": Metric(
        label="Upper limit of agreement",
        definition="Bias plus z times the standard deviation of the differences.",
        source="Bland & Altman 1986, 1999",
    ),
    "standard_deviation_of_differences": Metric(
        label="SD of differences",
        definition=(
            "Standard deviation of answer minus reference; with several cases to a patient from "
            "the sum of the variances between and within patients."
        ),
        source="Bland & Altman 1999, 2007",
    ),
    "mean_absolute_error": Metric(
        label="Mean absolute error",
        definition="Mean of |answer − reference|.",
        source="Willmott & Matsuura 2005",
    ),
    "root_mean_square_error": Metric(
        label="Root mean square error",
        definition="Square root of the mean of (answer − reference)².",
        source="Willmott & Matsuura 2005",
    ),
    "concordance_correlation": Metric(
        label="Concordance correlation",
        definition="2 cov / (var + var + (difference of means)²), moments with n as denominator.",
        source="Lin 1989",
    ),
    "icc_a1": Metric(
        label="ICC(A,1)",
        definition=(
            "Intraclass correlation, two-way, absolute agreement, single measurement; Shrout and "
            "Fleiss's ICC(2,1)."
        ),
        source="McGraw & Wong 1996; Shrout & Fleiss 1979",
    ),
    "icc_c1": Metric(
        label="ICC(C,1)",
        definition=(
            "Intraclass correlation, two-way, consistency, single measurement; Shrout and Fleiss's ICC(3,1)."
        ),
        source="McGraw & Wong 1996; Shrout & Fleiss 1979",
    ),
    "deming_slope": Metric(
        label="Deming slope",
        definition=(
            "Slope of answer on reference when both have error, at the declared ratio of error "
            "variances; 1 is best."
        ),
        source="Deming 1943; Linnet 1993",
    ),
    "deming_intercept": Metric(
        label="Deming intercept",
        definition="Intercept of the same line; 0 is best.",
        source="Deming 1943; Linnet 1993",
    ),
    "passing_bablok_slope": Metric(
        label="Passing–Bablok slope",
        definition=(
            "Median size of the slopes of all pairs of cases: a line that needs no model of the errors and does not "
            "change when the two measurements change places; 1 is best."
        ),
        source="Passing & Bablok 1983, 1988",
    ),
    "passing_bablok_intercept": Metric(
        label="Passing–Bablok intercept",
        definition="Median of answer minus slope times reference; 0 is best.",
        source="Passing & Bablok 1983, 1988",
    ),
    "within_subject_sd": Metric(
        label="Within-subject SD",
        definition=("Standard deviation of the container's answers to repeats of the same measurement."),
        source="Bland & Altman 1996",
    ),
    "repeatability_coefficient": Metric(
        label="Repeatability coefficient",
        definition=(
            "1.96 × √2 × within-subject SD: two answers to repeats differ by less in 95 of 100 pairs."
        ),
        source="Bland & Altman 1999",
    ),
    "time_to_notification_median": Metric(
        label="Time to notification, median",
        definition=(
            "Median minutes from delivery of a case to the answer of a true alarm, with the "
            "declared transfer time."
        ),
        source="FDA special controls, 21 CFR 892.2080",
    ),
    "time_to_notification_p90": Metric(
        label="Time to notification, 90th percentile",
        definition="90th percentile of the same time.",
        source="FDA special controls, 21 CFR 892.2080",
    ),
    "wait_saved_diseased": Metric(
        label="Wait saved, diseased",
        definition=(
            "Mean minutes that a diseased case waits less than in a list read in order of arrival,"
            " missed ones counted too."
        ),
        source="Cobham 1954; Thompson et al. 2024",
    ),
    "wait_added_non_diseased": Metric(
        label="Wait added, not diseased",
        definition=(
            "Mean minutes that a case without disease waits longer than in a list read in order of arrival."
        ),
        source="Cobham 1954; Thompson et al. 2024",
    ),
    "wait_saved_diseased_simulated": Metric(
        label="Wait saved, diseased, simulated",
        definition="The same by a simulation of the reading list, event by event: a check on the closed form.",
        source="this project, sandbox/scoring/queue_simulation.py",
    ),
    "wait_added_non_diseased_simulated": Metric(
        label="Wait added, not diseased, simulated",
        definition="The same by a simulation of the reading list, event by event: a check on the closed form.",
        source="this project, sandbox/scoring/queue_simulation.py",
    ),
}

TASK_METHODS: Final[Mapping[str, Method]] = {
    "influence-logit": Method(
        definition="Variance from each case's influence on the value, interval on the logit scale.",
        source="DeLong, DeLong & Clarke-Pearson 1988; Efron 1982",
    ),
    "influence-normal": Method(
        definition="Variance from each case's influence on the value, normal interval.",
        source="Efron 1982",
    ),
    "together-jackknife-logit": Method(
        definition="The labels' jackknife limits averaged, as if all labels moved together: conservative.",
        source="this project, sandbox/scoring/multilabel.py",
    ),
    "fleiss-cohen-everitt": Method(
        definition=(
            "Large-sample standard error of a weighted kappa that is not assumed to be 0, normal interval."
        ),
        source="Fleiss, Cohen & Everitt 1969",
    ),
    "bootstrap-bt2-patients": Method(
        definition=(
            "Mean and standard deviation of resamples of whole patients, the threshold found anew "
            "in each, with z²/2 successes and failures added to the rate."
        ),
        source="Zhou & Qin 2005; Platt, Hanley & Yang 2000",
    ),
    "mercaldo-logit": Method(
        definition=("Delta method on the logit scale from the variances of sensitivity and specificity."),
        source="Mercaldo, Lau & Zhou 2007",
    ),
    "carkeet-exact": Method(
        definition=(
            "Exact interval of one limit of agreement from the noncentral t distribution; each "
            "limit by itself."
        ),
        source="Carkeet 2015",
    ),
    "lin-fisher-z": Method(
        definition="Large-sample standard error on Fisher's z scale.",
        source="Lin 1989, corrected 2000",
    ),
    "mcgraw-wong-f": Method(
        definition="Interval from the F distribution.",
        source="McGraw & Wong 1996",
    ),
    "linnet-jackknife": Method(
        definition="Jackknife over patients with a t interval.",
        source="Linnet 1993",
    ),
    "passing-bablok-ranks": Method(
        definition="Slopes at ranks from either end of all slopes, by the variance of Kendall's tau.",
        source="Passing & Bablok 1983",
    ),
    "chi-square-sd": Method(
        definition="Interval of a standard deviation from the chi-square distribution.",
        source="Bland & Altman 1999",
    ),
    "simulation-batch-means": Method(
        definition="Mean over simulated cases, with the t interval of the means of 20 consecutive batches.",
        source="Law 2015",
    ),
    "woodruff": Method(
        definition="Interval of a quantile by inverting the score interval of the share below it.",
        source="Woodruff 1952",
    ),
    "chosen-on-these-cases": Method(
        definition=(
            "The value was fixed in the protocol and reached on these cases: no interval belongs to it."
        ),
        source="this project",
    ),
}
