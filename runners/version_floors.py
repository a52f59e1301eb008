"""Known flaws of engine, runtime and kernel, compared with the versions that are here (``version_floors.yaml``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from runners.engine_facts import EngineFacts
from runners.errors import PostureRefused

FLOORS = Path(__file__).with_name("version_floors.yaml")
TOOLKIT = "nvidia-container-toolkit"
Status = Literal["fixed", "backported", "below", "unknown"]

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-~.]?rc\.?(\d+))?")
# A release comes after all its candidates.
_RELEASE = 1 << 30
_Version = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backport:
    """An institution's word that its distribution repaired a flaw without changing the version's number.

    It holds for exactly this ``version`` of the component, so an upgrade ends it.
    """

    cve: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFlaw:
    """One flaw against the version that is here.

    ``status`` is ``unknown`` when the version cannot be read, or when no repaired version is known. ``closed`` tells
    that under Proctor's rules the trigger cannot come about, whatever the version.
    """

    cve: str
    component: str
    version: str
    fixed: tuple[str, ...]
    status: Status
    trigger: str
    proctor: str
    closed: bool

    @property
    def open(self) -> bool:
        """True when neither a version, nor a backport, nor Proctor's own rules close it."""
        return not self.closed and self.status in ("below", "unknown")


def known_flaws(facts: EngineFacts, backports: Iterable[Backport] = ()) -> tuple[KnownFlaw, ...]:
    """Compare each known flaw with the engine's parts; parts that the engine does not have are left out."""
    versions = {**facts.components, "kernel": facts.kernel}
    declared = {(item.cve, item.version) for item in backports}
    return tuple(
        _judge(row, versions[row["component"]], declared) for row in _floors() if row["component"] in versions
    )


def toolkit_flaws(version: str, backports: Iterable[Backport] = ()) -> tuple[KnownFlaw, ...]:
    """Compare the known flaws of NVIDIA's container toolkit with its version; it matters where a GPU is asked for."""
    declared = {(item.cve, item.version) for item in backports}
    return tuple(_judge(row, version, declared) for row in _floors() if row["component"] == TOOLKIT)


def require_floors(flaws: Iterable[KnownFlaw]) -> None:
    """Refuse where a known flaw is open.

    Raises:
        PostureRefused: naming each, with the versions that are free of it.
    """
    standing = [flaw for flaw in flaws if flaw.open]
    if standing:
        names = "; ".join(
            f"{flaw.cve} in {flaw.component} {flaw.version} "
            + (f"(repaired in {', '.join(flaw.fixed)})" if flaw.fixed else "(no repaired version known)")
            for flaw in standing
        )
        raise PostureRefused(
            f"The policy refuses known flaws (engine.version_floors), and these are open here: {names}. Upgrade, or "
            "declare in engine.backports what your distribution repaired without changing the number."
        )


def is_fixed(version: str, fixed: Iterable[str]) -> bool | None:
    """Tell whether ``version`` is one without the flaw; None when that cannot be told.

    A version is free of it when it is at least the repaired one of its own branch (major and minor number), or
    when its branch is later than all that were repaired.
    """
    here, repaired = parse_version(version), [parse_version(each) for each in fixed]
    if here is None or not repaired:
        return None
    known = [each for each in repaired if each is not None]
    same_branch = [each for each in known if each[:2] == here[:2]]
    if same_branch:
        return here >= min(same_branch)
    return here > max(known)


def parse_version(text: str) -> _Version | None:
    """Read major, minor, patch and candidate; what a distribution appends is left out."""
    found = _VERSION.match(text)
    if found is None:
        return None
    major, minor, patch, candidate = found.groups()
    return int(major), int(minor), int(patch or 0), int(candidate) if candidate else _RELEASE


@cache
def _floors() -> tuple[Mapping[str, Any], ...]:
    return tuple(yaml.safe_load(FLOORS.read_text(encoding="utf-8")))


def _judge(row: Mapping[str, Any], version: str, declared: set[tuple[str, str]]) -> KnownFlaw:
    fixed = is_fixed(version, row["fixed"])
    status: Status = "unknown" if fixed is None else ("fixed" if fixed else "below")
    if status != "fixed" and (row["cve"], version) in declared:
        status = "backported"
    return KnownFlaw(
        cve=row["cve"],
        component=row["component"],
        version=version,
        fixed=tuple(row["fixed"]),
        status=status,
        trigger=row["trigger"],
        proctor=row["proctor"],
        closed=row["closed"],
    )
