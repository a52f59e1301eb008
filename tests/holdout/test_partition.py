import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdout.errors import PartitionError
from holdout.partition import (
    DEVELOPMENT,
    HOLDOUT,
    balance_by,
    partition,
    parts_of_files,
    source_split,
)


def make_index(patients: list[str]) -> pa.Table:
    return pa.table(
        {
            "path": [f"{i}.dcm" for i in range(len(patients))],
            "patient_id": pa.array(patients, type=pa.string()),
            "status": ["ok"] * len(patients),
            "institution_name": ["north" if len(patient) % 2 else "south" for patient in patients],
        }
    )


patient_lists = st.lists(st.text("abcdef", min_size=1, max_size=4), min_size=4, max_size=80).filter(
    lambda names: len(set(names)) >= 4
)


@given(patient_lists, st.floats(0.3, 0.7), st.integers(0, 5), st.randoms())
def test_a_patient_is_never_divided_and_the_order_of_files_does_not_matter(
    patients: list[str], share: float, seed: int, random: object
) -> None:
    index = make_index(patients)
    parts = partition(index, development=share, seed=seed)
    assert sorted(parts.column("patient_id").to_pylist()) == sorted(set(patients))
    assert set(parts.column("part").to_pylist()) == {DEVELOPMENT, HOLDOUT}
    by_file = dict(zip(patients, parts_of_files(index, parts), strict=True))
    assert [by_file[patient] for patient in patients] == parts_of_files(index, parts)
    shuffled = list(patients)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert partition(make_index(shuffled), development=share, seed=seed).equals(parts)


@given(
    st.dictionaries(
        st.text("abcdefgh", min_size=1, max_size=5), st.sampled_from("xyz"), min_size=6, max_size=200
    ),
    st.floats(0.2, 0.8),
    st.integers(0, 3),
)
def test_each_group_is_split_in_the_same_proportion(groups: dict[str, str], share: float, seed: int) -> None:
    parts = partition(make_index(list(groups)), development=share, seed=seed, balance=groups)
    chosen = {
        patient
        for patient, part in zip(
            parts.column("patient_id").to_pylist(), parts.column("part").to_pylist(), strict=True
        )
        if part == DEVELOPMENT
    }
    assert len(chosen) == round(share * len(groups))
    for name in set(groups.values()):
        members = {patient for patient, group in groups.items() if group == name}
        assert abs(len(members & chosen) - share * len(members)) < 1 + 1e-9


def test_balance_by_a_column_of_the_index() -> None:
    index = make_index(["a", "bb", "ccc"])
    assert balance_by(index, column="institution_name") == {"a": "north", "bb": "south", "ccc": "north"}


def test_files_without_patient_take_no_part() -> None:
    index = make_index(["a", "b", "c", "unknown"])
    parts = partition(index, development=0.5, seed=1)
    assert parts.num_rows == 3
    assert parts_of_files(index, parts)[3] == "unknown"


def test_source_split_keeps_the_source_s_leaks_visible() -> None:
    index = make_index(["a", "a", "b"])
    assert source_split(index, ["train", "test", "unknown"], holdout=frozenset({"test"})) == [
        DEVELOPMENT,
        HOLDOUT,
        "unknown",
    ]
    with pytest.raises(PartitionError, match="no file belongs to valid"):
        source_split(index, ["train", "test", "train"], holdout=frozenset({"valid"}))


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_impossible_shares(share: float) -> None:
    with pytest.raises(PartitionError, match="between 0 and 1"):
        partition(make_index(["a", "b"]), development=share, seed=1)


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(PartitionError, match="leave one part empty"):
        partition(make_index(["a", "b"]), development=0.1, seed=1)
