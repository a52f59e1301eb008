"""How much may be lost under stress, by the kind of task: the margins of a protocol's section ``stress``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_serializer

from sandbox.plan.metric_catalogue import TaskKind

_Margin = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class StressMargins(BaseModel):
    """How much may be lost; what is not given, and has no default for the kind of task, is not judged.

    Of a score: ``auroc``, ``sensitivity``, ``specificity``, and how far the ``score`` may move, a share of its range
    (of other numbers, how far the answer may). Of a mask: the mean ``dice``, and ``nsd`` where it is given. Of a list
    of findings: the ``wafroc`` area, or ``froc_sensitivity`` at each declared rate of false positives, or both, and how
    far a ``score`` may move.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    auroc: _Margin | None = None
    sensitivity: _Margin | None = None
    specificity: _Margin | None = None
    score: _Margin | None = None
    dice: _Margin | None = None
    nsd: _Margin | None = None
    wafroc: _Margin | None = None
    froc_sensitivity: _Margin | None = None

    @model_serializer
    def _document(self) -> dict[str, Any]:
        # A margin that a later version added changes no digest.
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}

    @property
    def named(self) -> dict[str, float]:
        """The margins that there are, by name."""
        return {name: float(value) for name, value in self._document().items()}


_OF_NUMBERS: Final = {"auroc": 0.05, "sensitivity": 0.1, "specificity": 0.1, "score": 0.1}
_DEFAULTS: Final[Mapping[TaskKind, Mapping[str, float]]] = {
    "segmentation": {"dice": 0.05},
    "detection": {"wafroc": 0.05, "score": 0.1},
}
_MORE: Final[Mapping[TaskKind, tuple[str, ...]]] = {
    "segmentation": ("nsd",),
    "detection": ("froc_sensitivity",),
}


def margins_for(kind: TaskKind, given: StressMargins) -> StressMargins:
    """The margins as given, the defaults of the kind of task filled in."""
    filled = {**_DEFAULTS.get(kind, _OF_NUMBERS), **given.named}
    if given.froc_sensitivity is not None and given.wafroc is None:
        # A hold-out of which every case has a lesion has no wAFROC area to judge.
        filled.pop("wafroc", None)
    return StressMargins.model_validate(filled)


def strange_margins(kind: TaskKind, given: StressMargins) -> tuple[str, ...]:
    """Margins that mean nothing for the kind of task."""
    known = {*_DEFAULTS.get(kind, _OF_NUMBERS), *_MORE.get(kind, ())}
    return tuple(name for name in given.named if name not in known)
