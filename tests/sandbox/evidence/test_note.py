from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdout.merkle import EMPTY_ROOT
from sandbox.errors import NoteError
from sandbox.evidence.checkpoint import Checkpoint, open_checkpoint, parse_body, sign_checkpoint
from sandbox.evidence.keys import SigningKey
from sandbox.evidence.note import parse_note, sign_note, verify_note

ROOT = base64.b64encode(bytes(range(32))).decode()
URL_SAFE = base64.urlsafe_b64encode(b"\xfb" * 32).decode()
SHORT_ROOT = base64.b64encode(b"12345").decode()

# Bodies that a shipped verifier was seen to accept (int() and b64decode() are lenient), and their like.
BAD_BODIES = {
    "leading zero": f"o/x\n07\n{ROOT}\n",
    "plus sign": f"o/x\n+7\n{ROOT}\n",
    "space before the size": f"o/x\n 7\n{ROOT}\n",
    "space after the size": f"o/x\n7 \n{ROOT}\n",
    "underscore": f"o/x\n7_0\n{ROOT}\n",
    "digit of another script": f"o/x\n\u0667\n{ROOT}\n",
    "superscript digit": f"o/x\n7\u00b2\n{ROOT}\n",
    "negative": f"o/x\n-7\n{ROOT}\n",
    "over 64 bits": f"o/x\n18446744073709551616\n{ROOT}\n",
    "over 63 bits": f"o/x\n9223372036854775808\n{ROOT}\n",
    "very long number": f"o/x\n{'9' * 5000}\n{ROOT}\n",
    "hexadecimal": f"o/x\n0x7\n{ROOT}\n",
    "no size": f"o/x\n\n{ROOT}\n",
    "no final newline": f"o/x\n7\n{ROOT}",
    "stray characters in base64": f"o/x\n7\n{ROOT[:8]}!{ROOT[8:]}\n",
    "space in base64": f"o/x\n7\n{ROOT[:8]} {ROOT[8:]}\n",
    "non-zero trailing bits in base64": f"o/x\n7\n{ROOT[:-2]}9=\n",
    "no padding": f"o/x\n7\n{ROOT[:-1]}\n",
    "URL-safe base64": f"o/x\n7\n{URL_SAFE}\n",
    "5-byte root": f"o/x\n7\n{SHORT_ROOT}\n",
    "CRLF": f"o/x\r\n7\r\n{ROOT}\r\n",
    "extension line": f"o/x\n7\n{ROOT}\nextension\n",
    "empty line at the end": f"o/x\n7\n{ROOT}\n\n",
    "two lines": "o/x\n7\n",
    "empty origin": f"\n7\n{ROOT}\n",
    "origin with a space": f"o x\n7\n{ROOT}\n",
    "origin with a no-break space": f"o\u00a0x\n7\n{ROOT}\n",
    "origin with a plus": f"o+x\n7\n{ROOT}\n",
    "origin with a right-to-left override": f"o\u202ex\n7\n{ROOT}\n",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_malformed_checkpoint_bodies_are_refused(body: str) -> None:
    with pytest.raises(NoteError):
        parse_body(body.encode())


def test_a_body_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(NoteError):
        parse_body(b"o/\xff\n7\n" + ROOT.encode() + b"\n")


def test_checkpoint_of_the_specification_parses() -> None:
    # The example of c2sp.org/tlog-checkpoint.
    body = b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    checkpoint = parse_body(body)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.body == body


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_every_checkpoint_comes_back_as_it_was_written(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin="proctor/a", size=size, root=root)
    assert parse_body(checkpoint.body) == checkpoint


@given(st.binary(max_size=200))
def test_whatever_parses_as_a_body_is_its_only_spelling(body: bytes) -> None:
    try:
        checkpoint = parse_body(body)
    except NoteError:
        return
    assert checkpoint.body == body


def _line(note: bytes) -> str:
    return note.decode().split("\n\n")[-1]


def test_malformed_notes_are_refused(key: SigningKey) -> None:
    good = sign_note(b"text\n", [key])
    line = _line(good)
    head, blob = line.rstrip("\n").rsplit(" ", 1)
    bad = {
        "no blank line": "text\n" + line,
        "no signature": "text\n\n",
        "empty": "",
        "only newlines": "\n\n",
        "empty text": "\n\n" + line,
        "no final newline": "text\n\n" + line[:-1],
        "hyphen for the em dash": "text\n\n" + line.replace("—", "-"),
        "en dash for the em dash": "text\n\n" + line.replace("—", "–"),
        "two spaces": "text\n\n" + line.replace("— ", "—  "),
        "no-break space": "text\n\n" + line.replace("— ", "—\u00a0"),
        "trailing junk line": "text\n\n" + line + "junk\n",
        "junk line before": "text\n\njunk\n" + line,
        "trailing blank line": "text\n\n" + line + "\n",
        "trailing space": "text\n\n" + line[:-1] + " \n",
        "CRLF": "text\r\n\r\n" + line.replace("\n", "\r\n"),
        "control character in the text": "te\x01xt\n\n" + line,
        "tab in the text": "te\txt\n\n" + line,
        "NUL": "text\x00\n\n" + line,
        "delete character": "te\x7fxt\n\n" + line,
        "C1 control character": "te\x85xt\n\n" + line,
        "stray character in base64": f"text\n\n{head} {blob[:5]}!{blob[5:]}\n",
        "line break in base64": f"text\n\n{head} {blob[:5]}\n{blob[5:]}\n",
        "no padding": f"text\n\n{head} {blob.rstrip('=')}\n" if blob.endswith("=") else "",
        "key id only": f"text\n\n{head} {base64.b64encode(b'1234').decode()}\n",
        "plus in the name": "text\n\n" + line.replace("proctor/", "proctor+"),
        "no name": f"text\n\n— {blob}\n",
        "65 signatures": "text\n\n" + line * 65,
        "too long": "x" * 300_000 + "\n\n" + line,
    }
    parse_note(good)
    accepted = []
    for name, text in bad.items():
        with suppress(NoteError):
            parse_note(text.encode())
            accepted.append(name)
    assert accepted == []
    with pytest.raises(NoteError):
        parse_note(b"te\xffxt\n\n" + line.encode())


def test_sixteen_signatures_are_accepted_and_a_signer_counts_once(key: SigningKey) -> None:
    note = sign_note(b"text\n", [key] * 16)
    assert verify_note(parse_note(note), [key.verifier]) == (key.verifier,)


def test_a_known_keys_bad_signature_refuses_the_note_even_beside_a_good_one(
    key: SigningKey, other_key: SigningKey
) -> None:
    two = sign_note(b"text\n", [key, other_key])
    lines = two.decode().splitlines(keepends=True)
    broken = lines[3].rstrip("\n")
    broken = broken[:-3] + ("AA" if broken[-3:-1] != "AA" else "BA") + broken[-1]
    note = parse_note("".join([*lines[:3], broken + "\n"]).encode())
    verify_note(note, [key.verifier])  # the other key is unknown here: ignored, as the specification demands
    with pytest.raises(NoteError, match="does not hold"):
        verify_note(note, [key.verifier, other_key.verifier])


def test_unknown_keys_alone_do_not_vouch(key: SigningKey, other_key: SigningKey) -> None:
    with pytest.raises(NoteError, match="no trusted key"):
        verify_note(parse_note(sign_note(b"text\n", [other_key])), [key.verifier])


def test_every_flipped_bit_of_a_signed_checkpoint_is_refused(key: SigningKey) -> None:
    signed = sign_checkpoint(Checkpoint(origin=key.name, size=0, root=EMPTY_ROOT), key)
    assert open_checkpoint(signed, key.verifier).size == 0
    for at in range(len(signed)):
        for bit in (0x01, 0x20, 0x80):
            with pytest.raises(NoteError):
                open_checkpoint(signed[:at] + bytes([signed[at] ^ bit]) + signed[at + 1 :], key.verifier)
    for end in range(len(signed)):
        with pytest.raises(NoteError):
            open_checkpoint(signed[:end], key.verifier)


def test_a_key_signs_only_for_the_log_of_its_name(key: SigningKey) -> None:
    with pytest.raises(NoteError):
        sign_checkpoint(Checkpoint(origin="proctor/another", size=0, root=EMPTY_ROOT), key)
    body = Checkpoint(origin="proctor/another", size=0, root=EMPTY_ROOT).body
    with pytest.raises(NoteError, match="origin"):
        open_checkpoint(sign_note(body, [key]), key.verifier)


@given(st.binary(max_size=300))
def test_the_note_parser_raises_nothing_but_note_errors(data: bytes) -> None:
    try:
        note = parse_note(data)
    except NoteError:
        return
    assert data.startswith(note.text + b"\n")


def test_a_changed_text_is_refused(key: SigningKey) -> None:
    note = sign_note(b"text\n", [key]).replace(b"text", b"tent")
    with pytest.raises(NoteError):
        verify_note(parse_note(note), [key.verifier])
