"""YAML that people write: read safely, checked strictly, every mistake named by file, line and path.

The dialect is YAML 1.2's core schema without aliases and tags. YAML 1.1, PyYAML's default, reads ``no`` as
False, ``1:30`` as 90 and ``012`` as 10: in a document that is registered by hash, what a person reads must be
what the program reads. Aliases are refused because a few of them can expand to gigabytes. Where a document declares the
texts of a table (``as_text``), every scalar stays the text that stands there.

Errors are raised as the class that the caller gives, made from one message.
"""

from __future__ import annotations

import difflib
import json
import re
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

SIZE_LIMIT = 256 * 1024
DEPTH_LIMIT = 16
NODE_LIMIT = 20_000
SHOWN_MISTAKES = 20

Where = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed YAML document: plain data, and for each path the line (from 1) where it stands.

    ``as_text`` tells that scalars were kept as text.
    """

    name: str
    data: dict[str, Any]
    lines: dict[Where, int]
    as_text: bool = False

    def line(self, where: Where) -> int:
        """Line of ``where``, or of the nearest enclosing place when ``where`` itself is absent."""
        while where not in self.lines:
            where = where[:-1]
        return self.lines[where]

    def mistake(self, where: Where, message: str) -> str:
        """One mistake in the form ``file:line: path: message``."""
        path = spell(where)
        return f"{self.name}:{self.line(where)}: {path + ': ' if path else ''}{message}"


class _CoreLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the implicit types of the YAML 1.2 core schema."""

    yaml_implicit_resolvers: typing.ClassVar[dict[str, Any]] = {}  # type: ignore[misc]


for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$",
        list("-+.0123456789"),
    ),
):
    _CoreLoader.add_implicit_resolver(_tag, re.compile(_pattern), _first)


def read_yaml(path: Path, error: type[Exception], *, as_text: bool = False) -> Document:
    """Read ``path`` as one YAML mapping.

    Args:
        path: the file, at most 256 KiB of UTF-8.
        error: class of the error to raise.
        as_text: keep every scalar as text.

    Raises:
        Exception: (``error``) unreadable, too large, not UTF-8, not YAML, alias or tag, a key twice.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_LIMIT + 1)
    except OSError as problem:
        reason = problem.strerror or "unreadable"
        raise error(f"{path}: {reason}. Give the path of a readable YAML file.") from problem
    return parse_yaml(raw, path.name, error, as_text=as_text)


def parse_yaml(raw: bytes, name: str, error: type[Exception], *, as_text: bool = False) -> Document:
    """Parse the bytes of a YAML document; ``name`` stands for the file in messages.

    Raises:
        Exception: (``error``) see :func:`read_yaml`.
    """
    if len(raw) > SIZE_LIMIT:
        raise error(f"{name}: larger than {SIZE_LIMIT // 1024} KiB; no protocol or policy needs that much.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = raw[: problem.start].count(b"\n") + 1
        raise error(f"{name}:{line}: not UTF-8; save the file as UTF-8.") from problem
    try:
        _bound(text, name, error)
        root = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        raise error(f"{place}: not valid YAML: {problem.problem or 'cannot be read here'}.") from problem
    except yaml.YAMLError as problem:
        raise error(f"{name}: not valid YAML: it holds a character that YAML does not allow.") from problem
    lines: dict[Where, int] = {}
    if not isinstance(root, MappingNode):
        raise error(f"{name}:1: expected keys with values (`proctor: ...`) at the top level.")
    data = _build(root, (), _Building(lines=lines, name=name, error=error, as_text=as_text))
    return Document(name=name, data=data, lines=lines, as_text=as_text)


def validate(document: Document, model: type[Model], error: type[Exception]) -> Model:
    """Check ``document`` against ``model``.

    Raises:
        Exception: (``error``) one line for each mistake, in the order of the file.
    """
    try:
        # Text has to become the model's numbers by itself; anything else must be what it says it is.
        return model.model_validate_json(json.dumps(document.data), strict=not document.as_text)
    except ValidationError as problem:
        mistakes = [_explain(document, model, detail) for detail in problem.errors(include_url=False)]
        raise mistakes_error(document, mistakes, error) from None


def mistakes_error(
    document: Document, mistakes: Iterable[tuple[Where, str]], error: type[Exception]
) -> Exception:
    """Make the error that lists ``mistakes`` (path, message) in the order of the file."""
    ordered = sorted({(document.line(where), document.mistake(where, text)) for where, text in mistakes})
    shown = [text for _, text in ordered[:SHOWN_MISTAKES]]
    if len(ordered) > SHOWN_MISTAKES:
        shown.append(f"... and {len(ordered) - SHOWN_MISTAKES} more mistakes")
    return error("\n".join(shown))


def spell(where: Where) -> str:
    """Write a path as a person would: ``strata[1].bands``."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" if text else _shown(part)
    return text


def _shown(text: str) -> str:
    # Keys can hold anything; terminals obey control characters.
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= 60 else printable[:57] + "..."


def _bound(text: str, name: str, error: type[Exception]) -> None:
    """Walk the events, which needs no recursion, before anything recursive sees the text."""
    depth = nodes = documents = 0
    for event in yaml.parse(text, Loader=_CoreLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise error(f"{name}:{line}: a second document starts here; one file holds one document.")
        if isinstance(event, yaml.AliasEvent):
            raise error(f"{name}:{line}: aliases (*name) are not allowed; write the value out.")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            nodes += 1
            if event.tag is not None:
                raise error(f"{name}:{line}: tags (!name) are not allowed; write plain values.")
            if event.anchor is not None:
                raise error(f"{name}:{line}: anchors (&name) are not allowed; write values out.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_LIMIT or nodes > NODE_LIMIT:
            raise error(f"{name}:{line}: nested too deeply or too long for a document of this kind.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Building:
    lines: dict[Where, int]
    name: str
    error: type[Exception]
    as_text: bool


def _build(node: Node, where: Where, building: _Building) -> Any:
    lines, name, error = building.lines, building.name, building.error
    lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        built: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            word = isinstance(key, ScalarNode) and (building.as_text or key.tag == "tag:yaml.org,2002:str")
            if not word:
                raise error(f"{name}:{line}: keys must be words; put other keys in quotes.")
            place = (*where, key.value)
            if key.value in built:
                raise error(
                    f"{name}:{line}: {spell(place)} is given a second time (first on line {lines[place]}); "
                    "remove one of them."
                )
            lines[place] = line
            built[key.value] = _build(value, place, building)
        return built
    if isinstance(node, SequenceNode):
        return [_build(item, (*where, index), building) for index, item in enumerate(node.value)]
    return node.value if building.as_text else _scalar(node.tag, node.value)


def _scalar(tag: str, text: str) -> Any:
    kind = tag.rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        # Python refuses to parse thousands of digits; such a number is text, and text is not a number.
        return int(text) if len(text) <= 32 else text
    if kind == "float":
        number = float(text)
        return number if abs(number) < float("inf") else text
    return text


def _explain(document: Document, model: type[BaseModel], detail: Any) -> tuple[Where, str]:
    where: Where = tuple(detail["loc"])
    if detail["type"] == "extra_forbidden":
        allowed = sorted(_allowed_keys(model, where[:-1]))
        close = difflib.get_close_matches(str(where[-1]), allowed, n=1)
        if not allowed:
            return where, "unknown key; remove it."
        hint = f"did you mean `{close[0]}`?" if close else f"allowed here: {', '.join(allowed)}."
        return where, f"unknown key; {hint}"
    if detail["type"] == "missing":
        return where, "is missing."
    if detail["type"] == "literal_error":
        return where, f"must be {detail['ctx']['expected']}."
    message = str(detail["msg"])
    message = message.removeprefix("Value error, ").replace("Input should be", "must be")
    message = message.replace("a valid array", "a list").replace("a valid tuple", "a list")
    message = message.replace("an object", "keys with values").replace(
        "a valid dictionary", "keys with values"
    )
    message = (
        message.replace("String should", "must")
        .replace("Tuple should", "must")
        .replace("must have", "has to have")
    )
    return where, message if message.endswith(".") else message + "."


def _allowed_keys(model: type[BaseModel], where: Where) -> set[str]:
    """Return the keys of the model found by walking ``where`` down from ``model``."""
    kind: Any = model
    for part in where:
        kind = _inner(kind)
        if typing.get_origin(kind) is dict:
            kind = typing.get_args(kind)[1]
            continue
        if isinstance(part, str) and isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(part)
            kind = field.annotation if field else None
    kind = _inner(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {field.alias or name for name, field in kind.model_fields.items()}
    return set()


def _inner(kind: Any) -> Any:
    """Strip ``| None`` and the tuple around a model."""
    while True:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (types.UnionType, typing.Union):
            kind = next(argument for argument in arguments if argument is not type(None))
        elif origin is tuple or origin is typing.Annotated:
            kind = arguments[0]
        else:
            return kind
