"""What a reader must not miss comes first, in words."""

from __future__ import annotations

import dataclasses

from sandbox.report import findings
from sandbox.report.model import LedgerMark, OverlapCheck


def titles(report) -> list[str]:
    return [warning.title for warning in findings.warnings(report)]


def test_the_plain_finding_counts_first_and_names_the_shortcut(make_report):
    sentence = findings.plain_finding(make_report())
    assert "63 of 80 positive images positive and 93 of 120 negative images negative" in sentence
    assert "AUROC 0.800 (95\u202f% CI 0.750–0.850)" in sentence
    assert "3 of 200 images got no valid answer and count as wrong" in sentence
    assert "Among images with the same view position the AUROC is 0.660." in sentence


def test_a_label_that_goes_with_an_attribute_is_the_first_alarm(make_report):
    first = findings.warnings(make_report())[0]
    assert (first.weight, first.title) == ("alarm", "The label goes with view position")
    assert "AUROC 0.74" in first.text
    assert "from 0.80 to 0.66" in first.text


def test_weights_come_in_order(make_report):
    order = ["alarm", "caution", "note"]
    weights = [order.index(warning.weight) for warning in findings.warnings(make_report())]
    assert weights == sorted(weights)


def test_a_protocol_registered_after_the_start_is_an_alarm(make_report):
    report = make_report()
    late = dataclasses.replace(report.protocol, registered=LedgerMark(index=13, time="2026-07-01T08:58:00Z"))
    assert "The protocol was not registered before the run" in titles(make_report(protocol=late))
    assert "The protocol was not registered before the run" not in titles(report)


def test_missing_checks_are_said_and_not_taken_for_passes(make_report):
    report = make_report()
    unverified = dataclasses.replace(report.holdout, verified_after=None)
    assert "The hold-out was not verified before and after the run" in titles(make_report(holdout=unverified))
    leaking = dataclasses.replace(
        report.holdout, overlap=(OverlapCheck(name="patients in both parts", found=2),)
    )
    assert "Overlap found: patients in both parts" in titles(make_report(holdout=leaking))
    assert "Overlap with development data not fully checked" in titles(report)
    failed = tuple(dataclasses.replace(check, passed=False) for check in report.self_checks)
    assert "Self-check failed: perfect container" in titles(make_report(self_checks=failed))


def test_synthetic_data_and_missing_attributes_are_named(make_report):
    found = {warning.title: warning.text for warning in findings.warnings(make_report())}
    assert "Synthetic data" in found
    assert "patient age years 30.0\u202f%" in found["Attributes with missing values"]


def test_an_unwaived_control_weighs_more_than_a_waived_one(make_report):
    report = make_report()
    unwaived = tuple(dataclasses.replace(control, waiver="") for control in report.posture)
    weight = {w.title: w.weight for w in findings.warnings(report)}
    heavier = {w.title: w.weight for w in findings.warnings(make_report(posture=unwaived))}
    title = "Isolation control not held: user namespace"
    assert (weight[title], heavier[title]) == ("caution", "alarm")
