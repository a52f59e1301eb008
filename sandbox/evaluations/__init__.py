"""One evaluation from request to evidence: its steps, its state on disk, its report and its dossier."""
