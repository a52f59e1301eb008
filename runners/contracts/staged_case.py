"""What is kept of a staged case until its answer is read: where the elements of its images lie.

A mask in a file, or a finding in millimetres that is meant in pixels, means nothing without the grid of the images. The
grid is read before the case's files are moved to where the container sees them; contracts do not look into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runners.answers import FindingsForm, Form, MaskForm
from runners.cases import CaseInput
from runners.contracts.answer_location import AnswerLocation
from runners.contracts.image_reader import ImageReader
from runners.failures import CaseFailed, FailureCode


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedCase:
    """A case's name, and the grid of its images where the form of the answer may need it.

    ``grid`` is the failure in its place when the images have none.
    """

    case: str
    reader: ImageReader | None = None
    grid: object | CaseFailed | None = None

    def placed(self) -> tuple[ImageReader, object]:
        """The reader and the grid.

        Raises:
            CaseFailed: STAGING_FAILED, the images have no common grid, or nothing reads them.
        """
        if isinstance(self.grid, CaseFailed):
            raise self.grid
        if self.reader is None or self.grid is None:
            raise CaseFailed(FailureCode.STAGING_FAILED, "the grid of the case's images is not known")
        return self.reader, self.grid


def staged_case(
    reader: ImageReader | None, case: CaseInput, location: AnswerLocation, ranges: Mapping[str, Form]
) -> StagedCase:
    """Keep what reading the answer to ``case`` will need; its files must still lie in its folder."""
    forms = ranges.values()
    masks = location.is_mask and any(isinstance(form, MaskForm) for form in forms)
    # Findings in a volume are in the patient's coordinates already.
    findings = any(isinstance(form, FindingsForm) and not form.in_volume for form in forms)
    if reader is None or not (masks or findings):
        return StagedCase(case=case.case)
    try:
        return StagedCase(case=case.case, reader=reader, grid=reader.grid(case))
    except CaseFailed as failure:
        return StagedCase(case=case.case, reader=reader, grid=failure)
