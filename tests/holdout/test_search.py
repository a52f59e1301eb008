"""Filters over an index: what is found, and that the user's text reaches nothing but the rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from holdout.attributes import row_columns
from holdout.errors import HoldoutIndexError, SearchError
from holdout.headers import defect_row
from holdout.index import read_index, table_of, write_index
from holdout.search import search, search_table


def row(path: str, **values: object) -> list[object]:
    named = dict(zip(row_columns(), defect_row(path, 1, "ok", ""), strict=True)) | {"defect": None} | values
    return [named[column] for column in row_columns()]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "index.parquet"
    rows = [
        row("a", modality="DX", patient_age_years=61.0, rows=512, manufacturer="Synthetic A"),
        row("b", modality="DX", patient_age_years=60.0, rows=256, manufacturer="Synthetic B"),
        row("c", modality="CT", patient_age_years=None, rows=512, study_date="2020-01-31"),
    ]
    write_index(rows, path)
    return path


@pytest.mark.parametrize(
    ("where", "paths"),
    [
        ("modality = 'DX' and patient_age_years > 60", "a"),
        ("", "abc"),
        ("modality in ('DX', 'MR') and not rows = 256", "a"),
        ("patient_age_years is null", "c"),
        ("patient_age_years between 60 and 60.5", "b"),
        ("manufacturer ilike '%synthetic%' -- both", "ab"),
        ("study_date >= '2019-12-31' and study_date < 'a'", "c"),
        ("instances.modality = 'CT' or path = 'a'", "ac"),
        ("case when rows > 300 then modality = 'DX' else false end", "a"),
        ("cast(rows as varchar) like '2%'", "b"),
        ("lower(modality) = 'ct' and abs(-rows) = 512", "c"),
        ("path = 'read_text(''/etc/passwd'')'", ""),
    ],
)
def test_filters(index: Path, where: str, paths: str) -> None:
    assert "".join(search(index, where, columns=["path"])["path"].to_pylist()) == paths


@pytest.mark.parametrize(
    "where",
    [
        "read_text('/etc/passwd') <> ''",
        "exists (select * from read_csv('/etc/passwd'))",
        "(select count(*) from '/etc/passwd') > 0",
        "rows in (select 1)",
        "1=1) union select * from (select 1",
        "1=1); attach '/tmp/x.db'; --",
        "1=1); copy instances to '/tmp/x'; select (1",
        "getenv('HOME') = 'x'",
        "current_setting('threads') = 'x'",
        "count(*) > 1",
        "row_number() over () = 1",
        "unnest([1]) = 1",
        "repeat('a', 1000000000) = ''",
        "columns(*) = 1",
        "modality = $1",
        "main.lower(modality) = 'ct'",
        "no_such_column = 1",
        "modality = 'DX' limit 1",
        "modality = 'unterminated",
        "/* open",
        "1=1 or " * 1000 + "1=1",
        "modality",
    ],
)
def test_anything_but_a_filter_is_refused(index: Path, where: str) -> None:
    with pytest.raises(SearchError):
        search(index, where)
    assert not Path("/tmp/x").exists()
    assert not Path("/tmp/x.db").exists()


def test_limits_and_columns_are_checked(index: Path) -> None:
    assert search(index, limit=2).num_rows == 2
    with pytest.raises(SearchError, match="no column"):
        search(index, columns=['path" from instances; --'])
    with pytest.raises(SearchError, match="between 1"):
        search(index, limit=0)


def test_any_table_can_be_searched() -> None:
    table = pa.table({"site.ward": ["x", "y"], "n": [1, 2]})
    assert search_table(table, "\"site.ward\" = 'y'")["n"].to_pylist() == [2]


def test_an_index_that_is_none_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(HoldoutIndexError, match="no index at"):
        read_index(tmp_path / "none.parquet")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and nothing")
    with pytest.raises(HoldoutIndexError, match="not a readable index"):
        read_index(broken)
    foreign = tmp_path / "foreign.parquet"
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), foreign)
    with pytest.raises(HoldoutIndexError, match="version"):
        search(foreign)


def test_an_index_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "index.parquet"
    write_index([row("a")], path)
    before = path.read_bytes()

    def broken_rows() -> object:
        yield row("b")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_index(broken_rows(), path)  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["index.parquet"]
    assert table_of([]).num_rows == 0
