"""What each metric and each interval method of the section about stress means, with its source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.report.definition import Method, Metric

STRESS_METRICS: Final[Mapping[str, Metric]] = {
    "auroc_change": Metric(
        label="Change of AUROC",
        definition=(
            "AUROC of the stressed answers minus that of the clean ones, of the same patients; below 0 is a loss. A "
            "case without an answer is ranked on the wrong side."
        ),
        source="DeLong et al. 1988",
    ),
    "sensitivity_change": Metric(
        label="Change of sensitivity",
        definition=(
            "Share of the positive patients called right under stress, minus the share without it; a case without an "
            "answer is a wrong call."
        ),
        source="Tango 1998",
    ),
    "specificity_change": Metric(
        label="Change of specificity",
        definition="The same for the negative patients.",
        source="Tango 1998",
    ),
    "score_shift": Metric(
        label="Shift of the score",
        definition="Mean of stressed minus clean score, over the cases with both answers.",
        source="Raunig et al. 2015",
    ),
    "answer_shift": Metric(
        label="Distance to the clean answer",
        definition=(
            "Mean distance of the stressed answer from the clean one, as a share of the range; of several numbers the "
            "largest."
        ),
        source="Raunig et al. 2015",
    ),
    "dice_change": Metric(
        label="Change of mean Dice",
        definition=(
            "Mean of the Dice of the stressed mask minus that of the clean one, both against the truth of the clean "
            "case; nothing is asked that moves what it marks. A case without an answer counts 0, two empty masks 1."
        ),
        source="Dice 1945; Maier-Hein et al. 2024",
    ),
    "nsd_change": Metric(
        label="Change of mean NSD",
        definition="The same for the normalised surface Dice; judged only where the protocol declares its margin.",
        source="Nikolov et al. 2021",
    ),
    "dice_loss_rate": Metric(
        label="Cases that lose Dice",
        definition="Share of cases whose Dice is smaller under stress by more than the margin.",
        source="Maier-Hein et al. 2024",
    ),
    "nsd_loss_rate": Metric(
        label="Cases that lose NSD",
        definition="The same for the normalised surface Dice.",
        source="Nikolov et al. 2021",
    ),
    "wafroc_change": Metric(
        label="Change of the wAFROC area",
        definition=(
            "The area of the stressed findings minus that of the clean ones, of the same patients, both against the "
            "truth of the clean case. A case without an answer misses its lesions, or has a false positive above all."
        ),
        source="Chakraborty 2017",
    ),
    "froc_sensitivity_change": Metric(
        label="Change of sensitivity by false positives a case",
        definition=(
            "The highest sensitivity that a threshold attains at no more than the named rate of false positives a "
            "case, under stress, minus that without it."
        ),
        source="Chakraborty 2017",
    ),
    "flip_rate": Metric(
        label="Flips",
        definition="Share of cases called another class or grade under stress than without it.",
        source="Hendrycks & Dietterich 2019",
    ),
    "difference_to_pixels": Metric(
        label="Difference to the pixels' score",
        definition=(
            "Mean absolute difference between the score of another patient's pixels under this patient's header and "
            "the clean score of those pixels; 0 where the header plays no part."
        ),
        source="Geirhos et al. 2020",
    ),
    "difference_to_header": Metric(
        label="Difference to the header's score",
        definition="The same to the clean score of the patient whose header it is; 0 where only the header counts.",
        source="Geirhos et al. 2020",
    ),
    "harm_difference": Metric(
        label="Difference of harm",
        definition=(
            "How far scores of a group move to the wrong side under stress, minus how far those of the others do; of "
            "masks, how much Dice they lose."
        ),
        source="Welch 1947",
    ),
    "group_auroc": Metric(
        label="AUROC of a group",
        definition=(
            "Among patients of one class, the chance that one of the group scores higher than one of the others, ties "
            "counted half; 0.5 where the score tells nothing of the group. One number a patient, the mean score."
        ),
        source="Hanley & McNeil 1982; Geirhos et al. 2020",
    ),
}
STRESS_METHODS: Final[Mapping[str, Method]] = {
    "delong-paired": Method(
        definition="DeLong variance of the difference of two AUROCs on the same patients.",
        source="DeLong et al. 1988",
    ),
    "tango": Method(
        definition="Score interval of the difference of two rates of the same cases.", source="Tango 1998"
    ),
    "bootstrap-percentile": Method(
        definition="Percentiles of the mean over resamples of whole patients; the same resamples for every cell.",
        source="Efron & Tibshirani 1993",
    ),
    "welch": Method(
        definition=(
            "Student's t for two means of unequal variance; p-values adjusted by Holm over all groups and tests."
        ),
        source="Welch 1947; Holm 1979",
    ),
    "max-t-stress": Method(
        definition=(
            "p-values of losses beyond their margins, allowing for every metric of every perturbation and severity at "
            "once: the largest of correlated normal statistics, drawn by weights for the patients."
        ),
        source="Hothorn et al. 2008",
    ),
    "max-t-permutation": Method(
        definition=(
            "p-values and chance bands for all groups of all attributes in both classes at once, from scores permuted "
            "among the patients of a class; attributes by Kruskal-Wallis and Holm."
        ),
        source="Westfall & Young 1993; Kruskal & Wallis 1952",
    ),
}
