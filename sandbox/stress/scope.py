"""What is out of an algorithm's scope: one way to declare it, for images and for other objects."""

from __future__ import annotations

from sandbox.stress.perturbation import Change, Perturbation, Severity


def out_of_scope(
    name: str,
    severities: tuple[Severity, ...],
    sentence: str,
    source: str,
    function: Change,
    *,
    unit: str = "",
    modalities: frozenset[str] = frozenset(),
) -> Perturbation:
    """A perturbation that an algorithm must refuse or flag: what it gets is not what it is for."""
    return Perturbation(
        name=name,
        family="out of scope",
        modalities=modalities,
        expectation="must refuse",
        kind="file",
        unit=unit,
        severities=severities,
        sentence=sentence,
        source=source,
        function=function,
    )
