"""``proctor evaluate``, ``evaluation``, ``report``, ``dossier`` and ``verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.commands import console
from sandbox.commands.output_file import output_file
from sandbox.institution.workspace import default_home, open_workspace

evaluation_app = typer.Typer(help="List and show evaluations.", no_args_is_help=True)
_Id = Annotated[str, typer.Argument(help="Evaluation id, or its beginning.", metavar="EVALUATION")]
VERDICT_EXIT = {"met": 0, "not_met": 1, "cannot_tell": 5, None: 0}


def evaluate(
    holdout: Annotated[str, typer.Option(help="Name of the locked hold-out.")],
    submission: Annotated[str, typer.Option(help="Vendor name or image digest of an admitted submission.")],
    protocol: Annotated[str, typer.Option(help="Registered protocol: its file, name or digest.")],
    internal: Annotated[
        bool, typer.Option("--internal", help="For the institution alone: nothing of it is ever released.")
    ] = False,
) -> int:
    """Run one submission on one locked hold-out under one registered protocol, and score it.

    Refused before any case is shown when the budget for this hold-out could not pay the release that would follow;
    --internal runs it all the same, and then nothing of it can ever be released.

    The same command resumes an interrupted evaluation, and shows a finished one without running it again.
    The verdict decides the exit code: 0 met, 1 a criterion not met, 5 the data cannot tell.

    \b
      proctor evaluate --holdout cxr --submission acme --protocol PROTOCOL.yaml
    """
    from sandbox.evaluations import evaluation, reporting
    from sandbox.evaluations.evaluate import evaluate as carry_out

    workspace = open_workspace(default_home())
    item = carry_out(
        workspace, holdout=holdout, submission=submission, protocol=protocol, say=console.message,
        progress=console.progress, internal=internal,
    )  # fmt: skip
    with console.progress("writing the report"):
        reason = reporting.publish(workspace, item)
    if reason is not None:
        console.message(f"{reason}. The evaluation itself is complete; run the same command to try again.")
    _tell(evaluation.find(workspace, item.id))
    return VERDICT_EXIT[item.verdict]


@evaluation_app.command("list")
def list_() -> None:
    """List evaluations, oldest first, finished or not.

    \b
      proctor evaluation list
    """
    from sandbox.evaluations import evaluation

    items = evaluation.evaluations(open_workspace(default_home()))
    console.result(
        [item.data() for item in items],
        lambda: console.table(
            ["evaluation", "hold-out", "vendor", "protocol", "verdict", "finished (UTC)"],
            [(i.id, i.holdout, i.vendor, i.protocol_name, i.verdict or i.state, i.finished) for i in items],
        ),
    )


@evaluation_app.command("show")
def show(identifier: _Id) -> None:
    """Show one evaluation: verdict, criteria and where its files are.

    \b
      proctor evaluation show e-2021611d
    """
    from sandbox.evaluations import evaluation
    from sandbox.institution.views import note_seen

    workspace = open_workspace(default_home())
    item = evaluation.find(workspace, identifier)
    note_seen(workspace, "evaluation", evaluation=item.id)
    _tell(item)


def report(
    identifier: _Id,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Copy the page to this file.")] = None,
    audience: Annotated[
        str, typer.Option("--for", help="institution, or vendor: only what was issued by a release.")
    ] = "institution",
) -> None:
    """Write (again, if need be) the report of an evaluation, and say where it is.

    One self-contained page without any script. Its digest is in the ledger; equal inputs give equal bytes. The
    vendor's copy is the page of the newest issued release, byte for byte, and nothing else.

    \b
      proctor report e-2021611d
      proctor report e-2021611d --for vendor -o acme.html
    """
    from sandbox.errors import UsageError
    from sandbox.evaluations import evaluation, reporting
    from sandbox.evidence.durable import write_durable
    from sandbox.institution.views import note_export
    from sandbox.release.workflow import issued_page

    if output is not None:
        output_file(output)
    workspace = open_workspace(default_home())
    item = evaluation.find(workspace, identifier)
    if audience not in ("institution", "vendor"):
        raise UsageError("--for must be institution or vendor.")
    if audience == "vendor":
        path = issued_page(workspace, item)
    else:
        path = reporting.write_report(workspace, item)
        reporting.note_view(workspace, item)
    if output is not None:
        page = path.read_bytes()
        note_export(workspace, "report", page, evaluation=item.id, audience=audience)
        write_durable(output, page)
        path = output
    console.result({"report": str(path)}, lambda: console.line(str(path)))


def dossier(
    identifier: _Id,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.", metavar="FILE.zip")],
) -> None:
    """Write the evidence file of an evaluation, for a regulator.

    It holds the protocol, the results, the report, the measured posture, the ledger entries they rest on and the
    proofs that those entries are in the signed log. No case, no image, no label, no log.

    \b
      proctor dossier e-2021611d -o acme.zip
      proctor verify acme.zip --key ledger.vkey
    """
    from sandbox.evaluations import evaluation, reporting
    from sandbox.institution.views import note_export

    output_file(output)
    workspace = open_workspace(default_home())
    item = evaluation.find(workspace, identifier)
    reporting.write_dossier(workspace, item, output)
    note_export(workspace, "dossier", output.read_bytes(), evaluation=item.id)

    def human() -> None:
        console.line(f"Dossier written to {output}.")
        console.line(f"Check it anywhere with: proctor verify {output} --key '{workspace.verifier_key}'")

    console.result({"dossier": str(output), "verifier_key": workspace.verifier_key}, human)


def verify(
    path: Annotated[Path, typer.Argument(help="A dossier.", metavar="FILE.zip")],
    key: Annotated[
        str | None,
        typer.Option(help="The institution's verifier key, or its file; obtained apart from the dossier."),
    ] = None,
) -> int:
    """Check a dossier offline. Needs no workspace, no engine and no network.

    Give --key: without it the dossier can only be checked against the key that it brings along itself, which
    shows that it is whole but not who made it. Exit code 4 when anything does not hold.

    \b
      proctor verify acme.zip --key ledger.vkey
      proctor verify acme.zip --key 'proctor/0661f8f9598e42bc+7d689eaf+AeTp0YtS...'
    """
    from sandbox.errors import UsageError
    from sandbox.evidence.verification import verify_dossier

    if not path.is_file():
        raise UsageError(f"{path} is not a file. Give the dossier, a zip file.")
    checks = verify_dossier(path, trusted_key=_verifier_key(key) if key is not None else None)
    held = all(check.held for check in checks)

    def human() -> None:
        console.table(
            ["", "check", "finding"],
            [("FAILED" if not c.held else "MIND" if c.warning else "ok", c.name, c.sentence) for c in checks],
        )
        console.line(f"{path} {'holds' if held else 'does NOT hold'}.")

    console.result(
        {
            "held": held,
            "key_given": key is not None,
            "checks": [
                {"name": c.name, "held": c.held, "warning": c.warning, "sentence": c.sentence} for c in checks
            ],
        },
        human,
    )
    return 0 if held else 4


def _verifier_key(given: str) -> str:
    """Text of a verifier key that was given as itself or as its file.

    A key mistyped is no fault of the dossier, so it must not end as one.
    """
    from sandbox.errors import NoteError, UsageError
    from sandbox.evidence.keys import parse_verifier

    text = given.strip()
    try:
        if "+" not in text or Path(text).is_file():
            text = Path(text).read_text(encoding="ascii").strip()
        return parse_verifier(text).text
    except (OSError, ValueError) as error:
        raise UsageError(
            "--key is neither a verifier key (name+id+base64) nor a file that holds one. Ask the institution for "
            "its ledger.vkey."
        ) from error
    except NoteError as error:
        raise UsageError(f"--key: {error}. Ask the institution for its ledger.vkey.") from error


def _tell(item: object) -> None:
    from sandbox.evaluations.evaluation import Evaluation

    assert isinstance(item, Evaluation)

    def human() -> None:
        console.line(f"Evaluation {item.id}: {item.vendor} on {item.holdout} under {item.protocol_name}")
        console.line(
            f"State: {item.state}" + (f", verdict: {item.verdict.replace('_', ' ')}" if item.verdict else "")
        )
        for criterion in item.criteria:
            console.line(f"  {criterion}")
        for name, where in item.files.items():
            console.line(f"{name}: {where}")

    console.result(item.data(), human)
