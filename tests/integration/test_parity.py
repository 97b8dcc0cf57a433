"""mail_files does to a file what ansible.builtin.template and copy do: bytes, mode, owner, changed, diff."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.playing import Play, Unsafe, account

pytestmark = pytest.mark.parity

CASES: dict[str, str] = {
    "plain": "user {{ account.address }}\n",
    "no_newline_at_the_end": "user {{ account.address }}",
    "two_newlines_at_the_end": "user {{ account.address }}\n\n",
    "three_newlines_after_a_block": "{% if true %}\nx\n{% endif %}\n\n\n",
    "value_ends_with_newline": "{{ with_newline }}\n",
    "value_with_braces": "name {{ account.full_name }}\nagain {{ account.full_name | upper }}\n",
    "only_a_value_with_braces": "{{ account.full_name }}",
    "non_ascii": "ü € 漢字 \u2028 {{ umlaut }} \U0001f4e7\n",
    "crlf_in_the_source": "a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc {{ account.address }}\r\n",
    "crlf_by_header": "#jinja2: newline_sequence: '\\r\\n'\na\nb {{ account.address }}\n",
    "crlf_in_a_value": "a {{ crlf }} b\n",
    "lstrip_by_header": "#jinja2: lstrip_blocks: True\n  {% if true %}\nx\n  {% endif %}\n",
    "no_trim_by_header": "#jinja2: trim_blocks: False\n{% if true %}\nx\n{% endif %}\n",
    "empty": "",
    "renders_to_nothing": "{% if false %}\nx\n{% endif %}",
    "nothing_and_a_newline": "{{ '' }}\n",
    "none": "{{ none }}",
    "none_and_a_newline": "{{ none }}\n",
    "list": "{{ [1, 'a'] }}",
    "list_and_a_newline": "{{ [1, 'a'] }}\n",
    "dictionary": "x {{ {'a': 1} }}\n",
    "number": "{{ 1 + 1 }}",
    "true": "{{ true }}\n",
    "backslashes": r"{{ 'a\nb' }} \n \\ {{ 'a\\b' }} {{ 'x' | regex_replace('(x)', '\\1y') }}" + "\n",
    "include": "a\n{% include 'sub/part.j2' %}\nb\n",
    "macro": "{% macro m(x) %}\n<{{ x }}>\n{% endmacro %}\n{{ m(1) }}\n{{ m(account.address) }}\n",
    "import": "{% from 'macros.j2' import m with context %}\n{{ m(1) }}\n",
    "extends": "{% extends 'base.j2' %}\n{% block body %}\nbody {{ account.address }}\n{% endblock %}\n",
    "raw": "{% raw %}{{ not rendered }}{% endraw %}\n",
    "comment": "{# gone #}\nx\n",
    "lazy_variable": "{{ lazy }}\n",
    "loop": "{% for a in accounts %}\n{{ loop.index }} {{ a.address }}\n{% endfor %}\n",
    "set": "{% set x = account.address %}\n{{ x }}\n",
    "blank_lines": "\n\n  x  \n\n\ty\n",
}
VARIABLES = {
    "with_newline": "value\n",
    "umlaut": "é",
    "crlf": "1\r\n2",
    "lazy": "{{ account.address }} for {{ umlaut }}",
}
ACCOUNT = account("jane@example.org", "msmtp", full_name=Unsafe("{{ lookup('pipe', 'id') }} {% x %} {# y #}"))
# A loop of template takes about a second a file, so only these are looked at more than once.
AGAIN = ["plain", "crlf_by_header", "include", "raw", "non_ascii"]
FEW = AGAIN[:2]
MODES = ["0600", "0644", "0640"]


def test_same_as_template_and_copy(tmp_path: Path) -> None:
    play = Play(tmp_path / "project")
    (play.where / "templates/sub").mkdir()
    play.template("sub/part.j2", "part {{ account.address }}\n")
    play.template("macros.j2", "{% macro m(x) %}\n<{{ x }} {{ account.address }}>\n{% endmacro %}\n")
    play.template("base.j2", "top\n{% block body %}\n{% endblock %}\nbottom\n")
    for name, text in CASES.items():
        play.template(f"{name}.j2", text)

    root, theirs = tmp_path / "machine", tmp_path / "theirs"
    theirs.mkdir()
    ours = root / "home/jane"
    rows = [{"program": "msmtp", "dest": name, "template": f"{name}.j2", "mode": MODES[index % 3]} for index, name in enumerate(CASES)]
    template = {
        "ansible.builtin.template": {
            "src": "{{ item.template }}",
            "dest": f"{theirs}/{{{{ item.dest }}}}",
            "mode": "{{ item.mode }}",
        },
        "loop": "{{ again }}",
        "vars": {"accounts": [ACCOUNT], "account": ACCOUNT},
    }
    mail_files = {
        "msp.charter_mail.mail_files": {
            "root": str(root),
            "people": [{"login": "jane", "accounts": [ACCOUNT]}],
            "files": rows,
        }
    }
    spoil = "cd $d; echo spoilt >> plain; printf 'x\\r\\n' > crlf_by_header; rm include; chmod 666 raw; : > non_ascii"
    steps = []
    for number, extra in enumerate([{"check_mode": True}, {}, {}, {"check_mode": True}, {}]):
        if number == 3:
            steps += [{"step": {"sh": spoil.replace("$d", str(place))}} for place in (ours, theirs)]
        steps.append({**mail_files, **extra, "register": f"ours_{number}"})
        names = {0: FEW, 1: CASES, 2: FEW}.get(number, AGAIN)
        again = {"again": [row for row in rows if row["dest"] in names]}
        steps.append({**template, **extra, "vars": {**template["vars"], **again}, "register": f"theirs_{number}"})
    # copy of one finished file, beside ours
    copied = tmp_path / "copied"
    copy = {"ansible.builtin.copy": {"src": str(ours / "non_ascii"), "dest": str(copied), "mode": "0640"}}
    steps += [{**copy, "register": "copy_first"}, {**copy, "register": "copy_second"}]
    result = play.run(steps, "--diff", variables=VARIABLES)

    problems: list[str] = []
    for number in range(5):
        problems += _differences(number, result[f"ours_{number}"], result[f"theirs_{number}"])
    assert problems == []
    assert [result[f"ours_{n}"]["changed"] for n in range(5)] == [True, True, False, True, True]

    for name in CASES:
        mine, other = ours / name, theirs / name
        assert mine.read_bytes() == other.read_bytes(), name
        a, b = mine.stat(), other.stat()
        assert (a.st_mode, a.st_uid, a.st_gid, a.st_nlink) == (b.st_mode, b.st_uid, b.st_gid, b.st_nlink), name
    assert copied.read_bytes() == (ours / "non_ascii").read_bytes()
    assert (result["copy_first"]["changed"], result["copy_second"]["changed"]) == (True, False)
    assert copied.stat().st_uid == (ours / "non_ascii").stat().st_uid == os.geteuid()
    assert (ours / "value_with_braces").read_text().startswith("name {{ lookup('pipe', 'id') }}")


def _shown(before: str, after: str) -> tuple[str, str]:
    """What template says, as we show it: a line that is not ours is counted."""
    ours = after.splitlines()
    lines = [line if line in ours else "(1 line not shown)" for line in before.splitlines()]
    return (before, after) if "(1 line not shown)" not in lines else ("".join(f"{line}\n" for line in lines), after)


def _differences(number: int, ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Where changed or the content part of the diff is not the same for a file."""
    problems = []
    diffs = {diff["after_header"].rpartition("/")[2]: (diff["before"], diff["after"]) for diff in ours["diff"]}
    outcomes = {outcome["dest"].rpartition("/")[2]: outcome for outcome in ours["files"]}
    assert theirs["results"]
    for item in theirs["results"]:
        name = item["item"]["dest"]
        outcome = outcomes[name]
        if outcome["changed"] != item["changed"]:
            problems.append(f"run {number}: {name}: changed is {outcome['changed']}, template says {item['changed']}")
        content = next(
            (
                (diff["before"], diff["after"])
                for diff in _list(item.get("diff"))
                if isinstance(diff.get("before"), str) and isinstance(diff.get("after"), str)
            ),
            None,
        )
        mine = diffs.get(name)
        if mine is not None and mine[0].startswith("mode: "):
            # For a mode alone, template's diff has a dictionary.
            attributes = next(d for d in _list(item["diff"]) if isinstance(d.get("before"), dict) and "mode" in d["before"])
            assert mine == (f"mode: {attributes['before']['mode']}\n", f"mode: {attributes['after']['mode']}\n")
        elif (mine or ("", "")) not in ([content, _shown(*content)] if content else [("", "")]):
            problems.append(f"run {number}: {name}: diff is {mine}, template says {content}")
    return problems


def _list(diff: Any) -> list[dict[str, Any]]:
    return diff if isinstance(diff, list) else [diff] if diff else []
