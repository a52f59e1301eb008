"""The rules at work: from the results of an evaluation to the fields that may leave.

    screened = screen(results, rules, scope=predictions_digest)

``scope`` names the predictions that the numbers rest on. Two evaluations of the same predictions must have the same
scope, so that the audit knows that they speak of the same cells. Paths of fields, fit for ``selection``:

    <scope>/<protocol digest>/verdict                          overall verdict
    <scope>/<protocol digest>/acceptance/<criterion>           met, not_met or cannot_tell
    <scope>/all/auroc/value|low|high                           AUROC and its interval's ends
    <scope>/<operating point>/all/sensitivity/value|low|high   and specificity, ppv, npv
    <scope>/all/failures/<code>                                counts of failures, only with label_free: rules
    <scope>/<attribute>=<level>/auroc/...                      the same of a stratum
    holdout/all/positives|negatives|patients                   counts of the hold-out, paid once
    holdout/<attribute>=<level>/positives|negatives|patients
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sandbox.disclosure.fields import ReleasedField, Screened
from sandbox.disclosure.rules import DisclosureRules
from sandbox.protocol import Protocol
from sandbox.results import Results

Selection = Callable[[str], bool]


def screen(
    results: Results, rules: DisclosureRules, *, scope: str, selection: Selection | None = None
) -> Screened:
    """Apply every rule to ``results``.

    Args:
        results: of one evaluation; only the analysis that the protocol chose is considered.
        rules: the policy's.
        scope: name of the predictions, free of ``/``.
        selection: which paths are asked for; None: all. A field that is not asked for costs nothing.

    Returns:
        Fields, what each rule said, and what the audit needs.
    """
    raise NotImplementedError


def plan(
    protocol: Protocol,
    groups: Sequence[str],
    cases: int,
    rules: DisclosureRules,
    *,
    scope: str,
    selection: Selection | None = None,
) -> tuple[ReleasedField, ...]:
    """The fields that :func:`screen` would give, without values: what a release costs before the run.

    The fields, their levels and so their bits depend on nothing that a container says, so that the cost before is
    the cost after.

    Args:
        protocol: the registered plan.
        groups: the ``attribute=level`` of each level of each stratum of the hold-out.
        cases: number of cases of the hold-out.
        rules: the policy's.
        scope: any name.
        selection: as in :func:`screen`.
    """
    raise NotImplementedError
