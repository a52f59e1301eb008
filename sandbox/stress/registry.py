"""The registry of perturbations: every module of ``sandbox.stress.perturbations`` gives some.

To add one, put a file there that defines a ``Perturbation`` (or a tuple ``PERTURBATIONS``) at module level.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil

from sandbox.stress import perturbations
from sandbox.stress.errors import UnknownPerturbationError
from sandbox.stress.perturbation import Perturbation


@functools.cache
def registry() -> dict[str, Perturbation]:
    """Every perturbation by its name, in the order of families and names."""
    found: dict[str, Perturbation] = {}
    for module_info in pkgutil.iter_modules(perturbations.__path__):
        module = importlib.import_module(f"{perturbations.__name__}.{module_info.name}")
        given = [value for value in vars(module).values() if isinstance(value, Perturbation)]
        given += getattr(module, "PERTURBATIONS", ())
        for perturbation in given:
            if found.setdefault(perturbation.name, perturbation) is not perturbation:
                raise ValueError(f"two perturbations are named {perturbation.name}")
    return dict(sorted(found.items(), key=lambda item: (item[1].family, item[0])))


def find(name: str) -> Perturbation:
    """Look a perturbation up.

    Raises:
        UnknownPerturbationError: there is none of this name; the message has the nearest.
    """
    known = registry()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UnknownPerturbationError(f"There is no such perturbation{hint} See: proctor stress list")
