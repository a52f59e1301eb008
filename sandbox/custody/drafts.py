"""The draft of a hold-out: an ingested folder with its declarations and its partition, before any lock."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from holdout import ingest as ingestion
from holdout import partition as partitioning
from holdout.cases import Unit
from holdout.index import read_index
from holdout.ingest import IngestSummary
from holdout.keyed_table import UNKNOWN
from holdout.reference import ReferenceStandard
from holdout.reference import load as load_reference
from holdout.site_table import load_site_table
from sandbox.errors import UsageError
from sandbox.institution.workspace import Workspace, utc_now, write_json
from sandbox.tables import write_table

RESERVE = "reserve"
"""The part that is neither locked nor exported, from which worn patients are replaced."""
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a hold-out is made of before its lock."""

    name: str
    folder: Path
    source: Path
    reference: Path | None
    site: Path | None
    ingested: str
    summary: Mapping[str, Any]

    def index(self) -> pa.Table:
        """The index of the ingested folder."""
        return read_index(self.folder / "index.parquet")

    def parts(self) -> pa.Table | None:
        """Part of each patient, or of each file by the source's own split; None when not partitioned."""
        path = self.folder / "parts.parquet"
        return pq.read_table(path) if path.exists() else None

    def part_of_files(self, index: pa.Table) -> list[str] | None:
        """Part of each file of ``index``, this draft's; None when the folder was not partitioned."""
        parts = self.parts()
        if parts is None:
            return None
        if "path" not in parts.column_names:
            return partitioning.parts_of_files(index, parts)
        by_path = dict(zip(parts["path"].to_pylist(), parts["part"].to_pylist(), strict=True))
        return [by_path.get(path, UNKNOWN) for path in index["path"].to_pylist()]


def ingest(
    workspace: Workspace,
    name: str,
    source: Path,
    *,
    reference: Path | None = None,
    site: Path | None = None,
    progress: Progress | None = None,
) -> IngestSummary:
    """Read a folder into the draft of hold-out ``name``; an earlier draft is replaced, locked versions stay.

    Declarations are tried on the new index before it takes the place of an earlier one, so that a mistake in them
    shows here and costs nothing.

    Raises:
        IngestError: the folder cannot be read.
        UsageError: the folder holds no file, or a declaration is not there.
        ReferenceStandardError, LockRefusedError: a declaration or its table has mistakes; each is named.
    """
    for declaration in (reference, site):
        if declaration is not None and not declaration.is_file():
            raise UsageError(f"{declaration} is not a file. Give the YAML that declares the table.")
    folder = workspace.holdout(name)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / ".index.partial"
    try:
        summary = ingestion.ingest(source, temporary, progress=progress)
        if not summary.files:
            raise UsageError(f"{source} holds no file. Give the folder that holds the DICOM files.")
        index = read_index(temporary)
        if reference is not None:
            load_reference(reference, index)
        if site is not None:
            load_site_table(site, index)
    except BaseException:
        temporary.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # only where it is empty: a name that was mistyped leaves no hold-out behind
        raise
    # Without draft.json there is no draft: killed in between, nothing of two ingests is taken for one.
    (folder / "draft.json").unlink(missing_ok=True)
    temporary.replace(folder / "index.parquet")
    # A partition belongs to the index it was made from.
    (folder / "parts.parquet").unlink(missing_ok=True)
    write_json(
        folder / "draft.json",
        {
            "source": str(source.resolve()),
            "reference": str(reference.resolve()) if reference else None,
            "site": str(site.resolve()) if site else None,
            "ingested": utc_now(),
            "summary": asdict(summary),
        },
    )
    return summary


def draft(workspace: Workspace, name: str) -> Draft:
    """The draft of hold-out ``name``.

    Raises:
        UsageError: nothing was ingested under that name.
    """
    folder = workspace.holdout(name)
    try:
        facts = json.loads((folder / "draft.json").read_bytes())
    except FileNotFoundError as error:
        raise UsageError(
            f"There is no hold-out {name!r}. Begin with: proctor holdout ingest FOLDER --name {name}"
        ) from error
    return Draft(
        name=name,
        folder=folder,
        source=Path(facts["source"]),
        reference=Path(facts["reference"]) if facts["reference"] else None,
        site=Path(facts["site"]) if facts["site"] else None,
        ingested=facts["ingested"],
        summary=facts["summary"],
    )


def truth(item: Draft, unit: Unit, *, progress: Progress | None = None) -> ReferenceStandard:
    """The reference standard of a draft, resolved against its index; ``progress`` counts what is read for it.

    Raises:
        UsageError: none was declared.
    """
    if item.reference is None:
        raise UsageError(
            f"The hold-out {item.name!r} has no reference standard. Ingest it again with --reference REFERENCE.yaml."
        )
    return load_reference(item.reference, item.index(), unit=unit, source=item.source, progress=progress)


def partition(
    workspace: Workspace,
    name: str,
    *,
    development: float,
    seed: int,
    unit: Unit = "image",
    label: str | None = None,
    reserve: float = 0.0,
) -> dict[str, int]:
    """Divide the patients of a draft into a development part and the hold-out; returns patients by part.

    Args:
        reserve: share of the hold-out's patients that is kept back, from which ``holdout refresh`` draws.
    """
    item = draft(workspace, name)
    index = item.index()
    reference = truth(item, unit) if item.reference else None
    balance = None
    if reference is not None:
        chosen = label or (reference.binary or reference.labels)[0]
        balance = partitioning.balance_by(index, reference=reference, label=chosen)
    parts = partitioning.partition(index, development=development, seed=seed, balance=balance)
    if reserve:
        parts = _kept_back(index, parts, reserve, seed, balance)
    write_table(parts, item.folder / "parts.parquet")
    return _counted(parts)


def partition_by_source(
    workspace: Workspace, name: str, *, column: str, holdout: frozenset[str]
) -> dict[str, int]:
    """Take the source's own split, a column of the site table; returns files by part.

    Unlike :func:`partition`, a patient may come out on both sides: the lock then refuses and names it.

    Raises:
        UsageError: the draft has no site table, or it has no such column.
        PartitionError: no file has one of the values ``holdout``.
    """
    item = draft(workspace, name)
    index = item.index()
    if item.site is None:
        raise UsageError(f"The hold-out {name!r} has no site table. Ingest it again with --site SITE.yaml.")
    columns = load_site_table(item.site, index)
    if column not in columns:
        raise UsageError(f"The site table has no column {column!r}. It has: {', '.join(sorted(columns))}.")
    parts = pa.table(
        {
            "path": index["path"],
            "part": pa.array(partitioning.source_split(index, columns[column], holdout=holdout), pa.string()),
        }
    )
    write_table(parts, item.folder / "parts.parquet")
    return _counted(parts)


def _kept_back(
    index: pa.Table, parts: pa.Table, share: float, seed: int, balance: Mapping[str, str] | None
) -> pa.Table:
    """``parts`` with a share of the hold-out's patients in a part of their own, balanced like the others."""
    held = parts.filter(pc.equal(parts["part"], partitioning.HOLDOUT))
    own = index.filter(pc.is_in(index["patient_id"], value_set=held["patient_id"].combine_chunks()))
    split = partitioning.partition(own, development=share, seed=seed, balance=balance)
    back = split.filter(pc.equal(split["part"], partitioning.DEVELOPMENT))["patient_id"].combine_chunks()
    column = pc.if_else(pc.is_in(parts["patient_id"], value_set=back), RESERVE, parts["part"])
    return parts.set_column(parts.column_names.index("part"), "part", column)


def _counted(parts: pa.Table) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in parts["part"].value_counts().to_pylist()}
