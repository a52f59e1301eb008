"""What the metrics and methods of segmentation and detection mean, with their sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.report.definition import Method, Metric

_FAMILY = "Voxel-border family: border elements are those with a neighbour outside across a face."
MASK_METRICS: Final[Mapping[str, Metric]] = {
    "mean_dice": Metric(
        label="Dice, mean",
        definition="2 x shared / (reference + answered) elements of a case; mean over cases.",
        source="Dice 1945",
    ),
    "median_dice": Metric(
        label="Dice, median",
        definition="Median over cases of the Dice coefficient.",
        source="Dice 1945",
    ),
    "mean_iou": Metric(
        label="IoU, mean",
        definition="Shared elements over the elements in either mask of a case; mean over cases.",
        source="Jaccard 1912",
    ),
    "mean_nsd": Metric(
        label="Normalised surface Dice, mean",
        definition=(
            "Share of both borders' elements that lie within the declared tolerance of the other border; mean over "
            f"cases. {_FAMILY}"
        ),
        source="Nikolov et al. 2021",
    ),
    "mean_hd95": Metric(
        label="HD95, mean",
        definition=(
            "The larger of the two directed 95th percentiles of the distance from one border to the other; mean over "
            f"cases. {_FAMILY}"
        ),
        source="Maier-Hein et al. 2024 (Metrics Reloaded)",
    ),
    "median_hd95": Metric(
        label="HD95, median",
        definition=f"Median over cases of HD95. {_FAMILY}",
        source="Maier-Hein et al. 2024 (Metrics Reloaded)",
    ),
    "mean_assd": Metric(
        label="Average symmetric surface distance, mean",
        definition=(
            f"Mean distance of the elements of both borders to the other border; mean over cases. {_FAMILY}"
        ),
        source="Heimann et al. 2009",
    ),
    "volume_bias": Metric(
        label="Volume bias",
        definition="Mean of answered minus reference volume (area in 2-D), in the power of the distances' unit.",
        source="Bland & Altman 1999",
    ),
    "mean_absolute_volume_error": Metric(
        label="Volume error, absolute, mean",
        definition="Mean size of the difference of answered and reference volume (area in 2-D).",
        source="Willmott & Matsuura 2005",
    ),
    "panoptic_quality": Metric(
        label="Panoptic quality",
        definition=(
            "Sum of the IoU of matched objects / (matches + half of false alarms and misses), over the objects of all "
            "cases; an object is a connected component, and a match has IoU above one half."
        ),
        source="Kirillov et al. 2019",
    ),
    "recognition_quality": Metric(
        label="Recognition quality",
        definition="Matches / (matches + half of false alarms and misses), over the objects of all cases.",
        source="Kirillov et al. 2019",
    ),
}

FINDING_METRICS: Final[Mapping[str, Metric]] = {
    "case_auroc": Metric(
        label="AUROC of cases",
        definition="AUROC of cases with against cases without a lesion, by their highest finding.",
        source="Hanley & McNeil 1982",
    ),
    "wafroc": Metric(
        label="wAFROC area",
        definition=(
            "Probability that a lesion is rated above the highest false positive of a case without lesions, the "
            "lesions of a case weighing 1 together; no mark is below every mark, ties are one half."
        ),
        source="Chakraborty 2017",
    ),
    "afroc": Metric(
        label="AFROC area",
        definition=(
            "Probability that a lesion is rated above the highest false positive of a case without lesions; no mark is "
            "below every mark, ties are one half."
        ),
        source="Chakraborty 2017",
    ),
    "cpm": Metric(
        label="Competition performance metric",
        definition=(
            "Mean share of lesions found at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per case, on straight lines "
            "between the points of the FROC curve."
        ),
        source="Setio et al. 2017 (LUNA16)",
    ),
    "froc_sensitivity": Metric(
        label="Lesions found, per false positives per case",
        definition=(
            "Highest share of lesions found by a threshold with no more than this many false positives per case."
        ),
        source="Bunch et al. 1978",
    ),
    "froc_sensitivity_per_normal": Metric(
        label="Lesions found, per false positives per normal case",
        definition=(
            "Highest share of lesions found by a threshold with no more than this many false positives per case "
            "without a lesion."
        ),
        source="Bunch et al. 1978",
    ),
}

MASK_METHODS: Final[Mapping[str, Method]] = {
    "median-order-statistics": Method(
        definition="Interval of the median between two order statistics, by the binomial distribution.",
        source="Conover 1999",
    ),
}
