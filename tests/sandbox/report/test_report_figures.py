"""The figures: equal bytes in another process, text that stays text, no trace of the machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest

from sandbox.report import confounding, figures, forest

CONFTEST = Path(__file__).parent / "conftest.py"
ROOT = Path(__file__).parents[3]

DRAW_AND_HASH = """
import hashlib, runpy, sys
from sandbox.report.page import render
sample = runpy.run_path(sys.argv[1])["sample_report"]
print(hashlib.sha256(render(sample())).hexdigest())
"""


@pytest.fixture
def drawn(make_results) -> dict[str, str]:
    analysis = make_results().analysis()
    curves, points = analysis.curves, analysis.operating_points
    return {
        "roc": figures.roc(curves.roc, points, analysis.estimates[0]),
        "precision-recall": figures.precision_recall(curves.precision_recall),
        "calibration": figures.calibration(curves.calibration),
        "forest": forest.forest(analysis, points[0], "forest"),
        "forest-without-points": forest.forest(analysis, None, "forest-none"),
        "associations": confounding.associations(analysis.associations),
        "prevalence": confounding.prevalence(analysis.associations[0], analysis, "prevalence"),
    }


def test_each_figure_is_one_svg_element_with_a_name_and_nothing_that_runs(drawn):
    for name, svg in drawn.items():
        root = ElementTree.fromstring(svg)
        assert root.tag == "svg", name
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"]
        assert {element.tag for element in root.iter()} <= {
            "svg", "g", "path", "text", "tspan", "use", "defs", "clipPath", "rect",
        }  # fmt: skip


def test_text_is_text_and_colours_are_the_page_s_own(drawn):
    forest_text = "".join(ElementTree.fromstring(drawn["forest"]).itertext())
    assert "Synthetic B" in forest_text
    assert "Sensitivity, screening" in forest_text
    for svg in drawn.values():
        assert "#0" not in svg.replace("#0b", "")
        assert "var(--" in svg


def test_ids_of_two_figures_never_clash(drawn):
    ids = [
        element.attrib["id"]
        for svg in drawn.values()
        for element in ElementTree.fromstring(svg).iter()
        if "id" in element.attrib
    ]
    assert len(ids) == len(set(ids))


def test_the_user_s_own_plot_settings_change_nothing(drawn, make_results):
    curve = make_results().analysis().curves.calibration
    with matplotlib.rc_context(
        {"font.size": 30, "axes.grid": True, "text.usetex": False, "lines.linewidth": 9}
    ):
        assert figures.calibration(curve) == drawn["calibration"]


def test_two_processes_with_different_hash_seeds_give_the_same_page():
    digests = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", DRAW_AND_HASH, str(CONFTEST)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": f"UTC{seed}"},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1
    assert len(next(iter(digests))) == len(hashlib.sha256().hexdigest())
