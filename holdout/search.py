"""Search an index by a filter such as ``modality = 'DX' and patient_age_years > 60``, with DuckDB.

The filter is the user's text, and DuckDB's SQL can read files, write files and load code. So it is parsed
first: only an expression over the index's columns with known operators and functions goes on; no subquery, no
table function. And it runs where it could do no harm: an in-memory database with external access off and its
configuration locked, over a table handed in by memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from holdout.attributes import row_columns
from holdout.errors import FilterError, SearchError
from holdout.index import read_index

LONGEST_FILTER = 4000
DEFAULT_LIMIT = 1000
LARGEST_LIMIT = 1_000_000
MEMORY = "1GB"

_OPERATORS = frozenset({"+", "-", "*", "/", "%", "||", "~~", "!~~", "~~*", "!~~*", "~~~", "list_value"})
_LIKE = frozenset({"like_escape", "not_like_escape", "ilike_escape", "not_ilike_escape"})
_TEXT = frozenset(
    {"lower", "upper", "trim", "ltrim", "rtrim", "length", "substr", "substring", "left", "right"}
)
_MATCHING = frozenset({"contains", "starts_with", "ends_with", "regexp_matches", "regexp_full_match"})
_NUMBERS = frozenset(
    {"abs", "round", "floor", "ceil", "year", "month", "day", "ifnull", "nullif", "coalesce"}
)
_FUNCTIONS = _OPERATORS | _LIKE | _TEXT | _MATCHING | _NUMBERS
_NODE_CLASSES = frozenset(
    {
        "COLUMN_REF",
        "CONSTANT",
        "COMPARISON",
        "CONJUNCTION",
        "OPERATOR",
        "BETWEEN",
        "FUNCTION",
        "CAST",
        "CASE",
        "TYPE",
    }
)


def search(
    index_path: Path,
    where: str = "",
    *,
    columns: Sequence[str] | None = None,
    limit: int = DEFAULT_LIMIT,
) -> pa.Table:
    """Return the rows of an index that match a filter, in the index's order.

    Args:
        index_path: an index written by ``ingest``.
        where: one SQL expression over the index's columns; empty for all rows.
        columns: columns to return; all when None.
        limit: most rows returned.

    Raises:
        FilterError: the filter cannot be parsed or applied, or a column does not exist.
        SearchError: the filter is not one allowed expression.
        HoldoutIndexError: the index is missing or damaged.
    """
    return search_table(read_index(index_path), where, columns=columns, limit=limit)


def search_table(
    table: pa.Table,
    where: str = "",
    *,
    columns: Sequence[str] | None = None,
    limit: int = DEFAULT_LIMIT,
) -> pa.Table:
    """Filter any table in memory by the same rules as ``search``.

    Raises:
        FilterError: the filter cannot be parsed or applied, or a column does not exist.
        SearchError: the filter is not one allowed expression.
    """
    known = frozenset(table.column_names)
    chosen = list(columns) if columns is not None else table.column_names
    if missing := [name for name in chosen if name not in known]:
        raise FilterError(f"There is no column {missing[0]!r}; known are {_listing(known)}.")
    if not 0 < limit <= LARGEST_LIMIT:
        raise SearchError(f"The limit is {limit}; it must lie between 1 and {LARGEST_LIMIT}.")
    with duckdb.connect(":memory:", config=_configuration()) as connection:
        connection.execute("SET lock_configuration = true")
        if where.strip():
            check_filter(connection, where, known)
        quoted = ", ".join(f'"{name}"' for name in chosen)
        condition = f"WHERE ({where}\n)" if where.strip() else ""
        connection.register("instances", table)
        try:
            statement = f"SELECT {quoted} FROM instances {condition} LIMIT {int(limit)}"  # noqa: S608
            result: pa.Table = connection.sql(statement).to_arrow_table()
        except duckdb.Error as error:
            raise FilterError(f"The filter cannot be applied: {_first_line(error)}") from error
    return result


def check_filter(connection: duckdb.DuckDBPyConnection, where: str, known: frozenset[str]) -> None:
    """Check that a text is one expression over known columns with allowed functions.

    Raises:
        FilterError: it cannot be parsed, or names an unknown column.
        SearchError: it is anything else.
    """
    if len(where) > LONGEST_FILTER:
        raise SearchError(f"The filter is longer than {LONGEST_FILTER} characters.")
    statement = f"SELECT 1 FROM instances WHERE ({where}\n)"  # noqa: S608 - parsed here, not executed
    try:
        answer = connection.execute("SELECT json_serialize_sql(?)", [statement]).fetchall()
    except duckdb.Error as error:
        raise FilterError(f"The filter cannot be parsed: {_first_line(error)}") from error
    tree: dict[str, Any] = json.loads(answer[0][0])
    if tree.get("error"):
        raise FilterError(f"The filter cannot be parsed: {str(tree.get('error_message', ''))[:200]}")
    statements = tree["statements"]
    query = statements[0]["node"] if len(statements) == 1 else {}
    if not _is_plain_select(query):
        raise SearchError("The filter must be one expression, such as: modality = 'DX' and rows > 512")
    for node in _expressions(query["where_clause"]):
        _check_node(node, known)


def _configuration() -> dict[str, Any]:
    return {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "allow_unsigned_extensions": "false",
        "python_enable_replacements": "false",
        "memory_limit": MEMORY,
        "threads": "2",
    }


def _is_plain_select(query: dict[str, Any]) -> bool:
    source = query.get("from_table", {})
    empty = ("group_expressions", "group_sets", "modifiers")
    return (
        query.get("type") == "SELECT_NODE"
        and source.get("type") == "BASE_TABLE"
        and source.get("table_name") == "instances"
        and not any(query.get(name) for name in empty)
        and not any(query.get(name) for name in ("having", "qualify", "sample"))
        and not query.get("cte_map", {}).get("map")
        and query.get("where_clause") is not None
    )


def _expressions(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every expression node of a serialised tree."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict):
            if "class" in current:
                yield current
            # A constant's value is data, whatever it looks like.
            if current.get("class") != "CONSTANT":
                waiting.extend(current.values())
        elif isinstance(current, list):
            waiting.extend(current)


def _check_node(node: dict[str, Any], known: frozenset[str]) -> None:
    kind = node["class"]
    if kind not in _NODE_CLASSES:
        raise SearchError(f"The filter may compare columns, not more ({str(kind).lower()} is not allowed).")
    if kind == "COLUMN_REF":
        name = node["column_names"][-1]
        if name not in known:
            raise FilterError(f"There is no column {name!r}; known are {_listing(known)}.")
    if kind == "FUNCTION":
        name = str(node["function_name"]).lower()
        if name not in _FUNCTIONS or node.get("schema") or node.get("catalog"):
            raise SearchError(f"The function {name!r} is not allowed in a filter.")


def _listing(known: frozenset[str]) -> str:
    order = [name for name in row_columns() if name in known] or sorted(known)
    return ", ".join(name for name in order if not name.endswith("_raw"))


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:200]
