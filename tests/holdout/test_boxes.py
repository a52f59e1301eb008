"""Boxes as truth: cells of a table, one row a lesion or several boxes in one, and what is refused."""

import pytest

from holdout.boxes import boxes_text, read_boxes, true_boxes
from holdout.errors import MaskError, ReferenceStandardError
from holdout.reference import load
from tests.holdout.test_reference import make_index


def test_rows_and_cells_give_the_same_boxes():
    assert read_boxes("1 2 3.5 4") == ((1, 2, 3.5, 4),)
    assert read_boxes("none") == ()
    one = boxes_text(["1 2 3 4; 5 6 7 8"])
    assert one == boxes_text(["5 6 7 8", "1 2 3 4"])
    assert true_boxes(one) == ((1, 2, 3, 4), (5, 6, 7, 8))
    assert true_boxes(boxes_text(["none"])) == ()


@pytest.mark.parametrize("text", ["1 2 3", "1 2 1 4", "a b c d", "-1 0 1 1", "0 0 inf 1", "0 0 nan 1", ";"])
def test_what_is_no_box_is_refused(text):
    with pytest.raises(ValueError, match=r"box|float"):
        read_boxes(text)


@pytest.mark.parametrize("text", ["", "[]", '{"boxes": [[1, 2, 3]]}', '{"boxes": 1}', '{"runs": [1]}'])
def test_a_label_that_holds_no_boxes(text):
    with pytest.raises(MaskError):
        true_boxes(text)


def declare(folder, table):
    (folder / "boxes.csv").write_text(table)
    (folder / "reference.yaml").write_text(
        "proctor: reference/1\ntable: boxes.csv\nkey: {sop_instance_uid: uid}\n"
        "labels: {lesion: {column: box, boxes: true}}\nmethod: {value: drawn}\n"
    )
    return folder / "reference.yaml"


def test_a_table_with_a_row_for_each_lesion(tmp_path):
    table = "uid,box\n1.1,1 2 3 4\n1.1,5 6 7 8\n1.2,none\n2.1,\n"
    reference = load(declare(tmp_path, table), make_index())
    reference.check()
    found = {uid: truth.labels["lesion"] for uid, truth in reference.by_case.items()}
    assert true_boxes(found["1.1"]) == ((1, 2, 3, 4), (5, 6, 7, 8))
    assert true_boxes(found["1.2"]) == ()
    assert found["2.1"] is None


def test_a_cell_that_is_no_box_is_named_with_its_line(tmp_path):
    with pytest.raises(ReferenceStandardError, match="line 3: box is not boxes"):
        load(declare(tmp_path, "uid,box\n1.1,none\n1.2,7\n"), make_index())
