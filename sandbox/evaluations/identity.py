"""What makes two evaluations the same: hold-out, submission, protocol, policy and code, each by digest."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sandbox.canonical import digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Everything that decides a result. Change any of it and it is another evaluation.

    Attributes:
        holdout, version: name and version of the locked hold-out, for people.
        root: the hold-out's Merkle root, in hexadecimal.
        submission: the image digest.
        protocol, policy: digests of their canonical JSON.
        code: digest over Proctor's own code.
    """

    holdout: str
    version: str
    root: str
    submission: str
    protocol: str
    policy: str
    code: str

    @property
    def evaluation(self) -> str:
        """Name of the evaluation: ``e-`` and 16 hexadecimal digits of the digest over all of the above."""
        return "e-" + digest({"format": "proctor-evaluation/1", **asdict(self)}).removeprefix("sha256:")[:16]
