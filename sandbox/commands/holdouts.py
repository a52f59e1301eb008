"""``proctor holdout``: from a folder of images or DICOM to a locked hold-out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from holdout.errors import FilterError, LockRefusedError, ReferenceStandardError
from sandbox.commands import console
from sandbox.commands.exclusions import exclusions_of
from sandbox.institution.workspace import default_home, open_workspace

holdout_app = typer.Typer(
    help="Import, ingest, partition, lock, search and verify hold-outs.", no_args_is_help=True
)
_Name = Annotated[str, typer.Argument(help="Name of the hold-out.")]
_Unit = Annotated[Literal["image", "series", "study"], typer.Option(help="What one case is.")]


@holdout_app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="Folder of images with a metadata table.")],
    mapping: Annotated[
        str,
        typer.Option(help="How to read the table: a YAML file, or the name of one that comes with Proctor."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")],
) -> None:
    """Turn a folder of images (PNG, JPEG) with a metadata table into valid DICOM with its tables.

    JPEG pixels are kept byte for byte. Beside the DICOM come patients.csv, acquisition.csv, reference.csv and
    the declarations reference.yaml and site.yaml that `holdout ingest` takes.

    \b
      proctor holdout import photos/ --mapping ham10000-200 -o dicom/
      proctor holdout ingest dicom/dicom --name skin --reference dicom/reference.yaml --site dicom/site.yaml
    """
    from holdout.importer import builtin_mapping, import_folder

    path = Path(mapping) if Path(mapping).is_file() else builtin_mapping(mapping)
    with console.progress("importing") as progress:
        summary = import_folder(folder, path, output, progress=progress)

    def human() -> None:
        console.line(
            f"Wrote {summary.images} images of {summary.patients} patients to {output} in {summary.seconds:.1f} s."
        )
        for defect in summary.defects:
            console.line(f"left out, line {defect.line}: {defect.file}: {defect.reason}")

    console.result(
        {
            "images": summary.images, "patients": summary.patients, "studies": summary.studies,
            "labels": summary.labels, "seconds": round(summary.seconds, 3),
            "left_out": [{"line": d.line, "file": d.file, "reason": d.reason} for d in summary.defects],
        },
        human,
    )  # fmt: skip


@holdout_app.command("ingest")
def ingest(
    folder: Annotated[Path, typer.Argument(help="Folder of DICOM files, any nesting.")],
    name: Annotated[str, typer.Option(help="Name of the hold-out to be.")],
    reference: Annotated[
        Path | None, typer.Option(help="YAML that declares the reference standard.", metavar="REFERENCE.yaml")
    ] = None,
    site: Annotated[
        Path | None, typer.Option(help="YAML that declares further columns for strata.", metavar="SITE.yaml")
    ] = None,
) -> None:
    """Read the headers of a folder of DICOM into an index. Nothing is written to the folder.

    Every file becomes a row: what cannot be read stays in the index with the reason. The declarations are tried
    here; a mistake is named with its line, and an earlier ingest stays as it was. A partition belongs to one
    ingest: after a new one, partition again.

    The reference standard is a table, or stands in objects beside the images: segmentations, structure sets, reports,
    presentation states, key objects, NIfTI and MetaImage. holdout/REFERENCE.md has each form; for instance, without a
    table:

    \b
      proctor: reference/1
      labels:
        tumour: {mask: true, read: {form: segmentation, segment: {label: Tumour}}}
      method: {value: consensus of two readers}

    Objects are read when the hold-out is locked or partitioned, where the unit of a case is known.

    \b
      proctor holdout ingest /data/cxr --name cxr --reference reference.yaml --site site.yaml
    """
    from sandbox.custody import holdouts

    workspace = open_workspace(default_home())
    with console.progress("reading headers") as progress:
        summary = holdouts.ingest(workspace, name, folder, reference=reference, site=site, progress=progress)

    def human() -> None:
        console.line(f"{summary.files} files, {summary.bytes / 1e6:.1f} MB, {summary.seconds:.1f} s")
        console.table(["status", "files"], list(summary.by_status.items()))
        _tell_unknown(summary.unknown_by_column, summary.by_status.get("ok", 0))

    console.result(
        {"files": summary.files, "bytes": summary.bytes, "by_status": summary.by_status,
         "unknown_by_column": summary.unknown_by_column, "seconds": round(summary.seconds, 3)},
        human,
    )  # fmt: skip


def _tell_unknown(unknown: Mapping[str, int], files: int) -> None:
    """Attributes that some files lack in a table; those that all lack in one line, where they drown nothing."""
    partly = [(name, count) for name, count in unknown.items() if count < files]
    wholly = [name for name, count in unknown.items() if count >= files]
    if partly:
        console.table(["attribute", "unknown"], partly)
    if wholly:
        console.line(f"unknown in every file: {', '.join(wholly)}")


@holdout_app.command("partition")
def partition(
    name: _Name,
    development: Annotated[
        float, typer.Option(help="Share of the patients that a vendor may train on.")
    ] = 0.5,
    seed: Annotated[
        int, typer.Option(help="Decides which patients; the same seed gives the same parts.")
    ] = 1,
    unit: _Unit = "image",
    reserve: Annotated[
        float, typer.Option(help="Share of the hold-out's patients to keep back for `holdout refresh`.")
    ] = 0.0,
    by: Annotated[
        str | None,
        typer.Option(
            help="Take the source's own split instead: COLUMN=VALUE, a column of the site table and the value "
            "that means hold-out, e.g. split=test."
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the development part to this folder, as a container would see it."),
    ] = None,
) -> None:
    """Divide a draft by patient into a development part and the hold-out, balanced by the label.

    The development part is exported through the same allow-list view that containers get: no name, no date, no
    private element, new UIDs; with reference.csv. Nothing of the hold-out is in it.

    With --reserve, a share of the hold-out's patients is kept back: neither exported nor locked. When cases are worn,
    `proctor holdout refresh` replaces them from there.

    With --by, the source's own split is taken file by file, and a patient who stands on both sides refuses the
    lock: that is a leak of the source.

    \b
      proctor holdout partition cxr --development 0.5 --export development/
      proctor holdout partition cxr --development 0.5 --reserve 0.3
      proctor holdout partition cxr --by split=test
    """
    from sandbox.custody import drafts, exports
    from sandbox.errors import UsageError
    from sandbox.institution.views import note_export

    workspace = open_workspace(default_home())
    if by is None:
        parts, counted = (
            drafts.partition(workspace, name, development=development, seed=seed, unit=unit, reserve=reserve),
            "patients",
        )
    else:
        column, separator, value = by.partition("=")
        if not separator or not column or not value:
            raise UsageError(f"--by {by!r} is not COLUMN=VALUE. Write it as --by split=test.")
        parts = drafts.partition_by_source(workspace, name, column=column, holdout=frozenset({value}))
        counted = "files"
    if export is not None:
        note_export(workspace, "development", None, holdout=name)
        with console.progress("exporting the development part") as progress:
            exports.export_development(workspace, name, export, unit=unit, progress=progress)
    console.result(
        {counted: parts, "export": str(export) if export else None},
        lambda: console.table(["part", counted], list(parts.items())),
    )


@holdout_app.command("lock")
def lock(
    name: _Name,
    unit: _Unit = "image",
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="Leave out files by code or path, with the reason: --exclude 'byte_equal=export twice'."
        ),
    ] = None,
    training_hashes: Annotated[
        Path | None,
        typer.Option(
            help="SHA-256 of the images that a vendor declares as training data, of files (as sha256sum "
            "writes them) or of pixel data, one a line."
        ),
    ] = None,
) -> None:
    """Lock a hold-out: fix every file by hash, seal the reference standard, enter the root into the ledger.

    Defective files, duplicates, leaks between parts and conflicting labels refuse the lock and are counted; the first
    few are named, with --json all of them with every file. Take files out with --exclude, which needs a reason; what
    was left out stays in the participant flow. Conflicting labels are mended in the table of the reference standard.

    The same command again gives the same version; changed data or exclusions give the next one.

    \b
      proctor holdout lock cxr --exclude 'truncated=broken export' --exclude 'a/7.dcm=phantom'
    """
    from holdout.training_hashes import read_training_hashes
    from sandbox.custody import holdouts
    from sandbox.custody.lock_notes import lock_notes, reference_sentences

    exclusions = exclusions_of(exclude)
    declared = read_training_hashes(training_hashes) if training_hashes else frozenset[str]()
    workspace = open_workspace(default_home())
    try:
        locked = holdouts.lock(
            workspace,
            name,
            unit=unit,
            exclusions=exclusions,
            declared_training=declared,
            progress=console.progress,
        )
    except (LockRefusedError, ReferenceStandardError) as refused:
        problems = len(refused.problems)
        console.result(_refusal(name, refused), lambda: _point_to_all(name, problems))
        raise
    found = lock_notes(workspace, locked)
    data = {
        "name": locked.name, "locked": True, "version": locked.version, "root": locked.root,
        "cases": locked.cases.num_rows, "patients": locked.patients, "instances": locked.instances,
        "left_out": [{"code": code, "reason": reason, "files": files} for code, reason, files in locked.flow],
        "notes": list(locked.notes), "warnings": found["warnings"], "reference": found["reference"],
    }  # fmt: skip

    def human() -> None:
        console.line(
            f"Locked {locked.name} version {locked.version}: {locked.cases.num_rows} cases, "
            f"{locked.patients} patients, {locked.instances} instances."
        )
        console.line(f"Root {locked.root}")
        for code, reason, files in locked.flow:
            console.line(f"left out: {files} files, {code}: {reason}")
        for sentence in (*reference_sentences(found), *locked.notes, *found["warnings"]):
            console.line(f"mind: {sentence}")

    console.result(data, human)


def _refusal(name: str, refused: LockRefusedError | ReferenceStandardError) -> dict[str, Any]:
    """What a machine gets: every problem with every file, where the message names the first few."""
    problems = [
        {"code": "reference_standard", "sentence": problem, "files": []}
        if isinstance(problem, str)
        else {"code": problem.code, "sentence": problem.sentence, "files": list(problem.paths)}
        for problem in refused.problems
    ]
    return {"name": name, "locked": False, "problem": str(refused), "problems": problems}


def _point_to_all(name: str, problems: int) -> None:
    if problems > 1:
        console.message(
            f"All {problems} problems, each with its files: proctor --json holdout lock {name} with the same options."
        )


@holdout_app.command("show")
def show(
    name: Annotated[str | None, typer.Argument(help="Name of the hold-out; all if left out.")] = None,
) -> None:
    """Show a hold-out: what was ingested, how it is partitioned, which versions are locked.

    \b
      proctor holdout show
      proctor holdout show cxr
    """
    from sandbox.custody import holdouts
    from sandbox.institution.views import note_seen

    workspace = open_workspace(default_home())
    if name is None:
        rows = [
            (each, ", ".join(holdouts.versions(workspace, each)) or "draft")
            for each in holdouts.names(workspace)
        ]
        console.result(
            [{"name": each, "versions": locked} for each, locked in rows],
            lambda: console.table(["hold-out", "locked versions"], rows),
        )
        return
    item = holdouts.draft(workspace, name)
    note_seen(workspace, "holdout", holdout=name)
    parts = item.parts()
    data = {
        "name": name,
        "source": str(item.source),
        "ingested": item.ingested,
        "files": item.summary["files"],
        "by_status": item.summary["by_status"],
        "unknown_by_column": item.summary["unknown_by_column"],
        "patients_by_part": (
            {row["values"]: row["counts"] for row in parts["part"].value_counts().to_pylist()}
            if parts is not None else None
        ),
        "versions": [],
    }  # fmt: skip
    for version in holdouts.versions(workspace, name):
        locked = holdouts.open_holdout(workspace, name, version)
        data["versions"].append(
            {"version": version, "root": locked.root, "unit": locked.unit, "cases": locked.cases.num_rows,
             "patients": locked.patients, "instances": locked.instances, "labels": list(locked.labels)}
        )  # fmt: skip

    def human() -> None:
        for key in ("name", "source", "ingested", "files"):
            console.line(f"{key}: {data[key]}")
        console.table(["status", "files"], list(item.summary["by_status"].items()))
        _tell_unknown(item.summary["unknown_by_column"], item.summary["by_status"].get("ok", 0))
        if data["patients_by_part"]:
            console.table(["part", "patients"], list(data["patients_by_part"].items()))
        for version in data["versions"]:
            console.line("")
            console.table(["locked", "value"], list(version.items()))

    console.result(data, human)


@holdout_app.command("search")
def search(
    name: _Name,
    where: Annotated[
        str,
        typer.Argument(
            help="A condition on index columns, e.g. \"modality = 'DX' AND patient_age_years > 60\"."
        ),
    ] = "true",
    columns: Annotated[
        str, typer.Option(help="Columns to show, comma separated.")
    ] = "path,status,modality,manufacturer,patient_sex,patient_age_years",
    limit: Annotated[int, typer.Option(help="Rows to show.", min=1, max=100_000)] = 20,
) -> None:
    """Search the index of a hold-out with an SQL condition; nothing but the index can be reached.

    \b
      proctor holdout search cxr "modality = 'DX' AND patient_age_years > 60"
      proctor holdout search cxr "status <> 'ok'" --columns path,status
    """
    from holdout.search import search as search_index
    from sandbox.custody import holdouts
    from sandbox.errors import UsageError

    workspace = open_workspace(default_home())
    item = holdouts.draft(workspace, name)
    holdouts.note_search(workspace, name)
    try:
        found = search_index(
            item.folder / "index.parquet",
            where,
            columns=[each.strip() for each in columns.split(",")],
            limit=limit,
        )
    except FilterError as error:
        raise UsageError(str(error)) from error
    rows = found.to_pylist()
    console.result(rows, lambda: console.table(found.column_names, [list(row.values()) for row in rows]))
