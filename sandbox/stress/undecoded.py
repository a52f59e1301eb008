"""Read and set attributes that every perturbation needs, without decoding their elements.

pydicom decodes an element when it is asked for, and encodes it anew when the file is written: for a dozen
attributes of each file that would cost more than the pixels do.
"""

from __future__ import annotations

import functools

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

_EXPLICIT_LITTLE = (False, True)


@functools.cache
def _known(keyword: str) -> tuple[BaseTag, str]:
    tag = Tag(keyword)
    return tag, dictionary_VR(tag)


def has(dataset: Dataset, keyword: str) -> bool:
    """Whether the attribute is present."""
    return dataset.get_item(_known(keyword)[0]) is not None


def text_of(dataset: Dataset, keyword: str) -> str:
    """Value of an attribute of ASCII text, several apart by backslashes; '' when absent."""
    return text_at(dataset, _known(keyword)[0])


def text_at(dataset: Dataset, tag: BaseTag) -> str:
    """Value of the element ``tag`` as text, like ``text_of``."""
    element = dataset.get_item(tag)
    value = "" if element is None else element.value
    if isinstance(value, bytes):
        return value.decode("ascii", "replace").strip(" \0")
    if isinstance(value, MultiValue | list):
        return "\\".join(map(str, value))
    return "" if value is None else str(value)


def number_of(dataset: Dataset, keyword: str, default: int = 0) -> int:
    """Value of an attribute of VR US; ``default`` when absent or empty."""
    tag, _ = _known(keyword)
    element = dataset.get_item(tag)
    if isinstance(element, RawDataElement) and len(element.value or b"") == 2:
        return int.from_bytes(element.value or b"", "little" if element.is_little_endian else "big")
    value = None if element is None else dataset[tag].value
    return default if value is None or value == "" else int(value)


def set_text(dataset: Dataset, keyword: str, text: str) -> None:
    """Set an attribute of ASCII text."""
    set_text_at(dataset, *_known(keyword), text)


def set_text_at(dataset: Dataset, tag: BaseTag, vr: str, text: str) -> None:
    """Set the element ``tag``, like ``set_text``."""
    if text_at(dataset, tag) != text or dataset.get_item(tag) is None:
        padding = b"\0" if vr == "UI" else b" "
        _set(dataset, tag, vr, text.encode("ascii") + padding * (len(text) % 2), text)


def set_number(dataset: Dataset, keyword: str, value: int) -> None:
    """Set an attribute of VR US."""
    tag, vr = _known(keyword)
    if number_of(dataset, keyword, -1) != value:
        _set(dataset, tag, vr, value.to_bytes(2, "little"), value)


def _set(dataset: Dataset, tag: BaseTag, vr: str, content: bytes, value: str | int) -> None:
    if dataset.original_encoding == _EXPLICIT_LITTLE:
        dataset[tag] = RawDataElement(tag, vr, len(content), content, 0, False, True)
    else:
        dataset.add_new(tag, vr, value)
