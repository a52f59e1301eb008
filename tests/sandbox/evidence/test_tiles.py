from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdout.merkle import leaf_hash, root
from sandbox.evidence.tiles import TileKey, TileTree, grow, tile_path, width_at
from tests.sandbox.evidence.tree_of_leaves import consistency_proof, inclusion_proof

NOWHERE = Path("/nonexistent")
LEAVES = [leaf_hash(i.to_bytes(4, "big")) for i in range(70_000)]


def build(*steps: int) -> dict[TileKey, bytes]:
    tiles: dict[TileKey, bytes] = {}
    size = 0
    for step in steps:
        tiles.update(grow(TileTree(NOWHERE, size, fresh=tiles), LEAVES[size : size + step]))
        size += step
    return tiles


def test_paths_and_widths_of_the_specification() -> None:
    folder = Path("log")
    assert tile_path(folder, "0", 1234067, 256) == Path("log/tile/0/x001/x234/067")
    assert tile_path(folder, "entries", 0, 112) == Path("log/tile/entries/000.p/112")
    # "a tree of size 70,000 will be represented by 273 full level 0 tiles, one partial level 0 tile of
    # width 112,
    # one full level 1 tile, one partial level 1 tile of width 17, and one partial level 2 tile of width 1"
    assert [width_at(70_000, 0, n) for n in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [width_at(70_000, 1, n) for n in (0, 1)] == [256, 17]
    assert [width_at(70_000, 2, 0), width_at(70_000, 3, 0)] == [1, 0]
    assert [width_at(256, 0, 0), width_at(256, 1, 0)] == [256, 1]


def test_tiles_of_a_tree_of_70_000_leaves() -> None:
    tiles = build(70_000)
    assert {(level, n): len(tile) // 32 for (level, n), tile in tiles.items() if (level, n) != (0, 0)} == {
        (level, n): width_at(70_000, level, n)
        for level, count in ((0, 274), (1, 2), (2, 1))
        for n in range(count)
        if (level, n) != (0, 0)
    }
    tree = TileTree(NOWHERE, 70_000, fresh=tiles)
    assert tree.root() == root(LEAVES)
    for index in (0, 1, 255, 256, 65_535, 65_536, 69_999):
        assert tree.inclusion(index) == inclusion_proof(LEAVES, index)
    for old in (1, 255, 256, 257, 65_536, 69_999, 70_000):
        assert tree.consistency(old) == consistency_proof(LEAVES, old)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), st.data())
def test_any_growth_agrees_with_the_plain_tree(steps: list[int], data: st.DataObject) -> None:
    size = sum(steps)
    tiles, leaves = build(*steps), LEAVES[:size]
    tree = TileTree(NOWHERE, size, fresh=tiles)
    assert tree.root() == root(leaves)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    assert tree.inclusion(index) == inclusion_proof(leaves, index)
    assert tree.consistency(old) == consistency_proof(leaves, old)
    if old:
        assert TileTree(NOWHERE, old, stored=size, fresh=tiles).root() == root(leaves[:old])


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 512, 65_536])
def test_sizes_around_tile_edges(size: int) -> None:
    assert TileTree(NOWHERE, size, fresh=build(size)).root() == root(LEAVES[:size])
