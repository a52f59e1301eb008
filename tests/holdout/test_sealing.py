import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdout import sealing
from holdout.errors import SealError

KEY = bytes(range(32))
BINDING = sealing.Binding(name="set", version="1", root="ab" * 32)
truths = st.dictionaries(
    st.text("0123456789abcdef", min_size=4, max_size=6).map("c-".__add__),
    st.fixed_dictionaries(
        {"finding": st.sampled_from(["0", "1", None]), "reference.method": st.text(max_size=90)}
    ),
    min_size=1,
    max_size=8,
)


@given(truths)
@settings(max_examples=30, deadline=None)
def test_round_trip_and_determinism(given_truths: dict[str, dict[str, str | None]]) -> None:
    sealed = sealing.seal(given_truths, KEY, BINDING)
    assert sealed == sealing.seal(dict(reversed(given_truths.items())), KEY, BINDING)
    opened = sealing.unseal(sealed, KEY, BINDING)
    assert opened.truths == given_truths
    assert opened.broken == ()
    committed = sealing.commitments(given_truths, KEY)
    assert sealing.broken_commitments(committed, opened.truths, KEY) == []
    # Lengths tell nothing: every line of a case is as long as any other of its name's length.
    lines = [json.loads(line)["sealed"] for line in sealed.splitlines()[1:]]
    assert len({len(line) for line in lines}) == 1


def make(count: int = 12) -> dict[str, dict[str, str | None]]:
    return {f"c-{i:04x}": {"finding": str(i % 2), "reference.method": "histology"} for i in range(count)}


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    content = bytearray(sealing.seal(make(3), KEY, BINDING))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        opened = sealing.unseal(bytes(content), KEY, BINDING)
    except SealError:
        return
    assert opened.broken
    assert all(make(3)[case_id] == truth for case_id, truth in opened.truths.items())


def test_two_swapped_seals_are_named() -> None:
    lines = sealing.seal(make(), KEY, BINDING).splitlines()
    rows = [json.loads(line) for line in lines]
    rows[3]["sealed"], rows[6]["sealed"] = rows[6]["sealed"], rows[3]["sealed"]
    content = b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows)
    opened = sealing.unseal(content, KEY, BINDING)
    assert opened.broken == (rows[3]["case_id"], rows[6]["case_id"])


def test_commitments_name_what_the_key_holder_changed() -> None:
    committed = sealing.commitments(make(), KEY)
    changed = make()
    changed["c-0002"], changed["c-0005"] = changed["c-0005"], changed["c-0002"]
    del changed["c-0007"]
    changed["c-00ff"] = {"finding": "1", "reference.method": "histology"}
    assert sealing.broken_commitments(committed, changed, KEY) == ["c-0002", "c-0005", "c-0007", "c-00ff"]


@pytest.mark.parametrize(
    "binding",
    [
        sealing.Binding(name="other", version="1", root="ab" * 32),
        sealing.Binding(name="set", version="2", root="ab" * 32),
        sealing.Binding(name="set", version="1", root="cd" * 32),
    ],
)
def test_it_opens_for_its_own_hold_out_only(binding: sealing.Binding) -> None:
    sealed = sealing.seal(make(), KEY, BINDING)
    with pytest.raises(SealError, match="does not open: wrong key, or it belongs to another"):
        sealing.unseal(sealed, KEY, binding)
    with pytest.raises(SealError, match="does not open"):
        sealing.unseal(sealed, b"x" * 32, BINDING)


def test_short_keys_are_refused() -> None:
    with pytest.raises(SealError, match="at least 32"):
        sealing.seal(make(), b"short", BINDING)


def test_a_removed_or_repeated_line_is_noticed() -> None:
    lines = sealing.seal(make(), KEY, BINDING).splitlines(keepends=True)
    with pytest.raises(SealError, match="has 11 cases, its header says 12"):
        sealing.unseal(b"".join([*lines[:4], *lines[5:]]), KEY, BINDING)
    with pytest.raises(SealError, match="altered"):
        sealing.unseal(b"".join([*lines[:4], lines[3], *lines[4:]]), KEY, BINDING)
