"""What is asked of a container: every case of the hold-out once as it is, and every stressed case once.

Both are put in one random order, under the same kind of name, by the same containers: nothing but its content tells a
container which of them a question is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from holdout.uids import keyed_token
from sandbox.asking.journal import Ended, Journal
from sandbox.stress.asking import CLEAN

Session = Literal["main", "fresh", "threads", "batch"]
"""Which containers are asked: those of the run, or some of their own, started for it, with fewer processors, as
another set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question about a case.

    Attributes:
        token: the pseudonym that the container sees; the name of a stressed ask in its journal.
        perturbation, severity: what is done to the case; None for the case as it is.
        donor: the case whose pixels are shown, or None.
        key: secret of a stressed ask; its identifiers follow from it.
    """

    token: str
    case_id: str
    perturbation: str | None = None
    severity: int = 0
    donor: str | None = None
    session: Session = "main"
    key: bytes = b""

    @property
    def stressed(self) -> bool:
        """Whether it belongs to the stress tests, those that change nothing included."""
        return self.perturbation is not None

    @property
    def change(self) -> str:
        """Name of what changes the files of a stressed ask; a run variant changes nothing."""
        assert self.perturbation is not None
        return CLEAN if self.perturbation.startswith("repeat_") else self.perturbation


def in_order(asks: Iterable[Ask], run_key: bytes) -> list[Ask]:
    """Put asks into the order of a run: random to who does not have its key."""
    return sorted(asks, key=lambda ask: keyed_token(run_key, "order", ask.token))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept of a stressed answer in its place; with ``failure`` it does not count as one."""

    values: Mapping[str, object] | None
    failure: str | None = None


Keep = Callable[[Ask, list[int]], Kept]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journals:
    """How the asks ended: cases by their id, stressed asks by their token.

    ``keep`` says what is kept of stressed answers that are too large to be kept themselves.
    """

    clean: Journal
    stressed: Journal | None = None
    keep: Keep | None = None

    @property
    def ended(self) -> int:
        """How many asks have ended."""
        return len(self.clean.ended) + (0 if self.stressed is None else len(self.stressed.ended))

    def holds(self, ask: Ask) -> bool:
        """Tell whether an ask has ended."""
        return self._name(ask) in self._of(ask).ended

    def ending(
        self,
        ask: Ask,
        *,
        levels: list[int] | None = None,
        failure: str | None = None,
        seconds: float = 0.0,
        container: str = "",
    ) -> Ended:
        """How an ask ended; without ``container`` no container was asked."""
        kept = None
        if levels is not None and ask.stressed and self.keep is not None:
            found = self.keep(ask, levels)
            levels, kept, failure = None, found.values, found.failure
        return Ended(
            case_id=self._name(ask),
            levels=levels,
            failure=failure,
            seconds=seconds,
            container=container,
            kept=kept,
        )

    def append(self, ask: Ask, ending: Ended) -> None:
        """Write down how an ask ended."""
        self._of(ask).append(ending)

    def _of(self, ask: Ask) -> Journal:
        if not ask.stressed:
            return self.clean
        assert self.stressed is not None, "a run without stress puts no stressed ask"
        return self.stressed

    @staticmethod
    def _name(ask: Ask) -> str:
        return ask.token if ask.stressed else ask.case_id
