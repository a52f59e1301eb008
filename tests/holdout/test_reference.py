from pathlib import Path

import pyarrow as pa
import pytest

from holdout.errors import LockRefusedError, ReferenceStandardError
from holdout.reference import load
from holdout.site_table import load_site_table

COLUMNS = (
    "path",
    "sop_instance_uid",
    "series_instance_uid",
    "study_instance_uid",
    "patient_id",
    "accession_number",
)
FILES = (
    ("a/1.dcm", "1.1", "1.5", "1.9", "P1", "A1"),
    ("a/2.dcm", "1.2", "1.5", "1.9", "P1", "A1"),
    ("b/1.dcm", "2.1", "2.5", "2.9", "P2", "A1"),
    ("b/3.dcm", "3.1", "3.5", "3.9", "P2", "unknown"),
)


def make_index(files: tuple[tuple[str, ...], ...] = FILES) -> pa.Table:
    columns = {name: [file[i] for file in files] for i, name in enumerate(COLUMNS)}
    return pa.table(columns | {"status": ["ok"] * len(files)})


def declare(
    folder: Path, key: str, table: str, *, label: str = "{column: truth, positive: [yes], negative: ['no']}"
) -> Path:
    (folder / "reference.csv").write_text(table)
    path = folder / "reference.yaml"
    path.write_text(
        f"proctor: reference/1\ntable: reference.csv\nkey: {key}\nlabels:\n  finding: {label}\n"
        "method: {value: consensus}\nreaders: who\n"
    )
    return path


@pytest.mark.parametrize(
    ("key", "rows", "unit", "expected"),
    [
        (
            "{sop_instance_uid: k}",
            "k,truth,who\n1.1,yes,x\n2.1,no,y\n",
            "image",
            {"1.1": "1", "1.2": None, "2.1": "0"},
        ),
        (
            "{series_instance_uid: k}",
            "k,truth,who\n1.5,yes,x\n",
            "image",
            {"1.1": "1", "1.2": "1", "2.1": None},
        ),
        (
            "{study_instance_uid: k}",
            "k,truth,who\n1.9,no,x\n",
            "study",
            {"1.9": "0", "2.9": None, "3.9": None},
        ),
        (
            "{patient_id: p, accession_number: a}",
            "p,a,truth,who\nP2,A1,yes,x\n",
            "study",
            {"2.9": "1", "1.9": None},
        ),
        (
            "{file: f}",
            "f,truth,who\na/1.dcm,yes,x\n3.dcm,no,x\n",
            "image",
            {"1.1": "1", "3.1": "0", "2.1": None},
        ),
        ("{patient_id: p}", "p,truth,who\nP2,yes,x\n", "series", {"2.5": "1", "3.5": "1", "1.5": None}),
    ],
)
def test_keys(key: str, rows: str, unit: str, expected: dict[str, str | None], tmp_path: Path) -> None:
    standard = load(declare(tmp_path, key, rows), make_index(), unit=unit)  # type: ignore[arg-type]
    standard.check()
    for uid, value in expected.items():
        assert standard.by_case[uid].labels["finding"] == value
    labelled = {uid for uid, truth in standard.by_case.items() if truth.labels["finding"] is not None}
    assert set(standard.unlabelled) == set(standard.by_case) - labelled
    assert all(standard.by_case[uid].method == "consensus" for uid in labelled)


def test_unmatched_and_readers(tmp_path: Path) -> None:
    table = "k,truth,who\n1.1,yes,anne\n1.2,yes,bert\n9.9,no,x\n"
    standard = load(declare(tmp_path, "{sop_instance_uid: k}", table), make_index(), unit="study")
    assert standard.unmatched == (4,)
    assert standard.by_case["1.9"].readers == "anne+bert"
    assert standard.counts("finding") == {"1": 1, "unlabelled": 2}


def test_duplicates_and_conflicts_are_named(tmp_path: Path) -> None:
    table = "k,truth,who\n1.1,yes,x\n1.2,no,x\n2.1,no,x\n2.1,no,x\n"
    standard = load(declare(tmp_path, "{sop_instance_uid: k}", table), make_index(), unit="study")
    assert standard.duplicates == ("reference.csv lines 4, 5: the same key",)
    assert standard.conflicts == ("reference.csv lines 2, 3: finding contradicts itself within one study",)
    with pytest.raises(ReferenceStandardError, match="lines 4, 5: the same key"):
        standard.check()


def test_a_file_name_that_two_files_have(tmp_path: Path) -> None:
    standard = load(declare(tmp_path, "{file: k}", "k,truth,who\n1.dcm,yes,x\n"), make_index())
    with pytest.raises(ReferenceStandardError, match=r"line 2: several files have this name; give the path"):
        standard.check()


def test_files_that_are_not_usable_take_no_part(tmp_path: Path) -> None:
    index = make_index((*FILES, ("c.dcm", "unknown", "unknown", "unknown", "unknown", "unknown")))
    standard = load(declare(tmp_path, "{sop_instance_uid: k}", "k,truth,who\nunknown,yes,x\n"), index)
    assert set(standard.by_case) == {"1.1", "1.2", "2.1", "3.1"}
    assert standard.unmatched == (2,)


@pytest.mark.parametrize(
    ("key", "table", "label", "message"),
    [
        (
            "{sop_instance_uid: k}",
            "k,truth,who\n1.1,maybe,x\n",
            None,
            r"line 2: truth is neither positive nor negative",
        ),
        ("{sop_instance_uid: k}", "k,truth\n1.1,yes\n", None, r"has no column who \(it has: k, truth\)"),
        ("{sop_instance_uid: k}", "k,truth,who\n1.1,yes\n", None, r"line 2 has 2 cells, the header 3"),
        ("{sop_instance_uid: k, file: f}", "k,truth,who\n", None, r"yaml:3: key: give exactly one of"),
        ("{accession_number: k}", "k,truth,who\n", None, r"yaml:3: key"),
        (
            "{file: k}",
            "k,truth,who\n",
            "{column: truth, positive: [yes]}",
            r"yaml:5: labels.finding: .*neither",
        ),
        ("{file: k}", "k,k,truth,who\n", None, r"a column name stands twice"),
    ],
)
def test_bad_declarations_and_tables(
    key: str, table: str, label: str | None, message: str, tmp_path: Path
) -> None:
    path = declare(tmp_path, key, table, **({"label": label} if label else {}))
    with pytest.raises(ReferenceStandardError, match=message):
        load(path, make_index())


def test_text_labels_are_kept(tmp_path: Path) -> None:
    path = declare(tmp_path, "{file: k}", "k,truth,who\n3.dcm,melanoma,x\n", label="{column: truth}")
    standard = load(path, make_index())
    assert standard.binary == ()
    assert standard.by_case["3.1"].labels["finding"] == "melanoma"


def test_site_tables(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(
        "proctor: site/1\ntable: site.csv\nkey: {patient_id: p}\ncolumns: {ward: w}\n"
    )
    (tmp_path / "site.csv").write_text("p,w\nP1,north\n")
    assert load_site_table(tmp_path / "site.yaml", make_index()) == {
        "ward": ["north", "north", "unknown", "unknown"]
    }
    (tmp_path / "site.csv").write_text("p,w\nP1,north\nP1,south\n")
    with pytest.raises(LockRefusedError, match="lines 2, 3: the same key with other values"):
        load_site_table(tmp_path / "site.yaml", make_index())


def test_a_misspelt_key_of_a_label_is_named_with_the_right_one(tmp_path: Path) -> None:
    path = declare(tmp_path, "{sop_instance_uid: k}", "k,truth,who\n")
    path.write_text(path.read_text().replace("column: truth", "colum: truth"))
    with pytest.raises(ReferenceStandardError, match=r"colum: unknown key; did you mean `column`\?"):
        load(path, make_index())


@pytest.mark.parametrize(
    ("label", "truth", "message"),
    [
        ("{column: truth, values: [nv, mel]}", "bkl", "line 2: truth is none of the declared values"),
        ("{column: truth, number: true}", "12 mm", "line 2: truth is not a number"),
        ("{column: truth, number: true}", "nan", "line 2: truth is not a number"),
        ("{column: truth, number: true, values: [a]}", "1", "give one of these"),
        ("{column: truth, values: [a], unlabelled: [a]}", "a", "cannot mean two things"),
    ],
)
def test_classes_and_numbers_are_held_against_their_declaration(
    tmp_path: Path, label: str, truth: str, message: str
) -> None:
    table = f"k,truth,who\n1.1,{truth},r1\n"
    path = declare(tmp_path, "{sop_instance_uid: k}", table, label=label)
    with pytest.raises(ReferenceStandardError, match=message):
        load(path, make_index())


def test_a_class_and_a_number_are_kept_as_text(tmp_path: Path) -> None:
    table = "k,truth,who\n1.1,12.5,r1\n"
    path = declare(tmp_path, "{sop_instance_uid: k}", table, label="{column: truth, number: true}")
    assert load(path, make_index()).by_case["1.1"].labels == {"finding": "12.5"}
