"""The exam: protocol, evaluation, scoring, disclosure, ledger, report and command line."""
