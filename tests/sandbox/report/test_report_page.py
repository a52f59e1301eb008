"""The page: equal bytes, nothing foreign that runs or loads, every number or the reason for its absence."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from sandbox.errors import ReportError
from sandbox.report.page import CONTENT_POLICY, render

HOSTILE = "<img src=x onerror=alert(1)>"
BIDI = "acme\u202egro.live"
ESCAPE = "acme\x1b[31m\x00"

RUNNING_OR_LOADING = {"script", "iframe", "object", "embed", "link", "base", "form", "img", "image", "video"}


class Elements(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page(sample_page: bytes) -> str:
    """The sample's page, rendered once."""
    return sample_page.decode()


def elements(page: bytes) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(page.decode())
    return parser.seen


def renamed(make_report, text: str):
    """The sample with `text` in every place that somebody outside may fill."""
    report = make_report()
    results = report.results
    analyses = tuple(
        dataclasses.replace(
            analysis,
            strata=tuple(dataclasses.replace(row, level=text, attribute=text) for row in analysis.strata),
            associations=tuple(
                dataclasses.replace(
                    association,
                    attribute=text,
                    sentence=text,
                    levels=tuple(dataclasses.replace(level, level=text) for level in association.levels),
                )
                for association in analysis.associations
            ),
            operating_points=tuple(dataclasses.replace(p, name=text) for p in analysis.operating_points),
        )
        for analysis in results.analyses
    )
    return make_report(
        site=text,
        submission=dataclasses.replace(report.submission, vendor=text, name=text, contract=text),
        results=dataclasses.replace(
            results,
            analyses=analyses,
            target=text,
            composition=tuple(
                dataclasses.replace(c, attribute=text, level=text) for c in results.composition
            ),
        ),
        holdout=dataclasses.replace(report.holdout, name=text, description=text, warnings=(text,)),
        protocol=dataclasses.replace(report.protocol, title=text, document={text: text}),
        earlier_use=tuple(dataclasses.replace(u, vendor_pseudonym=text) for u in report.earlier_use),
        posture=tuple(dataclasses.replace(c, measured=text) for c in report.posture),
        not_built=(text,),
    )


def test_equal_inputs_give_equal_bytes(make_report, sample_page):
    assert render(make_report()) == sample_page


def test_the_policy_stands_before_everything_that_could_load(sample_page):
    seen = elements(sample_page)
    policies = [
        i
        for i, (tag, a) in enumerate(seen)
        if a.get("http-equiv") == "Content-Security-Policy" and tag == "meta"
    ]
    assert len(policies) == 1
    assert seen[policies[0]][1]["content"] == CONTENT_POLICY
    assert "default-src 'none'" in CONTENT_POLICY
    assert policies[0] < min(i for i, (tag, _) in enumerate(seen) if tag == "style")


@pytest.mark.parametrize("text", [HOSTILE, "\"'><svg onload=x>", "</style></title>", "{{ 7*7 }}", "$\\frac"])
def test_foreign_text_never_becomes_markup(make_report, sample_page, text):
    page = render(renamed(make_report, text))
    plain = {tag for tag, _ in elements(sample_page)}
    for tag, attributes in elements(page):
        assert tag in plain
        assert tag not in RUNNING_OR_LOADING
        assert not any(name.startswith("on") for name in attributes)
    assert b"49" not in re.findall(rb"<h1>(.*?)<span>", page)[0]


def test_nothing_is_loaded_from_anywhere(make_report):
    page = render(renamed(make_report, "plain"))
    assert b"://" not in page
    assert b"@import" not in page
    assert b"url(" not in page.replace(b"url(#", b"")
    for _, attributes in elements(page):
        for name in ("href", "src", "srcset", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")


@pytest.mark.parametrize(
    "text", [BIDI, ESCAPE, "a\u200bb", "a\u2028b", "a\ud800b", "a\x9bb", "\u2066x\u2069"]
)
def test_hidden_and_reordering_characters_are_shown_escaped(make_report, text):
    page = render(renamed(make_report, text)).decode()
    for character in text:
        if not character.isprintable():
            assert character not in page.replace("\n", "")
            assert f"\\u{{{ord(character):X}}}" in page


def test_ids_are_unique_and_inner_links_lead_somewhere(sample_page):
    seen = elements(sample_page)
    ids = [attributes["id"] for _, attributes in seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {a["href"][1:] for _, a in seen if (a.get("href") or "").startswith("#")}
    assert links <= set(ids)


def test_an_undefined_estimate_stands_with_its_reason_never_as_a_number(page):
    row = re.search(r'<tr>\s*<th scope="row"><a href="#metric-calibration_intercept">.*?</tr>', page, re.S)
    assert row
    assert "undefined" in row[0]
    assert "the fit did not converge" in row[0]
    assert "0.000" not in row[0]


def test_small_strata_stay_in_sight_with_their_counts_and_the_reason(page):
    assert re.search(r'<tr class="few">\s*<th scope="row">unknown<small>too few: 4 positive cases', page)
    assert "2 of 8 strata are too small for a claim" in page


def test_both_ways_of_counting_failures_stand_side_by_side(page):
    row = re.search(r'id="failures".*?<th scope="row">AUROC</th>.*?</tr>', page, re.S)
    assert row
    assert row[0].index(">0.800<") < row[0].index(">0.820<")


def test_every_verdict_is_written_in_words_beside_its_sign(page):
    chips = re.findall(r'<span class="chip (\w+)">.*?</svg>\s*([^<]+)</span>', page, re.S)
    assert chips == [("met", "Met"), ("not_met", "Not met"), ("cannot_tell", "Cannot tell")]


def test_results_of_another_protocol_are_refused(make_report):
    report = make_report()
    other = dataclasses.replace(report.protocol, digest="sha256:" + "0" * 64)
    with pytest.raises(ReportError, match="another protocol"):
        render(make_report(protocol=other))


def test_a_vendor_copy_is_refused(make_report):
    with pytest.raises(ReportError, match="needs a release"):
        render(make_report(audience="vendor"))


def test_a_report_without_curves_strata_or_criteria_says_so(make_report):
    report = make_report()
    empty = tuple(
        dataclasses.replace(
            analysis,
            curves=dataclasses.replace(
                analysis.curves, roc=None, precision_recall=None, calibration=None, reason="No positive case."
            ),
            strata=(),
            associations=(),
            worst=(),
            operating_points=(),
        )
        for analysis in report.results.analyses
    )
    results = dataclasses.replace(report.results, analyses=empty, acceptance=(), verdict=None)
    page = render(make_report(results=results, posture=(), self_checks=(), earlier_use=())).decode()
    for sentence in (
        "No positive case.",
        "The protocol declares no strata",
        "registered no acceptance criteria",
        "No control was measured",
    ):
        assert sentence in page
