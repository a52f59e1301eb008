"""Finished evaluations looked at again: compared, against readers, under uncertain truth."""
