"""What the metrics and methods of segmentation mean, with their sources."""

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

MASK_METHODS: Final[Mapping[str, Method]] = {
    "median-order-statistics": Method(
        definition="Interval of the median between two order statistics, by the binomial distribution.",
        source="Conover 1999",
    ),
}
