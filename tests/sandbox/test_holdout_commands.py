"""`proctor holdout` by hand: what it tells, on which stream, and with which exit code."""

import json
import shutil
from contextlib import contextmanager

import pydicom
import pytest

from holdout import synthetic
from sandbox.commands import console
from sandbox.commands.main import main
from sandbox.custody import holdouts
from sandbox.institution.workspace import default_home, open_ledger, open_workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    data = folder / "data"
    synthetic.generate(data, patients=10, seed=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROCTOR_HOME", str(folder / "home"))
        assert main(["-q", "init"]) == 0
    return folder


@pytest.fixture
def data(made, tmp_path, monkeypatch):
    """The data of a workspace of one's own."""
    shutil.copytree(made, tmp_path / "site")
    monkeypatch.setenv("PROCTOR_HOME", str(tmp_path / "site" / "home"))
    return tmp_path / "site" / "data"


@pytest.fixture
def proctor(capsys):
    """Return a function from a command line to (exit code, parsed JSON of stdout or None, stderr)."""

    def call(*words):
        capsys.readouterr()
        code = main(["--json", "-q", *map(str, words)])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return call


def ingest(proctor, data):
    return proctor(
        "holdout", "ingest", data / "dicom", "--name", "cxr", "--reference", data / "reference.yaml"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("holdout", "show", "nope"),
        ("holdout", "lock", "nope"),
        ("holdout", "verify", "nope"),
        ("holdout", "search", "nope"),
        ("holdout", "partition", "../x"),
    ],
)
def test_a_name_that_is_not_there_is_wrong_usage(words, data, proctor):
    code, out, err = proctor(*words)
    assert (code, out) == (2, None)
    assert err.count("\n") == 1


def test_a_lock_tells_rows_and_cases_without_partner(data, proctor):
    table = data / "reference.csv"
    header, first, *rest = table.read_text().splitlines()
    stranger = first.replace(first.split(",")[0], "1.2.3.4")
    table.write_text("\n".join([header, stranger, *rest]) + "\n")
    labelled = next(
        path for path in sorted((data / "dicom").rglob("*.dcm"))
        if pydicom.dcmread(path).SOPInstanceUID != first.split(",")[0]
    )  # fmt: skip
    image = pydicom.dcmread(labelled)
    image.BurnedInAnnotation = "YES"
    image.save_as(labelled)
    assert ingest(proctor, data)[0] == 0
    code, out, _ = proctor("holdout", "lock", "cxr")
    assert code == 0
    assert out["reference"] == {"unmatched_rows": 1, "first_unmatched_lines": [2], "unlabelled_cases": 1}
    assert [item["code"] for item in out["left_out"]] == ["unlabelled"]
    assert any("burned" in sentence.lower() for sentence in out["warnings"])


def test_verify_names_damage_even_when_the_lock_no_longer_opens(data, proctor):
    assert ingest(proctor, data)[0] == 0
    assert proctor("holdout", "lock", "cxr")[0] == 0
    code, out, _ = proctor("holdout", "verify", "cxr")
    assert (code, out["sound"], out["findings"]) == (0, True, [])
    locked = default_home() / "holdouts" / "cxr" / "locked" / "1"
    locked.chmod(0o755)
    cases = locked / "cases.parquet"
    cases.chmod(0o644)
    cases.write_bytes(cases.read_bytes()[:-1] + b"\0")
    first, second, *_ = sorted((data / "dicom").rglob("*.dcm"))
    content = first.read_bytes(), second.read_bytes()
    for path, other in zip((first, second), reversed(content), strict=True):
        path.chmod(0o644)
        path.write_bytes(other)
    code, out, err = proctor("holdout", "verify", "cxr")
    assert code == 3
    assert [finding["kind"] for finding in out["findings"]] == ["altered", "swapped"]
    assert out["findings"][0]["subject"] == "lock/cases.parquet"
    assert err == ""
    with open_ledger(open_workspace(default_home())) as ledger:
        assert [item.detail["held"] for item in ledger.find(kind="holdout-verified")] == [True, False]


def test_what_is_no_list_of_hashes_is_refused(data, proctor):
    assert ingest(proctor, data)[0] == 0
    hashes = data / "hashes.txt"
    hashes.write_bytes(b"\xff\xfe")
    code, _, err = proctor("holdout", "lock", "cxr", "--training-hashes", hashes)
    assert code == 3
    assert "not a SHA-256" in err


def test_the_same_lock_again_is_the_same_version(data, proctor):
    assert ingest(proctor, data)[0] == 0
    first = proctor("holdout", "lock", "cxr")
    assert first[0] == 0
    assert proctor("holdout", "lock", "cxr") == first
    path = next((data / "dicom").rglob("*.dcm")).relative_to(data / "dicom").as_posix()
    code, out, _ = proctor("holdout", "lock", "cxr", "--exclude", f"{path}=phantom")
    assert (code, out["version"], out["left_out"]) == (
        0,
        "2",
        [{"code": "by_path", "reason": "phantom", "files": 1}],
    )


def test_a_lock_killed_before_its_entry_is_adopted_only_by_the_same_request(data, proctor, monkeypatch):
    def killed(*_args, **_kwargs):
        raise KeyboardInterrupt

    assert ingest(proctor, data)[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr(holdouts, "write_lock_notes", killed)
        assert proctor("holdout", "lock", "cxr")[0] == 130
    root = json.loads((default_home() / "holdouts/cxr/locked/1/lock.json").read_bytes())["root"]
    path = next((data / "dicom").rglob("*.dcm")).relative_to(data / "dicom").as_posix()
    home = default_home()
    shutil.copytree(home, home.with_name("other"))
    code, out, _ = proctor("holdout", "lock", "cxr")
    assert (code, out["version"], out["root"]) == (0, "1", root)
    monkeypatch.setenv("PROCTOR_HOME", str(home.with_name("other")))
    code, out, _ = proctor("holdout", "lock", "cxr", "--exclude", f"{path}=phantom")
    assert (code, out["version"]) == (0, "1")
    assert out["left_out"] == [{"code": "by_path", "reason": "phantom", "files": 1}]
    assert out["root"] != root


def test_a_mistake_at_ingest_is_named_and_leaves_the_earlier_draft(data, proctor, tmp_path):
    assert ingest(proctor, data)[0] == 0
    before = proctor("holdout", "show", "cxr")
    wrong = data / "wrong.yaml"
    wrong.write_text((data / "reference.yaml").read_text().replace("column: opacity", "colum: opacity"))
    code, _, err = proctor("holdout", "ingest", data / "dicom", "--name", "cxr", "--reference", wrong)
    assert code == 3
    assert "wrong.yaml:" in err
    assert "did you mean `column`" in err
    (tmp_path / "empty").mkdir()
    code, _, err = proctor("holdout", "ingest", tmp_path / "empty", "--name", "cxr")
    assert (code, "holds no file" in err) == (2, True)
    assert proctor("holdout", "show", "cxr") == before
    assert proctor("holdout", "ingest", tmp_path / "empty", "--name", "mistyped")[0] == 2
    assert [item["name"] for item in proctor("holdout", "show")[1]] == ["cxr"]


def test_a_source_split_that_parts_a_patient_refuses_the_lock(data, proctor):
    rows = [line.split(",") for line in (data / "acquisition.csv").read_text().splitlines()]
    uid, patient = rows[0].index("sop_instance_uid"), rows[0].index("patient_id")
    twice = next(row[patient] for row in rows if sum(row[patient] == other[patient] for other in rows) > 1)
    apart = [row[uid] for row in rows if row[patient] == twice]
    table = ["uid,split", *(f"{row[uid]},{'train' if row[uid] == apart[0] else 'test'}" for row in rows[1:])]
    (data / "split.csv").write_text("\n".join(table) + "\n")
    (data / "split.yaml").write_text(
        "proctor: site/1\ntable: split.csv\nkey: {sop_instance_uid: uid}\ncolumns: {split: split}\n"
    )
    declarations = ("--reference", data / "reference.yaml", "--site", data / "split.yaml")
    assert proctor("holdout", "ingest", data / "dicom", "--name", "cxr", *declarations)[0] == 0
    for wrong in ("split", "nope=test", "=test"):
        assert proctor("holdout", "partition", "cxr", "--by", wrong)[0] == 2
    code, out, _ = proctor("holdout", "partition", "cxr", "--by", "split=test")
    assert (code, out["files"]) == (0, {"development": 1, "holdout": len(rows) - 2})
    code, _, err = proctor("holdout", "lock", "cxr")
    assert code == 3
    assert "one patient stands in development and holdout" in err
    code, out, _ = proctor("holdout", "lock", "cxr", "--exclude", "patient_in_two_parts=split by image")
    assert code == 0
    left_out = {item["code"]: item["files"] for item in out["left_out"]}
    assert left_out == {"another_part": 1, "patient_in_two_parts": len(apart) - 1}


def test_a_refused_lock_tells_every_problem_to_a_machine(data, proctor, capsys):
    paths = sorted((data / "dicom").rglob("*.dcm"))
    for number, path in enumerate(paths[:7]):
        shutil.copyfile(path, path.with_name(f"copy{number}.dcm"))
    assert ingest(proctor, data)[0] == 0
    code, out, err = proctor("holdout", "lock", "cxr")
    assert code == 3
    assert out["locked"] is False
    assert "14 problems, the first 5" in err
    assert out["problem"] in err.replace("\n", " ")
    by_code = {item["code"]: 0 for item in out["problems"]}
    for item in out["problems"]:
        by_code[item["code"]] += 1
        assert len(item["files"]) == 1
    assert by_code == {"repeated_sop_instance_uid": 7, "byte_equal": 7}
    assert main(["-q", "holdout", "lock", "cxr"]) == 3
    assert capsys.readouterr().out == ""
    assert main(["holdout", "lock", "cxr"]) == 3
    assert "All 14 problems, each with its files: proctor --json holdout lock cxr" in capsys.readouterr().err


def test_a_contradicting_reference_standard_tells_every_conflict_to_a_machine(data, proctor):
    table = data / "reference.csv"
    header, *rows = table.read_text().splitlines()
    label = header.split(",").index("opacity")
    for row in rows[:7]:
        values = row.split(",")
        values[label] = {"0": "1", "1": "0"}[values[label]]
        rows.append(",".join(values))
    table.write_text("\n".join([header, *rows]) + "\n")
    assert ingest(proctor, data)[0] == 0
    code, out, err = proctor("holdout", "lock", "cxr")
    assert code == 3
    assert "; and 9 more" in err
    assert [item["code"] for item in out["problems"]] == ["reference_standard"] * 14


def test_a_search_that_cannot_be_meant_is_wrong_usage(data, proctor):
    assert ingest(proctor, data)[0] == 0
    for words in (("shoe_size > 40",), ("true", "--columns", "path,shoe_size"), ("rows >",)):
        code, out, err = proctor("holdout", "search", "cxr", *words)
        assert (code, out) == (2, None)
        assert err.count("\n") == 1
    code, _, err = proctor("holdout", "search", "cxr", "rows = getenv('HOME')")
    assert (code, "not allowed" in err) == (3, True)


def test_each_stage_of_a_lock_counts_its_own_files(data, proctor, monkeypatch):
    stages = {}

    @contextmanager
    def bar(description):
        counts = stages.setdefault(description, [])
        yield lambda done, total: counts.append((done, total))

    assert ingest(proctor, data)[0] == 0
    monkeypatch.setattr(console, "progress", bar)
    files = len(list((data / "dicom").rglob("*.dcm")))
    assert proctor("holdout", "lock", "cxr")[0] == 0
    assert stages["comparing and hashing"] == [(done, files) for done in range(1, files + 1)]
    looked = stages["looking for burned-in text"]
    assert looked == [(done, len(looked)) for done in range(1, len(looked) + 1)]
