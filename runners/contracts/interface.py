"""What every contract offers to the one loop that puts cases to containers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runners.contracts.answer_location import AnswerLocation
from runners.contracts.image_reader import ImageReader
from runners.engine import Engine
from runners.limits import Limits
from runners.posture import Posture
from runners.worker import CaseInput, CaseOutcome, SessionEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDeclaration:
    """What an image says of its own contract: labels, and manifests (text by path) found in its layers."""

    labels: Mapping[str, str] = field(default_factory=dict)
    manifests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRun:
    """One run of one image under a contract.

    Attributes:
        image: image id.
        input_root: an empty folder on the file system of the staged cases; it is emptied again.
        task: as for the worker contract; ``output`` says which numbers an answer holds, and their ranges.
        settings: what the contract's ``declare`` returned at admission.
        answer: where the answer is in the output; None for contracts that need no such rule.
        user: numeric ``uid:gid`` found at admission.
        reader: reads staged cases, for contracts that ask for more than DICOM files under the host's names.
        attachments: what was handed in beside the image, by name (:mod:`runners.attachments`).
    """

    engine: Engine
    image: str
    posture: Posture
    limits: Limits
    input_root: Path
    task: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    answer: AnswerLocation | None = None
    user: str | None = None
    on_event: Callable[[SessionEvent], None] = lambda _event: None
    reader: ImageReader | None = None
    attachments: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A contract, and what it lets the host tell apart.

    Attributes:
        declare: from the image's own declaration and the contract file (None: not given) to the settings of
            its runs, plain JSON. Raises ContractRefused.
        run: puts cases to containers, as :func:`runners.worker.run_cases` does.
        default_answer: where the answer is unless the submission says otherwise; None: it must say.
        whole_set: tells from the settings whether one container gets all cases at once.
        needs: tells from the settings which attachments it cannot do without.
        takes: attachments that it can have besides.
    """

    name: str
    declare: Callable[[ImageDeclaration, Mapping[str, Any] | None], dict[str, Any]]
    run: Callable[[ContractRun, Iterable[CaseInput]], Generator[CaseOutcome, None, None]]
    default_answer: str | None
    needs_answer: bool
    whole_set: Callable[[Mapping[str, Any]], bool] = lambda _settings: False
    needs: Callable[[Mapping[str, Any]], frozenset[str]] = lambda _settings: frozenset()
    takes: frozenset[str] = frozenset()
