"""Scores of stress tests: the answers of the same patients, clean and perturbed."""
