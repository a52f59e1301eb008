"""Submissions compared on the same cases: paired differences, ranks, non-inferiority and fixed sequences."""
