"""Containers: admission, posture, contracts, sessions. Knows nothing of truth or metrics."""
