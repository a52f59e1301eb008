"""The analysis plan: a protocol's sections, what is impossible in it, and the protocols that are registered."""
