"""Proctor's own list of system calls (``system_calls.yaml``) in the form that container engines take.

The form is the one of Docker's ``--security-opt seccomp=``; the rules behind it are those of libseccomp. Naming no
architecture leaves the filter with the host's native one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

SYSTEM_CALLS = Path(__file__).with_name("system_calls.yaml")
_ENOSYS = 38


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition on one argument, counted from 0: ``(argument & mask) == value``, or ``argument <= value``.

    ``mask`` is None where the whole argument is compared.
    """

    argument: int
    value: int
    mask: int | None = None
    at_most: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedCall:
    """A system call that is allowed, always or under a condition."""

    name: str
    condition: Condition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Calls that serve one purpose; ``when`` names a choice of the run without which they are refused."""

    name: str
    why: str
    when: str | None
    calls: tuple[AllowedCall, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemCalls:
    """The whole list; ``refused`` maps calls that must never be allowed to the threat they are."""

    allowed: tuple[Group, ...]
    absent: tuple[str, ...]
    refused: Mapping[str, str]


@cache
def system_calls() -> SystemCalls:
    """Read the list shipped with the project."""
    return read_system_calls(SYSTEM_CALLS.read_text(encoding="utf-8"))


def read_system_calls(text: str) -> SystemCalls:
    """Read a list.

    Raises:
        ValueError: a call is allowed and refused, allowed with and without condition, or named twice.
    """
    document = yaml.safe_load(text)
    listed = SystemCalls(
        allowed=tuple(_group(row) for row in document["allowed"]),
        absent=tuple(document["absent"]),
        refused={name: row["threat"] for row in document["refused"] for name in row["calls"]},
    )
    _check(listed, [name for row in document["refused"] for name in row["calls"]])
    return listed


def seccomp_profile(*, loopback: bool = False) -> str:
    """Make the engine's JSON text; ``loopback`` adds what a server on the loopback interface needs."""
    return _profile(frozenset({"loopback"} if loopback else ()))


@cache
def _profile(choices: frozenset[str]) -> str:
    listed = system_calls()
    calls = [
        call
        for group in listed.allowed
        if group.when is None or group.when in choices
        for call in group.calls
    ]
    return json.dumps(compile_profile(calls, listed.absent), separators=(",", ":"))


def compile_profile(calls: Iterable[AllowedCall], absent: Iterable[str]) -> dict[str, Any]:
    """Turn calls into the engine's form: a default of EPERM, one rule for each condition."""
    plain = sorted(call.name for call in calls if call.condition is None)
    rules: list[dict[str, Any]] = [{"names": plain, "action": "SCMP_ACT_ALLOW", "args": []}]
    rules += [
        {"names": [call.name], "action": "SCMP_ACT_ALLOW", "args": [_argument(call.condition)]}
        for call in calls
        if call.condition is not None
    ]
    rules.append({"names": sorted(absent), "action": "SCMP_ACT_ERRNO", "args": [], "errnoRet": _ENOSYS})
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}


def _argument(condition: Condition) -> dict[str, Any]:
    if condition.mask is not None:
        values = {"value": condition.mask, "valueTwo": condition.value, "op": "SCMP_CMP_MASKED_EQ"}
    else:
        operator = "SCMP_CMP_LE" if condition.at_most else "SCMP_CMP_EQ"
        values = {"value": condition.value, "valueTwo": 0, "op": operator}
    return {"index": condition.argument, **values}


def _group(row: Mapping[str, Any]) -> Group:
    return Group(
        name=row["group"],
        why=row["why"],
        when=row.get("when"),
        calls=tuple(_call(entry) for entry in row["calls"]),
    )


def _call(entry: str | Mapping[str, Any]) -> AllowedCall:
    if isinstance(entry, str):
        return AllowedCall(name=entry)
    match entry:
        case {"call": str(name), "argument": int(number), "mask": int(mask), "is": int(value), **rest}:
            condition = Condition(argument=number, value=value, mask=mask)
        case {"call": str(name), "argument": int(number), "at_most": int(value), **rest}:
            condition = Condition(argument=number, value=value, at_most=True)
        case {"call": str(name), "argument": int(number), "equals": int(value), **rest}:
            condition = Condition(argument=number, value=value)
        case _:
            raise ValueError(f"system_calls.yaml: cannot read {entry}")
    if rest:
        raise ValueError(f"system_calls.yaml: {name} has more than it may")
    return AllowedCall(name=name, condition=condition)


def _check(listed: SystemCalls, refused: list[str]) -> None:
    calls = [call for group in listed.allowed for call in group.calls]
    plain = [call.name for call in calls if call.condition is None]
    filtered = {call.name for call in calls if call.condition is not None}
    once = [*plain, *filtered, *listed.absent, *refused]
    if len(once) != len(set(once)):
        twice = sorted({name for name in once if once.count(name) > 1})
        raise ValueError(f"system_calls.yaml: named in two ways: {', '.join(twice)}")
