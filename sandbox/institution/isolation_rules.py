"""A policy's rules of isolation: engine, runtime, floors, waivers and devices, as checked YAML.

What Proctor always requires is not a choice and not listed; the shipped ``policies/default.yaml`` gives the reasons.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from runners.controls import waivable_controls
from runners.runtimes import golden_tables

LONGEST_DAYS = 366

Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DeclaredBackport(_Part):
    """A flaw that the distribution repaired in this version of the component, and the person who says so."""

    cve: Annotated[str, StringConstraints(pattern=r"^CVE-\d{4}-\d{4,7}$")]
    version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+~:-]{1,64}$")]
    source: Sentence
    approved_by: Sentence


class EngineChoice(_Part):
    """Where the container engine is, which of its runtimes to use (None: the engine's default), and its floors.

    ``golden_table``: a file of :mod:`sandbox.institution.own_tables`; ``golden_table_digest`` is of its content.
    """

    url: Annotated[str, StringConstraints(pattern=r"^(unix|tcp|ssh)://\S{1,200}$")] | None = None
    runtime: Word | None = None
    golden_table: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    golden_table_digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    version_floors: Literal["refuse", "warn"] = "warn"
    backports: tuple[DeclaredBackport, ...] = ()


class GpuChoice(_Part):
    """GPUs that every container gets: by id, or a number of them; never all without saying so."""

    devices: tuple[
        Annotated[str, StringConstraints(pattern=r"^([0-9]{1,3}|(GPU|MIG)-[0-9a-f-]{8,64})$")], ...
    ] = ()
    count: Annotated[int, Field(ge=1, le=64)] | None = None


class Waiver(_Part):
    """A control that may be missing on one engine, with the person who answers for it, an end and a signature.

    Attributes:
        engine: the pair of engine and runtime that it holds for, as ``proctor doctor`` names it.
        signed_on, until: first and last day.
        signed_by: name of the key, ``signature`` in base64 over :func:`sandbox.institution.waivers.signed_text`.
    """

    control: Word
    engine: Annotated[str, StringConstraints(pattern=r"^[A-Z][a-z]+ with [a-z][a-z0-9.-]{0,40}$")]
    reason: Sentence
    approved_by: Sentence
    signed_on: Day
    until: Day
    signed_by: Word | None = None
    signature: Annotated[str, StringConstraints(max_length=100)] | None = None


class WaiverFile(_Part):
    """The file ``waivers.yaml`` beside a policy, which ``proctor waiver sign`` writes."""

    proctor: Literal["waivers/1"]
    waivers: tuple[Waiver, ...] = ()


class Isolation(_Part):
    """Choices of isolation; controls that Proctor always requires are not choices and not listed.

    ``seccomp_profile``: None is Proctor's own list of system calls, ``engine-default`` the engine's, else a file, of
    which ``seccomp_digest`` is the content's. ``waiver_keys``: verifier keys (name+id+base64) that may sign waivers;
    without any, the workspace's operator.
    """

    user: Annotated[str, StringConstraints(pattern=r"^\d{1,9}:\d{1,9}$")] = "65532:65532"
    tmp_executable: bool = False
    seccomp_profile: str | None = None
    seccomp_digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    gpu: GpuChoice | None = None
    required: tuple[Word, ...] = ()
    waiver_keys: tuple[Annotated[str, StringConstraints(max_length=400)], ...] = ()
    waivers: tuple[Waiver, ...] = ()


def waiver_faults(waiver: Waiver, own: Collection[str] = ()) -> tuple[str, ...]:
    """Say why a waiver asks for more than one may; empty when it does not.

    ``own`` names the pairs of engine and runtime that the institution has measured itself.
    """
    found = []
    known = waivable_controls()
    if waiver.control not in known:
        found.append(
            f"There is no control {waiver.control}; proctor doctor lists them, and each is waived by name."
        )
    elif not known[waiver.control]:
        found.append(f"The control {waiver.control} keeps images in and cannot be waived.")
    tables = [*(table.name for table in golden_tables()), *own]
    if waiver.engine not in tables:
        found.append(f"A waiver holds for one engine, which is one of: {', '.join(tables)}.")
    try:
        days = (date.fromisoformat(waiver.until) - date.fromisoformat(waiver.signed_on)).days
    except ValueError:
        found.append("Its days are not days of the calendar (YYYY-MM-DD).")
    else:
        if not 0 <= days <= LONGEST_DAYS:
            found.append(f"A waiver ends after it begins and within {LONGEST_DAYS} days.")
    return tuple(found)
