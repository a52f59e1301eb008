"""Reading contract files and manifests: bounded, strict where we wrote the format, lenient where others did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from runners.errors import ContractRefused

FILE_BYTES = 64 << 10
_LARGEST = 2**53 - 1
_Model = TypeVar("_Model", bound=BaseModel)


class Part(BaseModel):
    """A piece of a format of our own: nothing beyond what is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ForeignPart(BaseModel):
    """A piece of somebody else's format: what is not needed is left aside."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def read_document(content: bytes) -> dict[str, Any]:
    """Read a contract file, YAML or JSON.

    Raises:
        ContractRefused: it is too large, or not one plain mapping.
    """
    try:
        if len(content) > FILE_BYTES:
            raise ValueError
        text = content.decode("utf-8", "strict")
        # An alias lets a few bytes stand for a billion values.
        if any(isinstance(token, yaml.AliasToken | yaml.AnchorToken) for token in yaml.scan(text)):
            raise ValueError
        document = yaml.safe_load(text)
        if not isinstance(document, dict):
            raise ValueError
        # Dates and the like would not survive in the record, nor would integers beyond its canonical form.
        plain: dict[str, Any] = json.loads(json.dumps(document, allow_nan=False), parse_int=_exact)
    except (ValueError, TypeError, RecursionError, yaml.YAMLError):
        raise ContractRefused(
            f"The contract file is not one plain mapping in YAML or JSON, at most {FILE_BYTES >> 10} KiB, without "
            "anchors."
        ) from None
    return plain


def _exact(digits: str) -> int:
    number = int(digits)
    if abs(number) > _LARGEST:
        raise ValueError
    return number


def read_manifest(text: str) -> dict[str, Any]:
    """Read a JSON manifest found in an image.

    Raises:
        ContractRefused: it is not a JSON object.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ContractRefused("A manifest inside the image is not a JSON object.")
    return document


def checked(model: type[_Model], document: Mapping[str, Any], what: str) -> _Model:
    """Read ``document`` as ``model``.

    Raises:
        ContractRefused: it does not fit; the message names the first wrong place, not its content.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        # Names of fields that we do not know are the author's text.
        known = [
            str(step)
            for step in error.errors()[0]["loc"]
            if str(step) in _names(model) or isinstance(step, int)
        ]
        reason = error.errors()[0]["type"].replace("_", " ")
        raise ContractRefused(
            f"{what} is not as it must be at {'.'.join(known) or 'its top'}: {reason}."
        ) from None


def _names(model: type[BaseModel]) -> set[str]:
    names: set[str] = set()
    for name, field in model.model_fields.items():
        names |= {name, field.alias or name}
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                names |= _names(inner)
    return names
