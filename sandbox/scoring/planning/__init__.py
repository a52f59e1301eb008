"""What a hold-out can support, from counts alone: interval widths, detectable gaps, cases needed, reader studies."""
