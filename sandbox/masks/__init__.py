"""Masks: kept as run lengths, bounded in what they may cost."""
