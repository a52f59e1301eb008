"""What a container answers, for each kind of task: named numbers, each with a range and a number of levels.

An answer is a closed set of numbers whatever the task, so that one reader checks all answers and the bits that a
container can pass on are counted: log2(levels) for each number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from runners.answers import PLACES, FindingsKind

Finite = Annotated[float, Field(allow_inf_nan=False)]
Level = Annotated[int, Field(ge=2, le=65536)]
ClassName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]{0,63}$")]
"""Name of a class, label or grade: it is a key of the answer and a value, or column, of the reference standard."""
Unit = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9µ%°][A-Za-z0-9µ%°^/*. -]{0,19}$")]

GRADE = "grade"
MASK = "mask"
FINDINGS = "findings"
VALUE = "value"
SCORE = "score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number of an answer.

    ``levels`` evenly spaced values from ``minimum`` to ``maximum`` are kept. A ``whole`` number must be one of
    them exactly; others are rounded to the nearest.
    """

    name: str
    minimum: float
    maximum: float
    levels: int
    whole: bool = False


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScoreOutput(_Part):
    """The one number that a container answers, and how finely it is kept.

    ``levels`` evenly spaced values from ``minimum`` to ``maximum``: answers are rounded to them, which bounds
    the bits that a container can pass on with an answer.
    """

    minimum: Finite = 0.0
    maximum: Finite = 1.0
    levels: Level = 1001

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The answer's numbers."""
        return (Number(name=SCORE, minimum=self.minimum, maximum=self.maximum, levels=self.levels),)


class ClassesOutput(_Part):
    """One number for each class: how much the container holds the case for one of it."""

    names: tuple[ClassName, ...] = Field(min_length=2, max_length=50)
    minimum: Finite = 0.0
    maximum: Finite = 1.0
    levels: Level = 1001

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The answer's numbers, in the order of the classes."""
        return tuple(
            Number(name=name, minimum=self.minimum, maximum=self.maximum, levels=self.levels)
            for name in self.names
        )


class GradesOutput(_Part):
    """A grade: the index of one of ``names``, from 0, lowest first.

    ``probability_levels`` asks for a probability of each grade besides, under the grade's name.
    """

    names: tuple[ClassName, ...] = Field(min_length=2, max_length=20)
    probability_levels: Level | None = None

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The answer's numbers: the grade, then the probability of each grade where asked for."""
        count = len(self.names)
        grade = Number(name=GRADE, minimum=0.0, maximum=count - 1.0, levels=count, whole=True)
        if self.probability_levels is None:
            return (grade,)
        return (
            grade,
            *(
                Number(name=name, minimum=0.0, maximum=1.0, levels=self.probability_levels)
                for name in self.names
            ),
        )


class ValueOutput(_Part):
    """A measured value in ``unit``; the range must hold every value of the reference standard."""

    minimum: Finite
    maximum: Finite
    levels: Level
    unit: Unit

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The answer's numbers."""
        return (Number(name=VALUE, minimum=self.minimum, maximum=self.maximum, levels=self.levels),)


class MaskOutput(_Part):
    """A mask on the grid of the case's image, as run lengths; ``runs`` is how many of them it may have.

    It is kept as it was answered: a mask is whole numbers already, and rounding would move its border. A mask that a
    container leaves as a file may lie on another grid; ``on_mismatch`` says whether it is then refused, or put on the
    image's grid (each element of the image takes the nearest element of the mask).
    """

    runs: int = Field(default=8192, ge=2, le=1_000_000)
    on_mismatch: Literal["refuse", "resample"] = "refuse"

    @property
    def numbers(self) -> tuple[Number, ...]:
        """None: an answer is not a closed set of numbers."""
        return ()

    @property
    def line_bytes(self) -> int:
        """Bytes that one line with such an answer may take."""
        return 1024 + 12 * self.runs

    @property
    def request(self) -> dict[str, dict[str, int | str]]:
        """The part of the task that tells a container, and the reader of its answers, what is asked."""
        mismatch = {} if self.on_mismatch == "refuse" else {"on_mismatch": self.on_mismatch}
        return {MASK: {"runs": self.runs, **mismatch}}


class FindingsOutput(_Part):
    """A list of findings, each with a score; ``most`` is how many there may be.

    ``form`` says what they are: boxes in the (first) image, in pixels, or points or boxes in a volume, in the patient's
    coordinates (LPS, mm). Scores are kept as ``levels`` evenly spaced values, places to an eighth of a pixel or to a
    sixteenth of a millimetre.
    """

    form: FindingsKind = "boxes_in_image"
    most: int = Field(default=100, ge=1, le=10_000)
    minimum: Finite = 0.0
    maximum: Finite = 1.0
    levels: Level = 1001

    @property
    def numbers(self) -> tuple[Number, ...]:
        """None: an answer is not a closed set of numbers."""
        return ()

    @property
    def in_volume(self) -> bool:
        """Whether findings lie in the patient's coordinates."""
        return self.form != "boxes_in_image"

    @property
    def unit(self) -> str:
        """Unit of places and distances."""
        return "mm" if self.in_volume else "pixels"

    @property
    def parts(self) -> int:
        """Parts of a pixel, or of a millimetre, to which places are kept."""
        return 16 if self.in_volume else 8

    @property
    def numbers_each(self) -> int:
        """Numbers of a finding: its place, then its score."""
        return PLACES[self.form][1] + 1

    @property
    def score(self) -> Number:
        """The score of each finding."""
        return Number(name=SCORE, minimum=self.minimum, maximum=self.maximum, levels=self.levels)

    @property
    def line_bytes(self) -> int:
        """Bytes that one line with such an answer may take."""
        return 1024 + 32 * max(4, self.numbers_each - 1) * self.most

    @property
    def request(self) -> dict[str, dict[str, float | str]]:
        """The part of the task that tells a container, and the reader of its answers, what is asked."""
        form = {"form": self.form} if self.in_volume else {}
        return {FINDINGS: {"most": self.most, "minimum": self.minimum, "maximum": self.maximum, **form}}
