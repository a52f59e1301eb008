"""YAML that people write: the dialect, and mistakes named by line."""

import pytest

from holdout.yamlfile import SIZE_LIMIT, parse_yaml, read_yaml, spell
from sandbox.errors import ProtocolError


def parse(text):
    return parse_yaml(text.encode(), "x.yaml", ProtocolError).data


def test_the_dialect_is_yaml_1_2_core():
    text = "a: no\nb: 1:30\nc: 012\nd: 2020-01-01\ne: true\nf: 0.5\ng: ~\n"
    text += "h: -3\ni: 1e3\nj: .inf\nk: 0x1F\nl: ''\n"
    assert parse(text) == {
        "a": "no",
        "b": "1:30",
        "c": "012",
        "d": "2020-01-01",
        "e": True,
        "f": 0.5,
        "g": None,
        "h": -3,
        "i": 1000.0,
        "j": ".inf",
        "k": "0x1F",
        "l": "",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"x\.yaml:3: a is given a second time \(first on line 1\)"),
        ("a:\n  b: 1\n  b: 2\n", r"x\.yaml:3: a\.b is given a second time"),
        ("a: &x 1\nb: *x\n", r"x\.yaml:1: anchors"),
        ("a: 1\nb: *x\n", r"x\.yaml:2: aliases"),
        ("a: !!python/object/apply:os.system ['id']\n", r"x\.yaml:1: tags"),
        ("a: 1\n---\nb: 2\n", r"x\.yaml:2: a second document"),
        ("- a\n", r"x\.yaml:1: expected keys"),
        ("", r"x\.yaml:1: expected keys"),
        ("a: [1\nb: 2\n", r"x\.yaml:2: not valid YAML"),
        ("1: a\n", r"x\.yaml:1: keys must be words"),
        ("? [a]\n: b\n", r"x\.yaml:1: keys must be words"),
        ("a: \x07\n", r"x\.yaml: not valid YAML"),
        ("a: " + "[" * 50, r"x\.yaml:1: nested too deeply"),
        ("a: " + "[" * 100_000, r"x\.yaml:1: nested too deeply"),
        ("a: [" + "1," * 30_000 + "1]", r"x\.yaml:1: nested too deeply or too long"),
        ("a: 1\n" + "#" * SIZE_LIMIT, r"larger than 256 KiB"),
    ],
)
def test_what_is_refused_is_named_by_line(text, message):
    with pytest.raises(ProtocolError, match=message):
        parse(text)


def test_text_that_is_not_utf8_is_named_by_line():
    with pytest.raises(ProtocolError, match=r"x\.yaml:2: not UTF-8"):
        parse_yaml(b"a: 1\nb: \xff\n", "x.yaml", ProtocolError)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(ProtocolError, match="No such file"):
        read_yaml(tmp_path / "none.yaml", ProtocolError)


def test_a_key_cannot_send_control_characters_to_a_terminal():
    with pytest.raises(ProtocolError) as caught:
        parse('"a\\e[31m": 1\n"a\\e[31m": 2\n')
    assert "\x1b" not in str(caught.value)


def test_enormous_numbers_stay_text():
    assert parse("a: " + "9" * 5000)["a"] == "9" * 5000
    assert parse("a: 1e999")["a"] == "1e999"


def test_paths_read_as_a_person_writes_them():
    assert spell(("strata", 1, "bands")) == "strata[1].bands"
    assert spell(()) == ""
