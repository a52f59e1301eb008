"""``proctor submission``: admit a vendor's image, list and show what was admitted."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from sandbox import submissions
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
from sandbox.institution.workspace import default_home, open_workspace
from sandbox.submissions import Submission, Wanted

submission_app = typer.Typer(
    help="Admit vendors' container images; list and show them.", no_args_is_help=True
)


@submission_app.command("admit")
def admit(
    image: Image,
    vendor: Annotated[str, typer.Option(help="Short name of the vendor, e.g. acme.")],
    contract: Contract = None,
    contract_file: ContractFile = None,
    answer: Answer = None,
    signature: Signature = None,
    signature_payload: SignaturePayload = None,
    parameters_file: ParametersFile = None,
    additional_files: AdditionalFiles = None,
) -> None:
    """Check an image archive without running it, and keep it.

    The digest is computed here from the archive's own bytes; whatever the vendor calls the image does not matter.
    A refusal (exit code 3) comes with a code and a sentence that may be passed on to the vendor.

    \b
      docker save -o acme.tar acme/model:1.4
      proctor submission admit acme.tar --vendor acme
      proctor submission admit algorithm.tar.gz --vendor acme --contract-file inputs.yaml \
          --answer malignancy-likelihood.json
    """
    workspace = open_workspace(default_home())
    with console.progress("reading the archive") as progress:
        submission = submissions.admit(
            workspace,
            load_policy(workspace.policy_path),
            image,
            vendor=vendor,
            wanted=Wanted(
                contract=contract,
                contract_file=contract_file,
                answer=answer,
                signature=signature,
                signature_payload=signature_payload,
                parameters_file=parameters_file,
                additional_files=additional_files,
            ),
            progress=progress,
        )
    console.result(
        _data(submission),
        lambda: console.line(
            f"Admitted {submission.digest} from {vendor} under the {submission.contract} contract."
        ),
    )


@submission_app.command("list")
def list_() -> None:
    """List the admitted submissions, oldest first.

    \b
      proctor submission list
    """
    known = submissions.submissions(open_workspace(default_home()))
    console.result(
        [_data(item) for item in known],
        lambda: console.table(
            ["vendor", "image digest", "contract", "admitted (UTC)", "MB"],
            [(i.vendor, i.digest[:23], i.contract, i.admitted, round(i.size / 1e6, 1)) for i in known],
        ),
    )


@submission_app.command("show")
def show(
    submission: Annotated[str, typer.Argument(help="Vendor name, or the beginning of the digest.")],
) -> None:
    """Show what admission found out about one submission.

    \b
      proctor submission show acme
    """
    item = submissions.find(open_workspace(default_home()), submission)
    console.result(
        _data(item), lambda: console.table(["fact", "value"], [(k, v) for k, v in _data(item).items() if k != "facts"]
                                           + [(k, v) for k, v in item.facts.items() if k != "packages"]
                                           + [("packages", _packages(item))])
    )  # fmt: skip


def _packages(item: Submission) -> str:
    """How many packages of each kind; the list itself is in the JSON output."""
    kinds = Counter(package["kind"] for package in item.facts.get("packages", ()))
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none listed"


def _data(item: Submission) -> dict[str, object]:
    return {
        "vendor": item.vendor,
        "digest": item.digest,
        "contract": item.contract,
        "settings": item.settings,
        "answer": item.answer,
        "attached": item.attached,
        "admitted": item.admitted,
        "archive_sha256": item.archive_sha256,
        "size": item.size,
        "facts": item.facts,
    }
