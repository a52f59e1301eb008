"""Uncertain truth: consensus and agreement of readers, and what an imperfect reference does to a result."""
