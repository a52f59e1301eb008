"""``proctor kit``: for vendors, a container to start from, and the institution's checks before handing in."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sandbox import kit
from sandbox.commands import console
from sandbox.policy import load_policy
from sandbox.protocol import load_protocol
from sandbox.submissions import Wanted
from sandbox.workspace import DEFAULT_POLICY

kit_app = typer.Typer(
    help="For vendors: a container to start from, and checks before handing in.", no_args_is_help=True
)
_PROTOCOL = DEFAULT_POLICY.with_name("protocols") / "synthetic-cxr.yaml"


@kit_app.command("new")
def new(
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet.", metavar="DIR")],
    task: Annotated[str, typer.Option(help="What is asked about a case: binary.")] = "binary",
    contract: Annotated[str, typer.Option(help="worker, files or grand-challenge.")] = "worker",
) -> None:
    """Write a container that runs, with its test: put your model into model.py.

    \b
      proctor kit new --task binary --contract worker acme
      python3 acme/test_container.py
    """
    files = kit.new(folder, task=task, contract=contract)
    console.result(
        {"folder": str(folder), "files": list(files)},
        lambda: console.line(
            f"Wrote {', '.join(files)} to {folder}. Next: python3 {folder}/test_container.py"
        ),
    )


@kit_app.command("check")
def check(
    image: Annotated[Path, typer.Argument(help="Archive from `docker save -o IMAGE.tar IMAGE`.")],
    contract: Annotated[str | None, typer.Option(help="As for `proctor submission admit`.")] = None,
    contract_file: Annotated[Path | None, typer.Option(help="As for `proctor submission admit`.")] = None,
    answer: Annotated[str | None, typer.Option(help="As for `proctor submission admit`.")] = None,
    signature: Annotated[Path | None, typer.Option(help="As for `proctor submission admit`.")] = None,
    policy: Annotated[Path, typer.Option(help="The institution's policy.")] = DEFAULT_POLICY,
    protocol: Annotated[Path, typer.Option(help="The protocol whose score is asked for.")] = _PROTOCOL,
) -> None:
    """Check an image as an institution would: admission, a synthetic case, the same input twice, shuffled order.

    Needs a container engine and no workspace. Exit code 1 when a check does not hold.
    """
    wanted = Wanted(contract=contract, contract_file=contract_file, answer=answer, signature=signature)
    report = kit.check(image, load_policy(policy), load_protocol(protocol), wanted, progress=console.progress)
    console.result(
        {**asdict(report), "held": report.held},
        lambda: console.table(
            ["check", "held", "what to do"],
            [(item.name, "yes" if item.held else "no", item.sentence) for item in report.checks],
        ),
    )
    if not report.held and report.log:
        console.message("The end of what your container wrote:")
        console.message(console.printable(report.log))
    raise typer.Exit(0 if report.held else 1)
