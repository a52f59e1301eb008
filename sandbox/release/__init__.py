"""What a vendor is told: requested, screened by rule, read by others than its author, paid from a budget, issued.

The road of a release, each step an entry of the ledger by the one who took it:

    request   the numbers are screened, the bits counted, and the bytes that would leave are written down
    review    an approver reads exactly those bytes, what they cost, and what they add to what was told before
    approve / reject   each approver alone, bound to the digest of the bytes; never the author
    issue     rules, audit and budget are held again, and the bytes are handed out
"""
