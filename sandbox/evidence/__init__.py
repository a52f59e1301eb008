"""Tamper evidence: ledger, signed checkpoints, proofs, dossier and its offline verification."""
