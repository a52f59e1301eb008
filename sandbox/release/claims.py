"""Claims: what a vendor says of its submission before the run, registered in the ledger.

    proctor: claims/1
    claims:
      - {name: auroc-80, metric: auroc, bound: lower, at_least: "0.80"}
      - {name: finds-them, metric: sensitivity, operating_point: screening, at_least: "0.90"}
    declared: {metric: auroc, value: "0.83"}          # for the mechanism thresholdout

A claim is answered on the value that the rules of release would let out, so that its answer tells nothing that the
rounded value would not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from holdout.yamlfile import read_yaml, validate
from sandbox import submissions
from sandbox.canonical import digest
from sandbox.custody import holdouts
from sandbox.errors import ClaimError, ReleaseError, ReleaseRefusedError
from sandbox.evidence.ledger import Ledger
from sandbox.institution.workspace import Workspace, entry, open_ledger, short, write_json
from sandbox.plan import protocols
from sandbox.reuse.claim import Claim

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Share = Annotated[str, StringConstraints(pattern=r"^(0(\.\d{1,4})?|0?\.\d{1,4}|1(\.0{1,4})?)$")]
Metric = Literal["auroc", "sensitivity", "specificity", "ppv", "npv"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StatedClaim(_Part):
    """One claim, as a vendor writes it."""

    name: Name
    metric: Metric
    operating_point: Name | None = None
    stratum: Annotated[str, StringConstraints(pattern=r"^[^=/]{1,200}=[^/]{1,200}$")] | None = None
    bound: Literal["value", "lower", "upper"] = "value"
    at_least: Share | None = None
    at_most: Share | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either at_least or at_most.")
        if (self.metric == "auroc") == (self.operating_point is not None):
            raise ValueError("an operating_point goes with every metric but auroc.")
        return self

    @property
    def claim(self) -> Claim:
        """The same, for the mechanism."""
        limit = self.at_least if self.at_least is not None else self.at_most
        assert limit is not None
        return Claim(
            name=self.name,
            metric=self.metric,
            operating_point=self.operating_point,
            stratum=self.stratum,
            bound=self.bound,
            direction="at_least" if self.at_least is not None else "at_most",
            limit=float(limit),
        )


class Declared(_Part):
    """The value that a vendor measured on its own data."""

    metric: Metric
    operating_point: Name | None = None
    value: Share


class Claims(_Part):
    """Everything that a vendor says before one evaluation."""

    proctor: Literal["claims/1"]
    claims: Annotated[tuple[StatedClaim, ...], Field(max_length=64)] = ()
    declared: Declared | None = None

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [claim.name for claim in self.claims]
        if len(set(names)) < len(names):
            raise ValueError("two claims have the same name.")
        if not names and self.declared is None:
            raise ValueError("there is nothing in it: give claims, or declared.")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredClaims:
    """Claims, their digest, and the ledger entry that shows when they were made."""

    claims: Claims
    digest: str
    entry: int


def load_claims(path: Path) -> Claims:
    """Read and check a file of claims.

    Raises:
        ClaimError: every mistake, each with file, line and path.
    """
    return validate(read_yaml(path, ClaimError), Claims, ClaimError)


def register_claims(
    workspace: Workspace, path: Path, *, holdout: str, submission: str, protocol: str
) -> RegisteredClaims:
    """Enter claims for one evaluation into the ledger, before its run.

    Raises:
        ReleaseRefusedError: the run has begun already, or other claims were registered for it.
    """
    claims = load_claims(path)
    plain = claims.model_dump(mode="json")
    locked = holdouts.open_holdout(workspace, holdout)
    admitted = submissions.find(workspace, submission)
    registered = protocols.find(workspace, protocol)
    about = {
        "holdout": locked.name,
        "root": locked.root,
        "submission": admitted.digest,
        "protocol": registered.digest,
    }
    with open_ledger(workspace) as ledger:
        known = ledger.find(kind="claim-registered", **about)
        if known and known[-1].subject["claim"] != digest(plain):
            raise ReleaseRefusedError(
                "Other claims stand registered for this submission, hold-out and protocol. Claims are made once."
            )
        if not known:
            if ledger.find(kind="evaluation-started", **about):
                raise ReleaseRefusedError("This evaluation has begun. Claims are registered before the run.")
            write_json(_path(workspace, digest(plain)), plain)
            ledger.append(entry("claim-registered", subject={**about, "claim": digest(plain)}))
            known = ledger.find(kind="claim-registered", **about)
    return RegisteredClaims(claims=claims, digest=digest(plain), entry=known[-1].index)


def find_claims(
    workspace: Workspace, ledger: Ledger, started: dict[str, Any], before: int
) -> RegisteredClaims:
    """The claims that were registered for an evaluation before ledger entry ``before``.

    Raises:
        ReleaseRefusedError: there are none.
        ReleaseError: their file was changed or lost.
    """
    about = {name: started[name] for name in ("holdout", "root", "submission", "protocol")}
    known = [each for each in ledger.find(kind="claim-registered", **about) if each.index < before]
    if not known:
        raise ReleaseRefusedError(
            "No claim was registered before this run, so there is nothing to answer. See: proctor claim register"
        )
    path = _path(workspace, known[-1].subject["claim"])
    try:
        plain = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{path} cannot be read. Restore it from a backup of the workspace.") from error
    if digest(plain) != known[-1].subject["claim"]:
        raise ReleaseError(f"{path} is not the file that was registered. Restore it from a backup.")
    return RegisteredClaims(claims=Claims.model_validate(plain), digest=digest(plain), entry=known[-1].index)


def _path(workspace: Workspace, claim: str) -> Path:
    folder = workspace.home / "claims"
    folder.mkdir(exist_ok=True)
    return folder / f"{short(claim)}.json"
