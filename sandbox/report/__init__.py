"""The report: one self-contained page with no script."""
