"""Keys of ours in a file that a program writes as well: every other line stays as it is."""

from __future__ import annotations

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.files import keyfile
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.text(alphabet="abcXYZ019._-é", min_size=1, max_size=6)
VALUES = st.text(alphabet="abc 019=;#[]é\"'/", max_size=12).map(str.strip)
THEIRS = st.one_of(
    st.just(""),
    st.just("   "),
    st.builds("# {}".format, VALUES),
    st.builds("; {}".format, VALUES),
    st.builds("[{}]".format, WORDS),
    st.builds("{}={}".format, WORDS, VALUES),
    st.builds("  {} =  {}".format, WORDS, VALUES),
)
OURS = st.dictionaries(st.one_of(st.just(""), WORDS), st.dictionaries(WORDS, VALUES, min_size=1, max_size=3), max_size=3)


@st.composite
def files(draw: st.DrawFn) -> str:
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = end.join(draw(st.lists(THEIRS, max_size=12)))
    return text + end if text and draw(st.booleans()) else text


def lines_with_section(text: str) -> list[tuple[str, str]]:
    section, found = "", []
    for line in text.splitlines():
        if line.strip().startswith("["):
            section = line.strip()[1:-1]
        if line.strip():
            found.append((section, line))
    return found


def is_ours(section: str, line: str, names: dict[str, list[str]]) -> bool:
    return line.strip()[0] not in "#;[" and line.split("=", maxsplit=1)[0].strip() in names.get(section, [])


@given(files(), OURS)
def test_every_other_line_is_kept_in_order(text: str, ours: keyfile.Keys) -> None:
    names = {section: list(keys) for section, keys in ours.items()}
    merged = keyfile.merge(text, ours)
    added = set(ours) - set(keyfile.sections(text))
    before = [pair for pair in lines_with_section(text) if not is_ours(*pair, names)]
    after = [
        pair
        for pair in lines_with_section(merged.text)
        if not is_ours(*pair, names) and not (pair[1] == f"[{pair[0]}]" and pair[0] in added)
    ]
    assert after == before


@given(files(), OURS)
def test_every_key_of_ours_is_enforced_and_a_second_time_changes_nothing(text: str, ours: keyfile.Keys) -> None:
    merged = keyfile.merge(text, ours)
    found = keyfile.present(merged.text, keyfile.names(ours))
    assert {s: {k: set(v) for k, v in keys.items()} for s, keys in found.items()} == {
        s: {k: {v} for k, v in keys.items()} for s, keys in ours.items()
    }
    assert keyfile.merge(merged.text, ours).text == merged.text


@given(files(), OURS)
def test_taking_ours_out_again_gives_the_file_back_to_the_byte(text: str, ours: keyfile.Keys) -> None:
    theirs = {(s, line.split("=")[0].strip()) for s, line in lines_with_section(text) if line.strip()[0] not in "#;["}
    ours = {s: {k: v for k, v in keys.items() if (s, k) not in theirs} for s, keys in ours.items() if s not in keyfile.sections(text)}
    merged = keyfile.merge(text, ours)
    back = keyfile.merge(merged.text, {}, keyfile.names(ours))
    if text and not text.endswith("\n"):  # a last line without an end had to get one to add anything
        assert back.text in (text, text + "\n", text + "\r\n")
    else:
        assert back.text == text
    assert back.empty == (not text.strip())


def test_line_ends_spaces_and_comments_of_the_file_are_followed() -> None:
    text = "; kept\r\n[a]\r\nx = 1\r\n\r\n[b]\r\ny = 2\r\n"
    assert keyfile.merge(text, {"a": {"x": "1", "new": "n"}, "c": {"z": "3"}}).text == (
        "; kept\r\n[a]\r\nx = 1\r\nnew = n\r\n\r\n[b]\r\ny = 2\r\n\r\n[c]\r\nz = 3\r\n"
    )


def test_a_byte_order_mark_stays() -> None:
    assert keyfile.merge("\ufeff[a]\nx=1\n", {"a": {"x": "2"}}).text == "\ufeff[a]\nx=2\n"


def test_a_key_that_is_there_twice_gets_our_value_twice() -> None:
    assert keyfile.merge("[a]\nx=1\nx=3\n[a]\nx=4\n", {"a": {"x": "2"}}).text == "[a]\nx=2\nx=2\n[a]\nx=2\n"


def test_a_continued_value_is_replaced_as_a_whole() -> None:
    assert keyfile.merge("[a]\nx = 1\n   more\ny = 2\n more\n", {"a": {"x": "1"}}).text == "[a]\nx = 1\ny = 2\n more\n"


def test_a_file_without_any_section() -> None:
    assert keyfile.merge("# c\nx=1\n", {"": {"x": "2", "y": "3"}}).text == "# c\nx=2\ny=3\n"
    assert keyfile.merge("", {"": {"y": "3"}}).text == "y=3\n"


def test_only_what_we_wrote_before_is_removed() -> None:
    text = "[ours]\nx=1\n\n[mixed]\nx=1\nmine=2\n\n[theirs]\n"
    merged = keyfile.merge(text, {}, {"ours": ["x"], "mixed": ["x"]})
    assert merged.text == "\n[mixed]\nmine=2\n\n[theirs]\n"
    assert not merged.empty


@pytest.mark.parametrize("text", ["no equals sign\n", "[a\nx=1\n", "x=1\n\0\n", "=1\n", "[]\n"])
def test_what_is_not_understood_is_said_with_its_line(text: str) -> None:
    with pytest.raises(keyfile.NotUnderstood, match=r"line \d"):
        keyfile.merge(text, {"a": {"x": "1"}})


@pytest.mark.parametrize("text", ["x=1\nx=2\n", "x=1\n  more\n"])
def test_our_own_text_must_be_clear(text: str) -> None:
    with pytest.raises(keyfile.NotUnderstood):
        keyfile.read_keys(text)
