"""Read what a child process sent without believing it.

A child parses foreign files and may have been taken over by one; plain unpickling would hand its parent over
too (the pickle module's own warning). Here a pickle can only build plain values and known data types.
"""

from __future__ import annotations

import dataclasses
import enum
import io
import pickle
import sys
from typing import Any

_PLAIN_GLOBALS = {
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "bytearray"),
    ("builtins", "complex"),
    ("pathlib", "PosixPath"),
    ("pathlib", "PurePosixPath"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
}


class ResultReader(pickle.Unpickler):
    """Unpickle plain values and dataclasses or enums of ``package``; refuse everything else."""

    def __init__(self, payload: bytes | bytearray, package: str) -> None:
        super().__init__(io.BytesIO(payload))
        self._package = package

    def find_class(self, module: str, name: str) -> Any:
        """Resolve a global, without importing anything."""
        if (module, name) in _PLAIN_GLOBALS:
            return super().find_class(module, name)
        if module.partition(".")[0] == self._package:
            found = getattr(sys.modules.get(module), name, None)
            if isinstance(found, type) and (dataclasses.is_dataclass(found) or issubclass(found, enum.Enum)):
                return found
        raise pickle.UnpicklingError(f"a worker may not send {module}.{name}")
