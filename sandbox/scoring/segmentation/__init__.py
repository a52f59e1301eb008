"""Segmentation: overlap, boundary distances, volumes and instances of masks."""
