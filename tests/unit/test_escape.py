"""What is written for a program must be read by it as it was meant. The readers below follow the programs' own sources."""

from __future__ import annotations

import email.utils
import re
import subprocess
import urllib.parse
from collections.abc import Callable

import pytest
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats import escape
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=("Cc", "Zl", "Zp", "Cs")), max_size=60)
# RFC 5321 4.1.2 Atom, dot and at sign: what an address is made of here.
ADDRESS = st.text("abcxyz0129.!#$%&'*+/=?^_`{|}~-@", max_size=40)
AWKWARD = 'O\'Brien, "Zoë" \\ 名前 100% $HOME ${from} `id` {{ 7*7 }} %40 # x; y\\'
ALL = list(escape.FORMATS.values())


def msmtp(line: str) -> str:
    """msmtp src/conf.c trim_string."""
    text = line.strip(" \t")
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def mbsync(line: str) -> str:
    """isync src/config.c next_arg, for a word in quotes."""
    assert line[0] == '"'
    word, rest = "", iter(line[1:])
    for character in rest:
        if character == '"':
            break
        word += next(rest) if character == "\\" else character
    assert next(rest, None) is None, "something stands behind the value"
    return word


def neomutt(line: str, quotes: bool = True) -> str:
    """NeoMutt parse/extract.c parse_extract_token, as far as nothing is expanded; without quotes: what is between backticks."""
    word, quote, rest = "", "", iter(line)
    for character in rest:
        if not quote and quotes:
            assert character not in " \t#;", "the word has ended before the line"
        if character == quote:
            quote = ""
        elif quotes and not quote and character in "'\"":
            quote = character
        elif character == "\\" and quote != "'":
            escaped = next(rest)
            assert escaped not in "cCefnrt0123456789", "a control character"
            word += escaped
        else:
            assert quote == "'" or character not in "`$", "something would be expanded"
            word += character
    assert not quote
    return word


def neomutt_backticks(line: str) -> str:
    assert line[:2] + line[-2:] == '"``"'
    return neomutt(line[2:-2], quotes=False)


def aerc(line: str) -> str:
    """go-ini parser.go readValue: from a backtick to the last backtick of the line."""
    assert line[0] == "`"
    return line[1 : line.rindex("`", 1)]


READERS: list[tuple[Callable[[str], str], Callable[[str], str]]] = [
    (escape.msmtp_value, msmtp),
    (escape.mbsync_value, mbsync),
    (escape.neomutt_value, neomutt),
    (escape.neomutt_command, neomutt_backticks),
    (escape.aerc_value, aerc),
    (escape.url_part, urllib.parse.unquote),
]


@pytest.mark.parametrize(("write", "read"), READERS, ids=lambda function: function.__name__)
@given(text=TEXT)
def test_the_program_reads_what_was_meant(write: Callable[[str], str], read: Callable[[str], str], text: str) -> None:
    assert read(write(text)) == text


@pytest.mark.parametrize(("write", "read"), READERS, ids=lambda function: function.__name__)
def test_an_awkward_text(write: Callable[[str], str], read: Callable[[str], str]) -> None:
    assert read(write(AWKWARD)) == AWKWARD


@given(text=TEXT)
def test_a_command_of_a_hook_goes_through_two_readers(text: str) -> None:
    hook = escape.neomutt_value(f"set imap_pass = {escape.neomutt_command(text)}")
    assert neomutt_backticks(neomutt(hook).removeprefix("set imap_pass = ")) == text


@given(user=ADDRESS)
def test_a_pattern_finds_both_spellings_and_nothing_else(user: str) -> None:
    pattern = re.compile(escape.neomutt_pattern(user))
    # NeoMutt's own spelling: email/url.c url_pct_encode.
    its_own = re.sub("[ /:&%=]", lambda found: f"%{ord(found[0]):02X}", user)
    for spelling in (user, its_own, escape.url_part(user)):
        assert pattern.fullmatch(spelling)
    assert not pattern.fullmatch(user + "x")
    assert not pattern.fullmatch("x" + user)


def test_a_pattern_is_posix() -> None:
    """By the C library's own matcher, as NeoMutt does it, not by Python's."""
    user = "a.b!#$%&'*+/=?^_`{|}~-c@example.org"
    for text, status in ((user, 0), (escape.url_part(user), 0), (user.replace(".", "x"), 1)):
        grep = ["grep", "--extended-regexp", "--line-regexp", "--quiet", "--", escape.neomutt_pattern(user)]
        assert subprocess.run(grep, input=text, text=True, check=False).returncode == status


@given(name=TEXT)
def test_a_display_name_comes_back(name: str) -> None:
    # The standard library's parser folds a name's blanks, as a header's reader may (RFC 5322 3.2.2).
    assert email.utils.parseaddr(f"{escape.display_name(name)} <jane@example.org>") in [
        (name, "jane@example.org"),
        (name.strip(), "jane@example.org"),
    ]


@pytest.mark.parametrize("function", ALL, ids=lambda function: function.__name__)
@pytest.mark.parametrize("text", ["a\nset b", "a\rb", "a\x00", "a\x7f", "a\x85b", "a\u2028b", "a\u2029b", "a\ud800"])
def test_a_line_break_is_refused(function: Callable[[str], str], text: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        function(text)


def test_a_line_that_is_cut_is_refused() -> None:
    assert len(escape.msmtp_value("x" * (escape.MSMTP_LONGEST - 2))) == escape.MSMTP_LONGEST
    with pytest.raises(ValueError, match="msmtp reads lines of limited length, 467 bytes are the most"):
        escape.msmtp_value("ë" * 233)
    with pytest.raises(ValueError, match="mbsync reads lines"):
        escape.mbsync_value("\\" * 500)


def test_a_reference_that_aerc_would_follow_is_refused() -> None:
    assert escape.aerc_value("100%(s)") == "`100%(s)`"
    with pytest.raises(ValueError, match="another setting"):
        escape.aerc_value("cat %(from)s")
