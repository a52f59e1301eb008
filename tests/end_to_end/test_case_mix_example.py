"""The shipped example of sections about case mix, run as it is shipped, to the page and the dossier."""

from pathlib import Path

import numpy as np
import pytest

from sandbox.commands.main import main
from sandbox.evaluations.evaluation import evaluations
from sandbox.institution.workspace import open_workspace
from sandbox.outcome.results import from_json

pytestmark = pytest.mark.engine
EXAMPLE = Path(__file__).parents[2] / "policies/protocols/example-case-mix.yaml"


def test_every_section_of_the_example_reaches_the_report_and_the_dossier(site, admitted, tmp_path):
    random = np.random.default_rng(2)
    scores = {
        digest: round(float(np.clip(0.5 + 0.25 * (2 * label - 1) + random.normal(0, 0.25), 0, 1)), 2)
        for digest, label in site.labels.items()
    }
    admitted("noisy", scores)
    assert main(["-q", "protocol", "register", str(EXAMPLE)]) == 0
    main(["-q", "evaluate", "--holdout", "cxr", "--submission", "noisy", "--protocol", str(EXAMPLE)])
    (item,) = evaluations(open_workspace(site.home))
    assert item.state == "finished"
    analysis = from_json((item.folder / "results.json").read_bytes()).analysis()
    assert analysis.case_mix.by == ("patient_age_years",)
    assert {each.attribute for each in analysis.case_mix.comparisons} >= {"manufacturer", "institution_name"}
    assert {each.attribute for each in analysis.population.attributes} == {"patient_age_years", "patient_sex"}
    assert analysis.population.effective < analysis.population.cases
    assert analysis.slices.searched > 3
    assert analysis.slices.label.startswith("exploratory")
    bands = {each.metric: each for each in analysis.reference_error.bands}
    assert bands["sensitivity"].worst_low < bands["sensitivity"].seen < bands["sensitivity"].worst_high
    page = (item.folder / "report.html").read_text()
    for text in ("Case mix", "Intended population", "Exploratory", "Mantel"):
        assert text in page
    dossier = tmp_path / "dossier.zip"
    assert main(["-q", "dossier", item.id, "-o", str(dossier)]) == 0
    assert main(["-q", "verify", str(dossier), "--key", open_workspace(site.home).verifier_key]) == 0
