"""What a vendor says beside an image, as options of the commands that take one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Image = Annotated[Path, typer.Argument(help="Archive from `docker save -o IMAGE.tar IMAGE`.")]
Contract = Annotated[
    str | None,
    typer.Option(
        help="worker, files, grand-challenge, medperf or map; left out: what the image says of itself."
    ),
]
ContractFile = Annotated[
    Path | None,
    typer.Option(
        help="What the contract needs beside the image: inputs, mount paths (container_config.yaml)."
    ),
]
Answer = Annotated[
    str | None,
    typer.Option(
        help="Where the output holds the answer: FILE.json#/json/pointer or FILE.csv#KEY=VALUE; {case} and "
        "{output} stand for the case and for each number's name."
    ),
]
Signature = Annotated[
    Path | None,
    typer.Option(
        help="Signature over the image's digest, or what cosign wrote (a bundle, or downloaded lines)."
    ),
]
SignaturePayload = Annotated[
    Path | None, typer.Option(help="The payload that cosign signed, where it is a file of its own.")
]
ParametersFile = Annotated[
    Path | None, typer.Option(help="Parameters that the contract file asks for (medperf).")
]
AdditionalFiles = Annotated[
    Path | None, typer.Option(help="Tar of weights beside the image (medperf, grand-challenge).")
]
