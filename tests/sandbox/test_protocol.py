"""Protocols: what is checked, where a mistake is named, what the digest covers."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

from sandbox.errors import ProtocolError
from sandbox.plan.applicability import check_against, join_strata
from sandbox.plan.protocol import load_protocol

SHIPPED = Path(__file__).resolve().parents[2] / "policies" / "protocols"
MINIMAL = """\
proctor: protocol/1
name: test
title: Test
task: {kind: binary, target: finding, unit: image}
"""
FULL = MINIMAL + (
    """\
operating_points:
  - {name: half, threshold: 0.5}
strata:
  - {attribute: sex}
  - {attribute: age, bands: [0, 40, 80]}
  - {cross: [sex, age]}
  - {attribute: reference.method}
acceptance:
  - {name: a, metric: auroc, bound: lower, at_least: 0.6, stratum: {attribute: sex, level: F}}
"""
)


def load(tmp_path, text):
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8")
    return load_protocol(path)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_protocols_are_valid(path):
    protocol = load_protocol(path)
    assert protocol.name == path.stem
    assert protocol.acceptance
    assert protocol.strata


def test_the_digest_covers_meaning_not_layout(tmp_path):
    first = load(tmp_path, MINIMAL)
    assert first.digest.startswith("sha256:")
    assert (
        load(tmp_path, "# a comment\n" + MINIMAL.replace("title: Test", "title: 'Test'")).digest
        == first.digest
    )
    # A default written out is the same plan.
    assert load(tmp_path, MINIMAL + "failures: worst_case\nintervals: {level: 0.95}\n").digest == first.digest
    assert load(tmp_path, MINIMAL + "failures: excluded\n").digest != first.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            MINIMAL + "operating_point: []\n",
            r"p\.yaml:5: operating_point: unknown key; did you mean `operating_points`\?",
        ),
        (MINIMAL + "strata:\n  - attribute: age\n    band: [1, 2]\n", r":7: strata\[0\]\.band: .*`bands`"),
        (
            MINIMAL + "strata:\n  - attribute: age\n    bands: [0, 9, 3]\n",
            r":7: strata\[0\]\.bands: must rise",
        ),
        (
            MINIMAL + "strata:\n  - attribute: age\n    bands: [0, 1, 1]\n",
            r":7: strata\[0\]\.bands: must rise",
        ),
        (MINIMAL + "strata: [{}]\n", r":5: strata\[0\]: give either attribute or cross"),
        (MINIMAL + "strata: [{attribute: a}, {attribute: a}]\n", r"strata\[1\]: is declared twice"),
        (
            MINIMAL + "intervals: {level: 1.5}\n",
            r":5: intervals\.level: must be less than or equal to 0\.999",
        ),
        (MINIMAL + "intervals: {level: .nan}\n", r":5: intervals\.level"),
        (MINIMAL + "intervals: {level: '0.95'}\n", r":5: intervals\.level: must be a valid number"),
        (MINIMAL + "failures: ignore\n", r":5: failures: must be 'worst_case' or 'excluded'"),
        (
            MINIMAL + "output: {score: {minimum: 1, maximum: 1}}\n",
            r":5: output\.score\.maximum: must be greater",
        ),
        (MINIMAL + "output: {score: {levels: 1}}\n", r":5: output\.score\.levels"),
        (
            MINIMAL + "operating_points: [{name: a, threshold: 2}]\n",
            r"threshold: must be above 0 and at most 1",
        ),
        (MINIMAL + "operating_points: [{name: a, threshold: 0}]\n", r"threshold: must be above 0"),
        (
            MINIMAL + "input: {attributes: [PatientSex, PatientSex]}\n",
            r"input\.attributes\[1\]: is named twice",
        ),
        (
            MINIMAL + "limits: {seconds_per_case: 10, seconds_per_run: 5}\n",
            r"must not exceed seconds_per_run",
        ),
        (
            FULL.replace("bound: lower", "bound: upper"),
            r":13: acceptance\[0\]\.bound: upper goes with at_most",
        ),
        (FULL.replace("at_least: 0.6", "at_least: 1.6"), r"at_least: is not a possible value of auroc"),
        (FULL.replace("at_least: 0.6, ", ""), r"acceptance\[0\]: give either at_least or at_most"),
        (FULL.replace("metric: auroc", "metric: sensitivity"), r"sensitivity needs an operating_point"),
        (FULL.replace("attribute: sex, level", "attribute: site, level"), r"is not a declared stratum"),
        (FULL.replace("metric: auroc", "metric: auroc, operating_point: half"), r"does not go with auroc"),
        (MINIMAL.replace("binary", "regression"), r":4: task\.kind: must be 'binary', 'multiclass'"),
        (MINIMAL.replace("title: Test\n", ""), r"title: is missing"),
        (MINIMAL.replace("protocol/1", "protocol/9"), r":1: proctor: must be 'protocol/1'"),
    ],
)
def test_mistakes_are_named_by_line_and_path(tmp_path, text, message):
    with pytest.raises(ProtocolError, match=message):
        load(tmp_path, text)


def test_every_mistake_is_named_in_the_order_of_the_file(tmp_path):
    with pytest.raises(ProtocolError) as caught:
        load(tmp_path, MINIMAL + "failures: x\nminimum: {positives: 0}\nlimit: {}\n")
    lines = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["5", "6", "7"]


def holdout():
    cases = pa.table(
        {
            "case_id": ["c1", "c2", "c3", "c4"],
            "patient_key": ["p1", "p1", "p2", "p3"],
            "sex": ["F", "F", "M", None],
            "age": pa.array([10.0, 50.0, None, 95.0]),
        }
    )
    reference = pa.table(
        {
            "case_id": ["c4", "c3", "c2", "c1"],
            "finding": ["0", None, "0", "1"],
            "reference.method": ["histology"] * 4,
        }
    )
    return cases, reference


def test_a_fitting_protocol_passes_with_warnings(tmp_path):
    warnings = check_against(load(tmp_path, FULL), *holdout())
    assert warnings[0] == "1 of 4 cases have no reference standard for finding."
    assert "sex: no positive case in unknown." in warnings


def test_strata_are_joined_from_both_tables(tmp_path):
    joined = join_strata(load(tmp_path, FULL), *holdout())
    assert joined["reference"].to_pylist() == [1, 0, None, 0]
    assert joined.column_names == ["case_id", "patient_key", "reference", "sex", "age", "reference.method"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("target: finding", "target: other", "no label other.*finding"),
        ("{attribute: sex}\n", "{attribute: sex}\n  - {attribute: scanner}\n", "no attribute scanner"),
        ("level: F", "level: X", "no case has this level of sex. It has F"),
        ("level: F", "level: unknown", "sex = unknown holds no positive case"),
        ("age, bands: [0, 40, 80]", "age2, bands: [0, 40, 80]", "no attribute age2"),
        ("{attribute: sex}", "{attribute: sex, bands: [0, 1]}", "sex is not a number"),
    ],
)
def test_a_protocol_that_the_holdout_cannot_serve_is_refused(tmp_path, old, new, message):
    assert old in FULL
    text = FULL.replace(old, new)
    text = text.replace("cross: [sex, age]", "cross: [sex, age2]") if "age2" in new else text
    with pytest.raises(ProtocolError, match=message):
        check_against(load(tmp_path, text), *holdout())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["0"] * 4, "no case of this hold-out is positive"),
        (["1"] * 4, "no case of this hold-out is negative"),
        ([None] * 4, "no case of this hold-out is positive"),
        (["2", "0", "1", "1"], "other than 0, 1"),
        (["yes", "0", "1", "1"], "other than 0, 1"),
    ],
)
def test_a_target_without_two_kinds_of_cases_is_refused(tmp_path, values, message):
    cases, reference = holdout()
    reference = reference.set_column(1, "finding", pa.array(values, pa.string()))
    with pytest.raises(ProtocolError, match=message):
        check_against(load(tmp_path, FULL), cases, reference)


def test_an_attribute_that_is_never_known_is_refused(tmp_path):
    cases, reference = holdout()
    cases = cases.set_column(2, "sex", pa.array([None] * 4, pa.string()))
    with pytest.raises(ProtocolError, match="sex is unknown for every case"):
        check_against(load(tmp_path, FULL), cases, reference)


def test_a_number_needs_bands(tmp_path):
    cases = pa.table(
        {
            "case_id": [f"c{i}" for i in range(300)],
            "patient_key": [f"p{i}" for i in range(300)],
            "age": [float(i) / 3 for i in range(300)],
        }
    )
    reference = pa.table({"case_id": cases["case_id"], "finding": [i % 2 for i in range(300)]})
    with pytest.raises(ProtocolError, match=r"age has 300 levels .* give bands"):
        check_against(load(tmp_path, MINIMAL + "strata: [{attribute: age}]\n"), cases, reference)


STRATA = "strata:\n  - {attribute: sex}\n  - {attribute: age, bands: [0, 40, 80]}\n"


def test_a_bias_block_and_a_reference_level(tmp_path):
    text = MINIMAL + STRATA + "bias: {margin: 0.05, margins: {auroc: 0.03}}\n"
    protocol = load(tmp_path, text.replace("80]}", "80], reference: 40 to 80}"))
    assert (protocol.bias.of("auroc"), protocol.bias.of("ppv")) == (0.03, 0.05)
    assert protocol.strata[1].reference == "40 to 80"
    assert protocol.document["bias"] == {"margin": 0.05, "margins": {"auroc": 0.03}}


def test_what_is_not_given_of_bias_is_not_in_the_digest(tmp_path):
    document = load(tmp_path, MINIMAL + STRATA).document
    assert "bias" not in document
    assert "reference" not in document["strata"][0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + STRATA + "bias: {}\n", r":8: bias: needs a margin, or margins of single metrics"),
        (MINIMAL + STRATA + "bias: {margin: 0}\n", r":8: bias\.margin: "),
        (
            MINIMAL + STRATA + "bias: {margin: 0.1, margins: {mcc: 0.1}}\n",
            r":8: bias\.margins\.mcc: is not compared",
        ),
        (MINIMAL + STRATA + "bias: {margin: 0.1, margins: {ppv: 2}}\n", r":8: bias\.margins\.ppv"),
        (MINIMAL + "bias: {margin: 0.1}\n", r":5: bias: needs strata"),
        (
            MINIMAL + STRATA.replace("80]", "80], reference: 40 to 90"),
            r":7: strata\[1\]\.reference: is not a band of age \(0 to <40, 40 to 80\)",
        ),
        (MINIMAL + STRATA.replace("sex}", "sex, reference: unknown}"), r"must be a level that is known"),
        (
            MINIMAL + STRATA + "  - {cross: [sex, age], reference: F}\n",
            r":8: strata\[2\]\.reference: must name one level of each of sex, age",
        ),
        (
            MINIMAL + STRATA + "  - {cross: [sex, age], reference: F x 0 to 40}\n",
            r"is not a band of age",
        ),
    ],
)
def test_mistakes_of_bias_are_named_by_line(tmp_path, text, message):
    with pytest.raises(ProtocolError, match=message):
        load(tmp_path, text)


HAM = "sha256:746bd2634305f68f8350561d9b7faf54294af54c6185c7cbb2083134c404bf62"


def test_a_protocol_of_an_earlier_version_keeps_its_digest(tmp_path):
    """What was registered before tasks of other kinds and stress tests existed is still the same plan."""
    text = (SHIPPED / "ham10000-200.yaml").read_text()
    assert load(tmp_path, re.sub(r"^stress:.*\n(?: .*\n)*", "", text, flags=re.MULTILINE)).digest == HAM


CLASSES = MINIMAL.replace("binary", "multiclass") + "output: {classes: {names: [a, b, c]}}\n"
ORDINAL = MINIMAL.replace("binary", "ordinal") + "output: {grades: {names: [low, high]}}\n"
LABELS = (
    MINIMAL.replace("kind: binary, target: finding", "kind: multilabel")
    + "output: {classes: {names: [a, b]}}\n"
)
QUEUE = (
    "queue: {operating_point: half, arrivals_per_hour: RATE, prevalence: 0.1, diseased: {mean_minutes: 10}, "
    "non_diseased: {mean_minutes: 10}}\n"
)
TRIAGE = MINIMAL.replace("binary", "triage") + "operating_points: [{name: half, threshold: 0.5}]\n" + QUEUE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL.replace("binary", "multiclass"), r"output: a multiclass task needs classes"),
        (
            CLASSES.replace("classes:", "score: {}, classes:"),
            r"output\.score: does not go with a multiclass task",
        ),
        (CLASSES.replace("[a, b, c]", "[a, b, a]"), r"output\.classes\.names\[2\]: is named twice"),
        (
            LABELS.replace("kind: multilabel", "kind: multilabel, target: x"),
            r"task\.target: a multilabel task has none",
        ),
        (ORDINAL.replace("[low, high]", "[low, grade]"), r"must not be 'grade'"),
        (ORDINAL + "costs: [[0, 1]]\n", r"costs: must have a row for each true grade"),
        (ORDINAL + "costs: [[1, 1], [1, 0]]\n", r"costs: must not be negative, and a right answer costs 0"),
        (MINIMAL + "costs: [[0, 1], [1, 0]]\n", r"costs: does not go with a binary task"),
        (MINIMAL + "operating_points: [{name: x}]\n", r"give exactly one of threshold"),
        (
            MINIMAL + "operating_points: [{name: x, sensitivity: 0.9}]\n"
            "acceptance: [{name: a, metric: ppv, operating_point: x, bound: lower, at_least: 0.5}]\n",
            r"at a declared sensitivity only specificity is estimated",
        ),
        (LABELS + "operating_points: [{name: x, thresholds: {a: 0.5}}]\n", r"must name every label"),
        (
            CLASSES + "acceptance: [{name: a, metric: auroc, bound: lower, at_least: 0.5}]\n",
            r"auroc needs a subject \(a, b, c\)",
        ),
        (
            CLASSES + "acceptance: [{name: a, metric: auroc, subject: d, bound: lower, at_least: 0.5}]\n",
            r"subject: is not declared",
        ),
        (
            CLASSES + "acceptance: [{name: a, metric: quadratic_kappa, bound: lower, at_least: 0.5}]\n",
            r"is not a metric of a multiclass task",
        ),
        (TRIAGE.replace(QUEUE, ""), r"a triage task needs queue"),
        (TRIAGE.replace("RATE", "6"), r"the reader cannot keep up"),
        (
            MINIMAL + "partial_auroc: [{name: p, axis: sensitivity, low: 0.9, high: 0.8}]\n",
            r"must be greater than low",
        ),
    ],
)
def test_mistakes_of_other_tasks_are_named(tmp_path, text, message):
    with pytest.raises(ProtocolError, match=message):
        load(tmp_path, text)


def test_tasks_of_every_kind_load(tmp_path):
    for text in (CLASSES, ORDINAL, LABELS, TRIAGE.replace("RATE", "5")):
        assert load(tmp_path, text).digest.startswith("sha256:")


def test_a_class_that_the_protocol_does_not_name_is_refused(tmp_path):
    cases, reference = holdout()
    named = reference.set_column(1, "finding", pa.array(["a", "b", "x", None]))
    with pytest.raises(ProtocolError, match="does not name: x"):
        check_against(load(tmp_path, CLASSES), cases, named)
    known = reference.set_column(1, "finding", pa.array(["a", "b", "b", None]))
    assert "finding: no case is c; means over all of them are undefined." in check_against(
        load(tmp_path, CLASSES), cases, known
    )


def test_a_reference_value_beyond_the_range_of_the_answer_is_refused(tmp_path):
    text = MINIMAL.replace("binary", "measurement")
    text += "output: {value: {minimum: 0, maximum: 10, levels: 101, unit: mm}}\n"
    cases, reference = holdout()
    wide = reference.set_column(1, "finding", pa.array(["1", "2", "12.5", None]))
    with pytest.raises(ProtocolError, match=r"runs from 1 to 12\.5"):
        check_against(load(tmp_path, text), cases, wide)
