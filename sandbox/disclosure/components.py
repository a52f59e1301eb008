"""Cells that constraints link, directly or through others; cells that nothing links are independent questions."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.disclosure.fields import Constraint


def components(
    constraints: Sequence[Constraint], cells: Sequence[str]
) -> list[tuple[list[str], list[Constraint]]]:
    """Split ``constraints`` into groups that share no cell.

    Args:
        constraints: any.
        cells: cells to be listed even when no constraint names them.

    Returns:
        For each group its cells in the order in which they occur, and its constraints.
    """
    parent: dict[str, str] = {}

    def root(cell: str) -> str:
        parent.setdefault(cell, cell)
        while parent[cell] != cell:
            parent[cell] = parent[parent[cell]]
            cell = parent[cell]
        return cell

    for found in constraints:
        first = root(found.terms[0].cell) if found.terms else ""
        for term in found.terms[1:]:
            parent[root(term.cell)] = first = root(first)
    for cell in cells:
        root(cell)
    groups: dict[str, tuple[list[str], list[Constraint]]] = {}
    for cell in list(parent):
        groups.setdefault(root(cell), ([], []))[0].append(cell)
    for found in constraints:
        if found.terms:
            groups[root(found.terms[0].cell)][1].append(found)
    return list(groups.values())
