"""What an entry of the glossary says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Label of a metric, its definition in one sentence, and where the definition comes from."""

    label: str
    definition: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """Definition of an interval method in one or two sentences, and its source."""

    definition: str
    source: str
