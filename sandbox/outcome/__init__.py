"""From typed answers and the reference standard to results: plain data for report, dossier and acceptance."""
