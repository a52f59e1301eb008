"""What a contract makes of mask files and annotations before and after the host's reader sees them."""

import json

import pytest

from runners.answers import FindingsForm, MaskForm, NumberRange
from runners.cases import CaseInput
from runners.contracts.answer_location import parse_location
from runners.contracts.collected_answer import collected_answer
from runners.contracts.staged_case import staged_case
from runners.failures import CaseFailed, FailureCode

MASK = {"mask": MaskForm(runs=100)}
FOUND = {"findings": FindingsForm(most=3, minimum=0, maximum=1)}


class Reader:
    """Pixels of half a millimetre; a mask is what its file says."""

    def __init__(self, grid="a grid"):
        self.given = grid
        self.asked = []

    def grid(self, case):
        if isinstance(self.given, CaseFailed):
            raise self.given
        return self.given

    def mask(self, content, grid, **asked):
        self.asked.append((content, grid is self.given, asked))
        return (2, 1, 4, 4)

    def pixels(self, grid, points):
        return [(x * 2, y * 2) for x, y, _ in points]


def read(folder, place, ranges, reader):
    location = parse_location(place)
    case = CaseInput(case="c1", directory=folder, files=("a.dcm",))
    return collected_answer(folder, location, staged_case(reader, case, location, ranges), ranges)


def code(*arguments):
    with pytest.raises(CaseFailed) as failed:
        read(*arguments)
    return failed.value.code


def test_the_bytes_of_the_one_file_go_to_the_reader_with_the_grid(tmp_path):
    folder = tmp_path / "images" / "lesion"
    folder.mkdir(parents=True)
    (folder / "0b1e.mha").write_bytes(b"pixels")
    (folder / "notes.txt").write_bytes(b"")
    reader = Reader()
    answer = read(tmp_path, "images/lesion/*.mha", MASK, reader)
    assert answer.values == {"mask": (2, 1, 4, 4)}
    assert reader.asked == [(b"pixels", True, {"value": None, "resample": False, "runs": 100})]
    (folder / "second.mha").write_bytes(b"")
    assert code(tmp_path, "images/lesion/*.mha", MASK, reader) is FailureCode.OUTPUT_REFUSED
    assert code(tmp_path, "images/other/*.mha", MASK, reader) is FailureCode.OUTPUT_MISSING
    assert code(tmp_path, "images/lesion/*.nii", MASK, reader) is FailureCode.OUTPUT_MISSING
    assert code(tmp_path, "mask.nii.gz", MASK, reader) is FailureCode.OUTPUT_MISSING


def test_links_are_refused_before_anything_is_read(tmp_path):
    (tmp_path / "real.bin").write_bytes(b"secret")
    (tmp_path / "images").symlink_to("/etc")
    (tmp_path / "mask.nii").symlink_to("real.bin")
    reader = Reader()
    for place in ("mask.nii", "images/*.mha", "*.nii"):
        assert code(tmp_path, place, MASK, reader) is FailureCode.OUTPUT_REFUSED
    assert reader.asked == []


def test_a_mask_for_a_task_of_numbers_and_images_without_a_grid(tmp_path):
    (tmp_path / "mask.nii").write_bytes(b"")
    assert (
        code(tmp_path, "mask.nii", {"score": NumberRange(minimum=0, maximum=1)}, Reader())
        is FailureCode.GARBAGE
    )
    failed = Reader(CaseFailed(FailureCode.STAGING_FAILED, "two sizes"))
    assert code(tmp_path, "mask.nii", MASK, failed) is FailureCode.STAGING_FAILED
    assert code(tmp_path, "mask.nii", MASK, None) is FailureCode.STAGING_FAILED


def annotation(kind, listed):
    return json.dumps({"type": kind, "version": {"major": 1, "minor": 0}, **listed})


def test_bounding_boxes_and_points_of_the_platform(tmp_path):
    corners = [[1, 2, 0], [4, 2, 0], [4, 6, 0], [1, 6, 0]]
    boxes = {"boxes": [{"name": "nodule", "corners": corners, "probability": 0.75}]}
    (tmp_path / "a.json").write_text(annotation("Multiple 2D bounding boxes", boxes))
    found = read(tmp_path, "a.json", FOUND, Reader()).values["findings"]
    assert found == (2.5, 4.5, 8.5, 12.5, 0.75)
    points = {"points": [{"point": [3, 4, 0], "probability": 1}, {"point": [0, -0.2, 9], "probability": 0.5}]}
    (tmp_path / "a.json").write_text(annotation("Multiple points", points))
    found = read(tmp_path, "a.json", FOUND, Reader()).values["findings"]
    assert found == (6, 8, 7, 9, 1, 0, 0, 1, pytest.approx(0.6), 0.5)
    (tmp_path / "a.json").write_text(annotation("Multiple points", {"points": []}))
    assert read(tmp_path, "a.json", FOUND, Reader()).values == {"findings": ()}


def test_points_of_the_platform_in_a_volume_stay_as_they_are(tmp_path):
    points = {
        "points": [{"point": [-3, 4, 700.5], "probability": 1}, {"point": [0, 1, 2], "probability": 0.5}]
    }
    (tmp_path / "a.json").write_text(annotation("Multiple points", points))
    wanted = {"findings": FindingsForm(most=3, minimum=0, maximum=1, form="points_in_volume")}
    # The slices need no common grid: the places are the patient's.
    reader = Reader(CaseFailed(FailureCode.STAGING_FAILED, "two sizes"))
    assert read(tmp_path, "a.json", wanted, reader).values["findings"] == (-3, 4, 700.5, 1, 0, 1, 2, 0.5)
    boxes = {"findings": FindingsForm(most=3, minimum=0, maximum=1, form="boxes_in_volume")}
    assert code(tmp_path, "a.json", boxes, reader) is FailureCode.GARBAGE
    corners = {"boxes": [{"corners": [[1, 2, 0], [4, 2, 0], [4, 6, 0], [1, 6, 0]], "probability": 1}]}
    (tmp_path / "a.json").write_text(annotation("Multiple 2D bounding boxes", corners))
    assert code(tmp_path, "a.json", wanted, reader) is FailureCode.GARBAGE


@pytest.mark.parametrize(
    "text",
    [
        annotation("Multiple points", {}),
        annotation("Multiple points", {"points": [{"point": [1, 2]}]}),
        annotation("Multiple points", {"points": [{"point": [1, 2, 3]}]}),
        annotation("Multiple points", {"points": [{"point": [1, 2, True], "probability": 1}]}),
        annotation("Multiple 2D bounding boxes", {"boxes": [{"corners": [[1, 2, 3]], "probability": 1}]}),
        annotation("Multiple 2D bounding boxes", {"boxes": ["box"]}),
        annotation("Multiple 2D bounding boxes", {"boxes": [{"corners": 7, "probability": 1}]}),
        '{"type": "Multiple points", "points": [{"point": [1, 2, 3], "probability": NaN}]}',
        '{"type": "Multiple lines", "lines": []}',
    ],
)
def test_annotations_that_are_garbage(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    assert code(tmp_path, "a.json", FOUND, Reader()) is FailureCode.GARBAGE
