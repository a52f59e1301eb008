"""The section ``stress`` of a protocol: what is registered, what is refused with its line, what it never changes."""

import pytest

from sandbox.commands.main import main
from sandbox.errors import ProtocolError
from sandbox.institution.workspace import create
from sandbox.plan import protocols
from sandbox.plan.protocol import load_protocol
from sandbox.stress import suites

PROTOCOL = """\
proctor: protocol/1
name: stressed
title: A protocol with stress
task: {kind: binary, target: opacity, unit: image}
operating_points: [{name: default, threshold: 0.5}]
"""


@pytest.fixture
def written(tmp_path):
    """Write a protocol with a section and return its path."""

    def write(section, text=PROTOCOL):
        path = tmp_path / "protocol.yaml"
        path.write_text(text + section)
        return path

    return write


def test_what_is_registered_names_every_severity_and_its_expectation(written):
    protocol = load_protocol(
        written(
            "stress: {patients: 40, perturbations: [{name: dr_gamma, severities: [1, 5]}, {name: zero_byte}]}\n"
        )
    )
    assert protocol.document["stress"] == {
        "suite": None,
        "patients": 40,
        "seed": 1,
        "margins": {"auroc": 0.05, "sensitivity": 0.1, "specificity": 0.1, "score": 0.1},
        "level": 0.95,
        "tests": [
            {
                "name": "dr_gamma",
                "severities": [1, 5],
                "labels": ["1.15 gamma", "2.5 gamma"],
                "expectation": "may change within a margin",
                "readout": "paired difference",
            },
            {
                "name": "zero_byte",
                "severities": [1],
                "labels": ["empty"],
                "expectation": "must refuse",
                "readout": "paired difference",
            },
        ],
    }


def test_a_protocol_without_the_section_keeps_its_document(written):
    assert "stress" not in load_protocol(written("")).document


def test_the_sample_follows_from_the_width_wanted(written):
    section = "stress: {suite: dr, wanted: {half_width: 0.1, discordant: 0.2}}\n"
    # 1.96^2 x 0.2 / 0.1^2 = 76.8 of each class.
    assert load_protocol(written(section)).stress.sample == 154


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("stress: {suite: none-such, patients: 20}", "protocol.yaml:6: stress.suite: there is no such suite"),
        ("stress: {suite: dr}", "protocol.yaml:6: stress: give either patients or wanted"),
        ("stress: {patients: 20}", "protocol.yaml:6: stress: give either suite or perturbations"),
        (
            "stress:\n  patients: 20\n  perturbations:\n    - {name: dr_gama}",
            "protocol.yaml:9: stress.perturbations[0]: There is no such perturbation; did you mean dr_gamma?",
        ),
        (
            "stress:\n  patients: 20\n  perturbations:\n    - {name: zero_byte, severities: [2]}",
            "protocol.yaml:9: stress.perturbations[0]: zero_byte has severities 1 to 1",
        ),
        (
            "stress:\n  patients: 20\n  perturbations: [{name: noise}, {name: noise}]",
            "protocol.yaml:8: stress.perturbations[1].name: is named twice",
        ),
        ("stress: {suite: dr, patients: 100000}", "protocol.yaml:6: stress: means"),
    ],
)
def test_mistakes_name_the_line(written, section, message):
    with pytest.raises(ProtocolError) as error:
        load_protocol(written(section + "\n"))
    assert message in str(error.value)


MEASURED = (
    "proctor: protocol/1\nname: measured\ntitle: Millimetres\ntask: {kind: measurement, target: size, unit: image}\n"
    "output: {value: {minimum: 0, maximum: 9, levels: 10, unit: mm}}\n"
)


OUTLINED = (
    "proctor: protocol/1\nname: outlined\ntitle: Outlines\ntask: {kind: segmentation, target: m, unit: image}\n"
    "output: {mask: {runs: 100}}\nboundary: {tolerance: 2}\n"
)


def test_masks_are_asked_what_leaves_their_truth_where_it_is(written):
    section = (
        "stress: {patients: 40, perturbations: [{name: contrast}, {name: as_rle}, {name: upside_down}]}\n"
    )
    protocol = load_protocol(written(section, OUTLINED))
    assert [test.name for test in protocol.stress.tests] == ["contrast", "as_rle", "upside_down"]
    assert protocol.document["stress"]["margins"] == {"dice": 0.05}
    assert "left_out" not in protocol.document["stress"]
    declared = section.replace("40,", "40, margins: {nsd: 0.1},")
    assert load_protocol(written(declared, OUTLINED)).document["stress"]["margins"] == {
        "dice": 0.05,
        "nsd": 0.1,
    }


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            "perturbations: [{name: blur}, {name: shift}]",
            r"yaml:7: stress.perturbations\[1\]: moves or covers",
        ),
        ("perturbations: [{name: occlusion}]", "moves or covers what the truth marks"),
        ("perturbations: [{name: borders_only}]", "score about a yes or no"),
        (
            "margins: {auroc: 0.1}, perturbations: [{name: blur}]",
            "stress.margins.auroc: is no margin of segment",
        ),
        ("left_out: [crop], perturbations: [{name: blur}]", "stress.left_out: is filled in"),
        ("shortcuts: [manufacturer]", "are about one score"),
    ],
)
def test_masks_are_not_asked_what_moves_their_truth(written, section, message):
    with pytest.raises(ProtocolError, match=message):
        load_protocol(written(f"stress: {{patients: 40, {section}}}\n", OUTLINED))


def test_a_margin_of_masks_means_nothing_for_a_score(written):
    with pytest.raises(ProtocolError, match=r"stress.margins.dice: is no margin of binary"):
        load_protocol(written("stress: {suite: dr, patients: 40, margins: {dice: 0.1}}\n"))


def test_what_of_a_suite_does_not_fit_is_left_out_named_and_registered(written, tmp_path, capfd):
    path = written("stress: {suite: photographs, patients: 20}\n", OUTLINED)
    protocol = load_protocol(path)
    left_out = protocol.stress.left_out
    assert {"crop", "shift", "resolution", "occlusion", "corners_swapped", "borders_only"} <= set(left_out)
    asked = {test.name for test in protocol.stress.tests}
    assert {"contrast", "white_balance", "as_rle", "zero_byte", "upside_down"} <= asked
    assert not asked & set(left_out)
    assert protocol.document["stress"]["left_out"] == list(left_out)
    registered = protocols.register(create(tmp_path / "home"), path)
    assert registered.protocol.stress.left_out == left_out
    assert registered.digest == protocol.digest
    assert main(["protocol", "check", str(path)]) == 0
    told = " ".join(capfd.readouterr().err.split())
    assert "NOT ASKED" in told
    assert "corners_swapped" in told
    # Every one of these is judged by a score.
    assert load_protocol(written("stress: {suite: photographs, patients: 20}\n")).stress.left_out == ()


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (
            "perturbations: [{name: header_of_another_patient}], patients: 20",
            "judged by a score about a yes or no",
        ),
        (
            "perturbations: [{name: side_marker_on_positives}], patients: 20",
            "judged by a score about a yes or no",
        ),
        ("perturbations: [{name: corners_swapped}], patients: 20", "judged by a score about a yes or no"),
        ("shortcuts: [manufacturer]", "are about one score"),
    ],
)
def test_what_needs_a_yes_or_no_is_refused_for_other_answers(written, section, words):
    with pytest.raises(ProtocolError, match=words):
        load_protocol(written(f"stress: {{{section}}}\n", MEASURED))
    known = "stress: {patients: 40, perturbations: [{name: dr_gamma}, {name: zero_byte}]}\n"
    assert [test.name for test in load_protocol(written(known, MEASURED)).stress.tests] == [
        "dr_gamma",
        "zero_byte",
    ]


def test_what_of_a_suite_needs_a_yes_or_no_is_left_out_for_other_answers(written):
    suite = load_protocol(written("stress: {suite: radiograph, patients: 20}\n", MEASURED)).stress
    assert {"corners_swapped", "side_marker_on_negatives", "header_of_another_patient"} == set(suite.left_out)
    assert {"dr_gamma", "dr_rotation"} <= {test.name for test in suite.tests}


def test_another_suite_of_a_later_version_does_not_change_what_is_registered(written, tmp_path, monkeypatch):
    workspace = create(tmp_path / "home")
    path = written("stress: {suite: dr, patients: 20}\n")
    registered = protocols.register(workspace, path)
    later = tmp_path / "suites"
    later.mkdir()
    text = (suites.SHIPPED / "dr.yaml").read_text().partition("tests:")[0]
    (later / "dr.yaml").write_text(text + "tests: [{perturbation: dr_gamma}]\n")
    monkeypatch.setattr(suites, "SHIPPED", later)
    (found,) = protocols.protocols(workspace)
    assert found.digest == registered.digest
    assert len(found.protocol.stress.tests) > 50
    # The file now stands for another list: it has to be registered anew.
    assert load_protocol(path).digest != registered.digest


def test_shortcuts_stand_alone_or_beside_perturbations_and_bring_their_columns(written):
    alone = load_protocol(written("stress: {shortcuts: [manufacturer, institution_name x manufacturer]}\n"))
    assert alone.document["stress"]["shortcuts"] == ["manufacturer", "institution_name x manufacturer"]
    assert alone.stratum_attributes == ("manufacturer", "institution_name")
    assert alone.stress.tests == ()
    with pytest.raises(ProtocolError, match="patients are drawn for perturbations"):
        load_protocol(written("stress: {shortcuts: [manufacturer], patients: 20}\n"))
    with pytest.raises(ProtocolError, match="shortcuts"):
        load_protocol(written("stress: {shortcuts: ['a x b x c x d']}\n"))


def test_what_is_left_at_its_default_does_not_change_a_registered_digest(written):
    plain = "stress: {patients: 40, perturbations: [{name: zero_byte}]}\n"
    spelled = plain.replace("}\n", ", whole_set: apart, shortcuts: []}\n")
    assert load_protocol(written(plain)).digest == load_protocol(written(spelled)).digest
    among = plain.replace("}\n", ", whole_set: among}\n")
    assert load_protocol(written(among)).digest != load_protocol(written(plain)).digest


def test_a_triage_score_can_be_stressed(written):
    section = "stress: {patients: 40, perturbations: [{name: zero_byte}]}\n"
    triage = PROTOCOL.replace("kind: binary", "kind: triage") + (
        "queue: {operating_point: default, arrivals_per_hour: 4, prevalence: 0.1, diseased: {mean_minutes: 10}, "
        "non_diseased: {mean_minutes: 5}}\n"
    )
    assert load_protocol(written(section, triage)).stress.tests[0].name == "zero_byte"
