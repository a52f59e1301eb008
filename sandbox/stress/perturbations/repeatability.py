"""The same case run again in other circumstances: answers must be equal, and the largest difference is told."""

from __future__ import annotations

from sandbox.stress.perturbation import Perturbation, Run

_RUNS: tuple[tuple[str, Run, str], ...] = (
    ("same_case_again", "same case again", "The same case a second time in the same container."),
    ("fresh_container", "fresh container", "The same case in a container that was just started."),
    (
        "other_order",
        "other order",
        "The same cases in another order: an answer must not depend on earlier ones.",
    ),
    ("other_batch", "other batch", "The same case among other neighbours, where several are given at once."),
    ("other_thread_count", "other thread count", "The same case with another number of processors."),
)

PERTURBATIONS = tuple(
    Perturbation(
        name=f"repeat_{name}",
        family="repeatability",
        expectation="must not change",
        kind="run",
        unit="",
        severities=(run,),
        sentence=sentence,
        source="Raunig et al., Quantitative imaging biomarkers: a review of statistical methods for technical "
        "performance assessment (repeatability), Stat Methods Med Res 2015",
        function=None,
        run=run,
        in_place=True,
    )
    for name, run, sentence in _RUNS
)
