"""What a vendor may still be told of a hold-out version, before and after a release or an evaluation."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.disclosure.fields import ReleasedField
from sandbox.errors import ReleaseRefusedError
from sandbox.evidence.ledger import Ledger
from sandbox.institution.policy import Policy
from sandbox.institution.workspace import Workspace
from sandbox.release.issued import charges, issued
from sandbox.reuse.bits import Account, Charge, account, cost, unpaid


def account_of(
    workspace: Workspace, ledger: Ledger, policy: Policy, *, vendor: str, holdout: str, version: str
) -> Account:
    """What ``vendor``, and all vendors, were told of this version, against the policy's budgets."""
    told = charges(issued(workspace, ledger, holdout=holdout, version=version))
    return _account(vendor, told, policy)


def check_payable(
    fields: Iterable[ReleasedField], told: tuple[Charge, ...], policy: Policy, *, vendor: str
) -> tuple[float, Account]:
    """Bits that ``fields`` cost this vendor beyond what it knows, and the account before they are told.

    Raises:
        ReleaseRefusedError: they cannot be paid.
    """
    before = _account(vendor, told, policy)
    new = unpaid(fields, vendor, told)
    bits = cost(new)
    # What another vendor was told costs the pool nothing a second time.
    pooled = cost(unpaid_by_all(new, told))
    if before.spent + bits > before.budget or before.pooled_spent + pooled > before.pooled_budget:
        raise ReleaseRefusedError(
            f"This tells {bits:.1f} bits, and {before.left:.1f} are left of the budget that the policy gives {vendor} "
            f"for this version of the hold-out ({before.spent:.1f} of {before.budget:g} spent, all vendors "
            f"{before.pooled_spent:.1f} of {before.pooled_budget:g}). Ask for fewer fields, use the mechanism claim, "
            "or lock a fresh hold-out."
        )
    return bits, before


def unpaid_by_all(fields: Iterable[ReleasedField], told: Iterable[Charge]) -> tuple[ReleasedField, ...]:
    """The fields that nobody was told yet."""
    known = {charge.path for charge in told}
    return tuple(field for field in fields if field.path not in known)


def _account(vendor: str, told: Iterable[Charge], policy: Policy) -> Account:
    reuse = policy.reuse
    return account(vendor, told, budget=reuse.bits_per_vendor, pooled_budget=reuse.bits_pooled)
