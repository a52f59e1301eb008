"""Withholding the few numbers that would tell too much, so that the rest may leave.

The audit says which cells would be told too exactly and which constraints hold them there (those with a price in the
linear programme). Of the numbers that brought such a constraint the least useful one is withheld, and the audit is
asked again, until nothing is too narrow. What is least useful is fixed beforehand: ends of intervals before values,
strata before all cases, numbers before verdicts.

That a number is withheld is an answer as well. It is one of the levels that the field is charged for, whatever it
tells stays below the charge; its reason is the same sentence for every such field and names no count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sandbox.disclosure.audit import Audit, audit
from sandbox.disclosure.cells import ALL
from sandbox.disclosure.fields import Constraint, ReleasedField, RuleName, RuleVerdict, Screened
from sandbox.disclosure.solutions import SolutionBlock

_TOO_EXACT = "With all that was told of this hold-out before, it would tell a protected count too exactly."
_INCOMPLETE = "It would tell a part that is withheld."


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What somebody knows beside the released numbers, such as how two submissions' calls differ.

    Attributes:
        constraints: on cells of the releases and on cells of their own.
        widths: cells to be protected, and the width that each must keep.
    """

    constraints: tuple[Constraint, ...] = ()
    widths: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What may leave after withholding: the fields, the audit of them, and the paths that the audit took out."""

    screened: Screened
    audit: Audit
    withheld: tuple[str, ...]


def keep_safe(
    screened: Screened,
    so_far: Sequence[Constraint],
    *,
    protected: Sequence[str],
    minimum_width: int,
    links: Links,
    known: Sequence[SolutionBlock] = (),
    withheld: Sequence[str] = (),
) -> Kept:
    """Withhold fields until the audit passes, or nothing is left that could be withheld.

    Args:
        screened: the outcome of the rules.
        so_far: constraints of all releases issued for this hold-out version.
        protected: cells of those releases.
        minimum_width: the policy's.
        links: further knowledge to be held against the cells.
        known, withheld: outcome of an earlier call; both are only where the search begins.

    Returns:
        The last state; its audit says whether it is safe.
    """
    told_before = set(so_far)
    taken = dict.fromkeys(withheld)
    while True:
        kept = without(screened, taken, rule="audit", sentence=_TOO_EXACT)
        found = audit(
            so_far,
            (*kept.constraints, *links.constraints),
            protected=tuple(dict.fromkeys((*protected, *kept.protected))),
            widths=links.widths,
            minimum_width=minimum_width,
            explain=True,
            known=known,
        )
        culprits = _culprits(kept, found, told_before)
        if found.safe or not culprits:
            return Kept(screened=kept, audit=found, withheld=tuple(taken))
        taken |= dict.fromkeys(culprits)
        # With fewer constraints every solution found so far is one still.
        known = (*known, *found.solutions)


def without(screened: Screened, paths: Iterable[str], *, rule: RuleName, sentence: str) -> Screened:
    """Withhold ``paths`` and what makes no sense without them: ends without their value, the whole without a part.

    A field that another rule withholds already keeps its verdict, unless what that verdict tells is in the way.
    """
    named = set(paths)
    heads = {path.removesuffix("/value") for path in named if path.endswith("/value")}
    named |= {each.path for each in screened.fields if each.path.rpartition("/")[0] in heads}
    if not named:
        return screened
    parts = {each.path for each in screened.fields if _is_criterion(each) and each.path in named}
    whole = {each.path for each in screened.fields if each.path.endswith("/verdict")} if parts else set()
    fields = tuple(_blank(each) if each.path in named | whole else each for each in screened.fields)
    verdicts = tuple(
        RuleVerdict(rule=rule, field=each.field, passed=False, sentence=sentence)
        if each.field in named
        else replace(each, rule=rule, passed=False, sentence=_INCOMPLETE)
        if each.field in whole
        else each
        for each in screened.verdicts
    )
    return replace(
        screened,
        fields=fields,
        verdicts=verdicts,
        protected=tuple(dict.fromkeys((*screened.protected, *_told_empty(screened.fields, named | whole)))),
    )


def _blank(each: ReleasedField) -> ReleasedField:
    return replace(each, value=None, grid=None, constraints=())


def _told_empty(fields: Iterable[ReleasedField], gone: set[str]) -> list[str]:
    """Cells that only withheld fields would have told to be empty on purpose: they are protected again."""
    still = {cell for each in fields if each.path not in gone for cell in _empty(each)}
    return [cell for each in fields if each.path in gone for cell in _empty(each) if cell not in still]


def _empty(each: ReleasedField) -> list[str]:
    if each.value is None:
        return []
    return [found.terms[0].cell for found in each.constraints if len(found.terms) == 1 and found.high == 0]


def _culprits(screened: Screened, found: Audit, told_before: set[Constraint]) -> list[str]:
    """For each cell that is too narrow the least useful field that holds it, none for one that was just dealt with."""
    owners: dict[Constraint, list[ReleasedField]] = {}
    for each in sorted(screened.fields, key=_usefulness):
        for constraint in each.constraints:
            # The overall verdict falls with its criteria; alone it would be withheld in vain.
            if constraint not in told_before and not each.path.endswith("/verdict"):
                owners.setdefault(constraint, []).append(each)
    chosen: dict[str, None] = {}
    for finding in found.refused:
        holders = [each for constraint in finding.held_by for each in owners.get(constraint, [])]
        holders = holders or _touching(owners, finding.cell)
        if holders and not any(each.path in chosen for each in holders):
            chosen[max(holders, key=_usefulness).path] = None
    if not chosen and found.refused and owners:
        chosen[max((each for own in owners.values() for each in own), key=_usefulness).path] = None
    return list(chosen)


def _touching(owners: Mapping[Constraint, list[ReleasedField]], cell: str) -> list[ReleasedField]:
    return [
        each
        for constraint, own in owners.items()
        if cell in {term.cell for term in constraint.terms}
        for each in own
    ]


def _usefulness(each: ReleasedField) -> int:
    """0 for what is most useful."""
    if each.kind == "verdict":
        return 0
    rank = {"score": 1, "mean": 1, "rate": 2, "count": 3, "interval_end": 4}[each.kind]
    return rank if f"/{ALL}/" in each.path else rank + 4


def _is_criterion(each: ReleasedField) -> bool:
    return "/acceptance/" in each.path
