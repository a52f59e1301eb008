"""Whether a container answers the same image alike: again, in another order, alone and among many.

Every comparison is between rounds of synthetic cases, each put to fresh containers under the institution's posture
and compared as an evaluation would keep the answers. A difference between two rounds that are the same in
everything is chance; one that only appears when other cases came before is state that leaks from case to case.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from runners.contracts.interface import ContractRun
from runners.contracts.registry import CONTRACTS
from runners.worker import CaseOutcome, SessionEvent
from sandbox.asking.predictions import typed_answer
from sandbox.asking.smoke import synthetic_cases
from sandbox.plan.protocol import Protocol

State = Literal["none seen", "leaks", "cannot tell"]
Levels = tuple[int, ...] | None

_IMAGES = 4
_ALONE = 2
_CHANCE = (
    "The same images in the same order get other answers in another container: fix random seeds, threads, and "
    "whatever reads the clock."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KitCheck:
    """One check: its name, whether it held, and what to do about it."""

    name: str
    held: bool
    sentence: str


class Rounds:
    """Puts rounds of synthetic cases to fresh containers; ``picks`` are those of ``synthetic_cases``."""

    def __init__(self, contract: str, request: ContractRun, protocol: Protocol) -> None:
        self._contract, self._request, self._protocol = contract, request, protocol
        self.log = b""

    def outcomes(self, picks: Sequence[int]) -> list[CaseOutcome]:
        """What became of each case, in order."""
        with tempfile.TemporaryDirectory(prefix="proctor-kit-") as folder:
            staged, root = Path(folder, "staged"), Path(folder, "input")
            staged.mkdir()
            root.mkdir()
            request = replace(self._request, input_root=root, on_event=self._keep)
            cases = synthetic_cases(staged, self._protocol, picks)
            return list(CONTRACTS[self._contract].run(request, cases))

    def levels(self, picks: Sequence[int]) -> list[Levels]:
        """Typed answers in order."""
        return self.typed(self.outcomes(picks))

    def typed(self, outcomes: Sequence[CaseOutcome]) -> list[Levels]:
        """Answers as an evaluation would keep them; None for a case without one."""
        output = self._protocol.output
        return [None if item.answer is None else typed_answer(item.answer, output) for item in outcomes]

    def _keep(self, event: SessionEvent) -> None:
        self.log = event.log_tail or self.log


def determinism(rounds: Rounds) -> tuple[list[KitCheck], State]:
    """Carry out the smoke case and every comparison; says also whether state leaks from case to case."""
    (smoke,) = rounds.outcomes([0])
    if smoke.failure is not None:
        failed = KitCheck(name="smoke", held=False, sentence=f"{smoke.failure}: {smoke.failure.sentence}")
        return [failed], "cannot tell"
    found = [KitCheck(name="smoke", held=True, sentence="A synthetic case is answered.")]
    images = list(range(_IMAGES))
    together = rounds.outcomes([*images, *images])
    lost = next((item.failure for item in together if item.failure is not None), None)
    if lost is not None:
        sentence = f"Of several cases, one is not answered: {lost}: {lost.sentence}"
        return [*found, KitCheck(name="several cases", held=False, sentence=sentence)], "cannot tell"
    found.append(KitCheck(name="several cases", held=True, sentence="All cases are answered."))

    once, again = rounds.levels(images), rounds.levels(images)
    by_chance = once != again
    twice = rounds.typed(together)
    order = images.copy()
    random.Random(1).shuffle(order)  # noqa: S311 - any order will do, the same one each time
    shuffled = rounds.levels(order)
    alone = [rounds.levels([image])[0] for image in images[:_ALONE]]
    repeats = twice[:_IMAGES] == twice[_IMAGES:]
    in_order = [shuffled[order.index(image)] for image in images] == once
    apart = alone == once[:_ALONE]
    found += [
        _check("same input twice", not by_chance and repeats, by_chance, "asked again later, a case gets"),
        _check("shuffled order", in_order, by_chance, "in another order, cases get"),
        _check("alone and among many", apart, by_chance, "in a fresh container, a case gets"),
    ]
    if by_chance:
        return found, "cannot tell"
    return found, "none seen" if repeats and in_order and apart else "leaks"


def _check(name: str, held: bool, by_chance: bool, what: str) -> KitCheck:
    leak = f"State leaks from case to case: {what} another answer. Keep nothing between cases."
    return KitCheck(
        name=name, held=held, sentence="Equal answers." if held else _CHANCE if by_chance else leak
    )
