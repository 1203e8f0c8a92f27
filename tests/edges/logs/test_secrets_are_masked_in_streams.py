"""Hazards 48, 49, 51: every form of a secret, over every cut, and nothing else."""

import base64
import html
import json
import shlex
import urllib.parse
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boreas.logs.masking import Masker, SecretForms, TextMasker, forms_in
from boreas.logs.secret_forms import forms_of, is_maskable

VECTORS = next(
    (
        directory / "shared/testdata/masking.json"
        for directory in Path(__file__).parents
        if (directory / "shared/testdata/masking.json").exists()
    ),
    None,
)
SECRET = 'p@ss w\'rd "<&>" $x/+é'
KEY = (
    "-----BEGIN KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAAB\nAAAAMwAAAAtz\nabc\n"
)


def masked(text, *secrets, cuts=()):
    masker = Masker(forms_in(secrets))
    raw = text.encode() if isinstance(text, str) else text
    edges = [0, *cuts, len(raw)]
    pieces = [raw[a:b] for a, b in pairwise(edges)]
    return (b"".join(masker.feed(piece) for piece in pieces) + masker.end()).decode()


@pytest.mark.skipif(VECTORS is None, reason="shared/testdata/masking.json is not here")
def test_the_vectors_of_other_runners_come_out_as_they_say():
    rows = json.loads(VECTORS.read_text())
    for row in rows:
        is_plain = row["kind"] == "exact_stream"
        forms = (s.encode() for s in row["secrets"]) if is_plain else forms_of(row["secrets"])
        masker = Masker(SecretForms(forms), mask=row["mask"].encode())

        out = b"".join(masker.feed(chunk.encode()) for chunk in row["chunks"]) + masker.end()

        assert out.decode() == row["expected"], row
    assert len(rows) == 37


@pytest.mark.parametrize("before", ["", "u:", "us:", "usr:"])
@pytest.mark.parametrize("after", ["", "\n", "x", "xy"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_at_every_shift_tells_at_most_the_edges(before, after, encode):
    secret = "kJ8/2mQ+zz77!é-long"

    out = masked(encode((before + secret + after).encode()).decode(), secret)

    left = out.replace("***", "").rstrip("=")
    assert "***" in out
    assert len(left) <= len(before + after) + 5


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        json.dumps({"log": json.dumps({"t": SECRET})}),
        urllib.parse.quote(SECRET, safe=""),
        urllib.parse.quote(SECRET),
        urllib.parse.quote_plus(SECRET),
        urllib.parse.urlencode({"t": SECRET}),
        html.escape(SECRET),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        shlex.quote(SECRET),
        repr(SECRET),
        f"curl -u 'x:{SECRET}'".replace("'", "'\\''"),
    ],
)
def test_whatever_writes_it_down_it_does_not_show(form):
    out = masked(f"before {form} after", SECRET)

    assert "***" in out
    assert "w" not in out.replace("***", "").replace("before", "").replace("after", "")


def test_what_bash_prints_of_its_commands_is_masked(tmp_path):
    import subprocess

    secret = "it's $5 & \\more\ttabs é"
    script = (
        'set -x; echo "$T" >/dev/null; printf "%q\\n" "$T"; declare -p T; x="$T"; env | grep ^T='
    )
    for locale in ("C", "C.UTF-8"):
        said = subprocess.run(
            ["bash", "-c", script],
            env={"T": secret, "PATH": "/usr/bin:/bin", "LC_ALL": locale},
            capture_output=True,
            check=True,
        )
        for stream in (said.stdout, said.stderr):
            out = masked(stream, secret)
            assert "more" not in out, (locale, stream, out)


def test_each_line_of_a_key_is_masked_and_short_lines_are_not():
    out = masked(f"a\n{KEY}b\nAAAAMwAAAAtz again\nabc alone\n", KEY)

    assert out == "a\n***\nb\n*** again\nabc alone\n"


def test_a_key_that_base64_wraps_is_masked_on_every_long_line():
    key = KEY * 5
    wrapped = base64.encodebytes(key.encode()).decode()

    out = masked(wrapped, key)

    assert all(line.startswith("***") or len(line) < 20 for line in out.splitlines())


@pytest.mark.parametrize("secret", ["", "12345", "true", "root", "TRUE", "      ", "aaaaaaaaa"])
def test_what_cannot_be_told_from_ordinary_words_is_not_masked(secret):
    assert not is_maskable(secret)
    assert forms_in([secret]) is None


def test_overlapping_secrets_are_one_mask_and_neighbours_are_two():
    assert masked("xabcdefghijk.", "abcdefgh", "efghijk") == "x***."
    assert masked("abc123abc123", "abc123") == "******"


def test_nothing_waits_longer_than_its_line():
    masker = Masker(forms_in(["hunter2hunter2"]))

    assert masker.feed(b"user hunter2hun\n") == b"user hunter2hun\n"
    assert masker.feed(b"user hunter2hun") == b"user "
    assert masker.idle() == b""
    assert masker.holds_back
    assert masker.feed(b"ter2\n") == b"***\n"


def test_a_prompt_that_ends_like_a_secret_begins_is_shown_when_nothing_comes():
    masker = Masker(forms_in(["hunter2hunter2"]))

    assert masker.feed(b"Go ah") == b"Go a"
    assert masker.idle() == b"h"
    assert masker.end() == b""


def test_what_is_held_back_is_never_longer_than_the_longest_form():
    forms = forms_in(["abcabcabc" * 4])
    longest = max(len(form) for form in forms_of(["abcabcabc" * 4]))
    masker = Masker(forms)
    said = 0
    for _ in range(2000):
        said += len(masker.feed(b"abc"))
        assert len(masker._held) < longest
    assert masker.end() == b""
    assert said == 3  # one mask for all of it


LETTERS = "ab1\n'\"& <%+/é\\$"
secrets_drawn = st.lists(st.text(LETTERS + "xyz", min_size=6, max_size=14), min_size=1, max_size=4)
# Anything may stand around them; stars could make a secret out of a mask and its neighbours.
pieces_drawn = st.lists(
    st.one_of(st.text(LETTERS, max_size=6), st.integers(0, 60)), min_size=1, max_size=8
)


def _text(pieces, forms):
    known = sorted(forms)
    return b"".join(
        piece.encode() if isinstance(piece, str) else known[piece % len(known)] if known else b""
        for piece in pieces
    )


@given(secrets_drawn, pieces_drawn, st.lists(st.integers(0, 200), max_size=12))
def test_however_it_is_cut_no_form_gets_through(secrets, pieces, cuts):
    forms = forms_of(secrets)
    if not forms:
        return
    text = _text(pieces, forms)
    compiled = SecretForms(forms)
    for keep_length in (False, True):
        whole, cut = (Masker(compiled, keep_length=keep_length) for _ in range(2))
        edges = [0, *sorted(min(place, len(text)) for place in cuts), len(text)]

        at_once = whole.feed(text) + whole.end()
        out = b"".join(cut.feed(text[a:b]) for a, b in pairwise(edges))
        out += cut.end()

        assert out == at_once
        assert not any(form in out for form in forms if b"*" not in form)
        if keep_length:
            assert len(out) == len(text)
            assert [i for i, c in enumerate(out) if c == 10] == [
                i for i, c in enumerate(text) if c == 10
            ]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_text_without_secrets_is_unchanged(text, cuts):
    masker = Masker(SecretForms([b"\x00\x01never here\xff", b"zz\nzz never"]))
    edges = [0, *sorted(min(place, len(text)) for place in cuts), len(text)]

    out = b"".join(masker.feed(text[a:b]) for a, b in pairwise(edges))

    assert out + masker.end() == text


def test_texts_that_come_whole_are_masked_too():
    mask = TextMasker(forms_in(["hunter2hunter2"]))

    assert mask("fatal: https://x:hunter2hunter2@host/") == "fatal: https://x:***@host/"
