"""``proctor kit``: for vendors, a container to start from, and the institution's checks before handing in."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sandbox.asking import kit
from sandbox.commands import console
from sandbox.commands.submission_options import (
    AdditionalFiles,
    Answer,
    Contract,
    ContractFile,
    Image,
    ParametersFile,
    Signature,
    SignaturePayload,
)
from sandbox.institution.policy import load_policy
from sandbox.institution.workspace import DEFAULT_POLICY
from sandbox.plan.protocol import load_protocol
from sandbox.submissions import Wanted

kit_app = typer.Typer(
    help="For vendors: a container to start from, and checks before handing in.", no_args_is_help=True
)
_PROTOCOL = DEFAULT_POLICY.with_name("protocols") / "synthetic-cxr.yaml"


@kit_app.command("new")
def new(
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet.", metavar="DIR")],
    task: Annotated[
        str, typer.Option(help=f"What is asked about a case: {', '.join(kit.TASKS)}.")
    ] = "binary",
    contract: Annotated[str, typer.Option(help=f"One of {', '.join(kit.contracts())}.")] = "worker",
    form: Annotated[
        str, typer.Option(help=f"What a detection finds: {', '.join(kit.FORMS)}.")
    ] = "boxes_in_image",
) -> None:
    """Write a container that runs, with its test: put your model into model.py.

    \b
      proctor kit new --task binary --contract worker acme
      proctor kit new --task detection --form points_in_volume nodules
      python3 acme/test_container.py
      docker build -t acme acme && docker save -o acme.tar acme
      proctor kit check acme.tar
    """
    files = kit.new(folder, task=task, contract=contract, form=form)
    options = kit.options(folder, contract)
    console.result(
        {"folder": str(folder), "files": list(files), "options": list(options)},
        lambda: console.line(
            f"Wrote {', '.join(files)} to {folder}. Next: python3 {folder}/test_container.py; when the image is "
            f"saved: {shlex.join(['proctor', 'kit', 'check', 'IMAGE.tar', *options])}"
        ),
    )


@kit_app.command("check")
def check(
    image: Image,
    contract: Contract = None,
    contract_file: ContractFile = None,
    answer: Answer = None,
    signature: Signature = None,
    signature_payload: SignaturePayload = None,
    parameters_file: ParametersFile = None,
    additional_files: AdditionalFiles = None,
    policy: Annotated[Path, typer.Option(help="The institution's policy.")] = DEFAULT_POLICY,
    protocol: Annotated[Path, typer.Option(help="The protocol whose answer is asked for.")] = _PROTOCOL,
) -> None:
    """Check an image as an institution would: admission, a synthetic case, and whether its answers are its own.

    The same input twice, shuffled order, one case at a time against many: what differs says whether chance decides
    or state leaks from case to case. All under the institution's posture and limits, on synthetic images; the posture
    is measured here first, so that you see whether your engine gives what the institution's does. Needs a container
    engine and no workspace. Exit code 0 when every check holds, 1 when one does not, 2 for wrong usage,
    4 when the engine is missing or broken.

    \b
      proctor kit check acme.tar
      proctor kit check model.tar --contract-file container_config.yaml --answer '{case}.json'
    """
    wanted = Wanted(
        contract=contract,
        contract_file=contract_file,
        answer=answer,
        signature=signature,
        signature_payload=signature_payload,
        parameters_file=parameters_file,
        additional_files=additional_files,
    )
    report = kit.check(image, load_policy(policy), load_protocol(protocol), wanted, progress=console.progress)

    def human() -> None:
        console.table(
            ["check", "held", "what to do"],
            [(item.name, "yes" if item.held else "no", item.sentence) for item in report.checks],
        )
        if report.posture is not None:
            console.line(f"Still visible to a container: {', '.join(report.posture['visible'])}.")

    console.result({**asdict(report), "held": report.held}, human)
    if not report.held and report.log:
        console.message("The end of what your container wrote:")
        console.message(console.printable(report.log))
    raise typer.Exit(0 if report.held else 1)
