"""Read a declaration written by a person (YAML) into a checked model; every complaint names the line.

Anchors, aliases and repeated keys are refused: the first can grow a short file without bound, the last means
two different things to two readers of the same declaration.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from holdout.errors import HoldoutError

MAXIMUM_BYTES = 1_000_000

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[int | str, ...]


def read_text(path: Path, error: type[HoldoutError]) -> str:
    """Text of a declaration file.

    Raises:
        error: the file is missing, unreadable, not UTF-8, or larger than ``MAXIMUM_BYTES``.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAXIMUM_BYTES + 1)
    except OSError as exc:
        raise error(f"{path}: cannot be read ({exc.strerror or type(exc).__name__})") from exc
    if len(content) > MAXIMUM_BYTES:
        raise error(f"{path}: larger than {MAXIMUM_BYTES} bytes, which no declaration is")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise error(f"{path}: is not UTF-8 text (byte {exc.start})") from exc


def load(path: Path, model: type[Model], error: type[HoldoutError]) -> tuple[Model, dict[Location, int]]:
    """Read ``path`` into ``model``; also the line (1-based) of every key, by its location in the document.

    Raises:
        error: the file cannot be read, is not YAML, or does not fit the model; each problem with its line.
    """
    text = read_text(path, error)
    lines: dict[Location, int] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise error(f"{path}: is empty")
        _note_lines(node, (), lines, path, error, depth=0)
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise error(f"{path}: aliases (*name) are not allowed in a declaration; write the value out")
        # Every scalar stays text: YAML 1.1 would read the label "no" as false and the code 010 as eight.
        document = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - builds text, lists and mappings only
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 0
        raise error(f"{path}: line {line}: not valid YAML: {exc.problem}") from exc
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise error(f"{path}: not valid YAML") from exc
    try:
        return model.model_validate(document), lines
    except ValidationError as exc:
        problems = [
            f"line {line_of(problem['loc'], lines)}: {_place(problem['loc'])}: {problem['msg']}"
            for problem in exc.errors(include_url=False, include_context=False)
        ]
        raise error(f"{path}: " + "; ".join(problems)) from exc


def line_of(location: Location, lines: dict[Location, int]) -> int:
    """Line of the deepest part of ``location`` that stands in the document."""
    for length in range(len(location), -1, -1):
        line = lines.get(tuple(location[:length]))
        if line is not None:
            return line
    return 1


def _place(location: Location) -> str:
    return ".".join(str(part) for part in location) or "document"


def _note_lines(
    node: yaml.Node,
    location: Location,
    lines: dict[Location, int],
    path: Path,
    error: type[HoldoutError],
    depth: int,
) -> None:
    if depth > 32:
        raise error(f"{path}: line {node.start_mark.line + 1}: nested more than 32 levels deep")
    lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in seen:
                raise error(f"{path}: line {line}: {key!r} is written twice")
            seen.add(key)
            lines[(*location, key)] = line
            _note_lines(value_node, (*location, key), lines, path, error, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for position, child in enumerate(node.value):
            lines[(*location, position)] = child.start_mark.line + 1
            _note_lines(child, (*location, position), lines, path, error, depth + 1)
