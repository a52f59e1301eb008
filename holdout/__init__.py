"""Locked data: DICOM in, cases out. Knows nothing of containers or metrics."""
