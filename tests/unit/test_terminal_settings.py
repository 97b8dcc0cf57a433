"""What msmtp and mbsync have stored, read as they read it. Nothing secret comes out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import mbsyncrc, msmtprc
from ansible_collections.msp.charter_mail.plugins.module_utils.stored.account import MAX_TEXT, Settings
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats import escape
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "tests/golden/expected/desk/home/jane"

MSMTPRC = b"""
# what `msmtp --pretend` of 1.8.23 and 1.8.28 says of these accounts is below
defaults
auth on
tls on
tls_trust_file system
port 2525

account base
host "smtp.base.test"
tls_starttls off

account\twork : base
\tfrom\t"jane@example.org" \t
user "jane"quoted"\r
password "hidden # secret"

account plain
tls off
host smtp.plain.test
port 0x19

account octal:base,plain
port 0145
user o"dd
account lm
host x.test
protocol lmtp
account noauth : work
auth off
tls_starttls
from *@example.org
user " spaced "
account default : work
"""

MBSYNCRC = rb"""# read by mbsync 1.4.4 and 1.5.1
Create Near
SyncState *

IMAPAccount "a b\"c"
# a comment ends no section
Host 127.0.0.1 # nor does one behind a value
User "jane \"q\" \\doe@example.org"
PassCmd "echo hidden"

IMAPStore far
Account "a b\"c"

IMAPStore direct
host imap.direct.test
USER direct
Pass hidden
tlsType imaps
Timeout 20
"""


def sending(settings: Settings) -> list[tuple[Any, ...]]:
    assert all(account.incoming is None and account.outgoing for account in settings.accounts)
    return [(account.email, *(account.outgoing or {}).values()) for account in settings.accounts]


def fetching(settings: Settings) -> list[tuple[Any, ...]]:
    assert all(account.outgoing is None and account.incoming for account in settings.accounts)
    return [tuple((account.incoming or {}).values()) for account in settings.accounts]


def test_msmtp_inherits_as_the_program_does() -> None:
    found = msmtprc.accounts(MSMTPRC)
    assert found.problems == []
    assert sending(found) == [
        ("", "smtp", "smtp.base.test", 2525, "tls", ""),
        ("jane@example.org", "smtp", "smtp.base.test", 2525, "tls", 'jane"quoted'),
        ("", "smtp", "smtp.plain.test", 25, "none", ""),
        ("", "smtp", "smtp.plain.test", 101, "none", 'o"dd'),
        ("", "smtp", "smtp.base.test", 2525, "starttls", ""),
    ]


def test_msmtp_without_an_account_line() -> None:
    found = msmtprc.accounts(b"host smtp.old.test\ntls\ntls_nostarttls\nuser old\nauth")
    assert sending(found) == [("", "smtp", "smtp.old.test", 465, "tls", "old")]


@pytest.mark.parametrize(
    ("lines", "port", "security"),
    [("", 25, "none"), ("tls on", 25, "starttls"), ("tls on\ntls_starttls off", 465, "tls"), ("tls off\ntls_starttls off", 25, "none")],
)
def test_the_port_msmtp_uses_when_none_is_given(lines: str, port: int, security: str) -> None:
    ((*_, number, word, _),) = sending(msmtprc.accounts(f"account a\nhost h\n{lines}".encode()))
    assert (number, word) == (port, security)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("eval echo user hidden", "line 3 is the output of a command (eval), so only msmtp knows what it uses"),
        ("hidden: yes", "line 3 begins with a word that is no command of msmtp"),
        ("account b : nowhere", "line 3 takes over an account that is not there (yet)"),
        ("account b : b", "line 3 takes over an account that is not there (yet)"),
        ("account a", "line 3 names an account that is there already"),
        ("account", "line 3 has no usable name for an account"),
        ("account b,c", "line 3 has no usable name for an account"),
        ("port hidden", "line 3 has no usable value for port"),
        ("port 65536", "line 3 has no usable value for port"),
        ("port 089", "line 3 has no usable value for port"),
        ("tls maybe", "line 3 has no usable value for tls"),
        ("user " + "x" * 500, "line 3 is longer than the 499 characters that msmtp reads"),
    ],
)
def test_a_file_that_msmtp_refuses_gives_one_problem_and_no_half_of_it(line: str, what: str) -> None:
    assert msmtprc.accounts(f"account a\nhost h\n{line}\n".encode()) == Settings([], [what])


def test_mbsync_quotes_and_defaults() -> None:
    found = mbsyncrc.accounts(MBSYNCRC)
    assert found.problems == []
    assert fetching(found) == [
        ("imap", "127.0.0.1", 143, "starttls", 'jane "q" \\doe@example.org'),
        ("imap", "imap.direct.test", 993, "tls", "direct"),
    ]


@pytest.mark.parametrize(
    ("lines", "port", "security"),
    [
        ("", 143, "starttls"),
        ("SSLType IMAPS", 993, "tls"),
        ("TLSType none", 143, "none"),
        ("TLSType STARTTLS\nPort 0", 143, "starttls"),
        ("port 1143\nSSLType IMAPS", 1143, "tls"),
        ("UseIMAPS yes", 993, "tls"),
        ("Host imaps://h", 993, "tls"),
        ("Host imap:h", 143, "starttls"),
    ],
)
def test_where_mbsync_connects(lines: str, port: int, security: str) -> None:
    """Seen on 1.4.4 in what `mbsync --verbose` says of its connection."""
    assert fetching(mbsyncrc.accounts(f"IMAPAccount a\nHost h\n{lines}".encode())) == [("imap", "h", port, security, "")]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("Port hidden", "line 3 has no usable value for Port"),
        ("Port 65536", "line 3 has no usable value for Port"),
        ("TLSType hidden", "line 3 has none of None, STARTTLS and IMAPS"),
        ('User "hidden', "line 3 has a quote or a backslash without its end"),
        ("User hidden\\", "line 3 has a quote or a backslash without its end"),
        ("User", "line 3 has a name without a value"),
        ("IMAPStore s", "line 3 begins a section, but the blank line before it is missing"),
        ("\nIMAPAccount b\nUser hidden", "the section in line 4 names no Host"),
        ("\nhidden b", "line 4 begins with a word that mbsync does not know there"),
        ("User " + "x" * 1020, "line 3 is longer than the 1022 characters that mbsync reads"),
    ],
)
def test_a_file_that_mbsync_refuses_gives_one_problem_and_no_half_of_it(lines: str, what: str) -> None:
    assert mbsyncrc.accounts(f"IMAPAccount a\nHost h\n{lines}\n".encode()) == Settings([], [what])


def test_what_only_a_command_knows_is_said_to_be_unknown() -> None:
    found = mbsyncrc.accounts(
        b'IMAPAccount a\nTunnel "ssh hidden"\n\nIMAPAccount b\nTunnel hidden\n\nIMAPAccount c\nHost h\nUserCmd hidden\n'
    )
    assert fetching(found) == [("imap", "h", 143, "starttls", "")]
    assert [problem[:30] for problem in found.problems] == ["it connects through a command ", "it learns a user name from a c"]


def test_sections_of_other_kinds_are_nobody_s_account() -> None:
    text = b"FSync yes\n\nMaildirStore m\nPath ~/x\nHost no\n\nGroup g a b\nChannel c\n\nChannel d\nFar :a:\nNear :m:\n"
    assert mbsyncrc.accounts(text) == Settings([], [])


@pytest.mark.parametrize("reader", [msmtprc.accounts, mbsyncrc.accounts])
def test_other_files_are_not_taken_for_settings(reader: Any) -> None:
    for data in (b'{"json": true}\n', b"\x7fELF\x02\x01", b"<html>\n<body>\n", b"\xff\xfe\x00"):
        found = reader(data)
        assert not found.accounts and len(found.problems) == 1, data
    assert reader(b"") == reader(b"# nothing\n\n") == Settings([], [])


def test_what_this_project_writes_is_read_as_it_was_meant() -> None:
    assert sending(msmtprc.accounts((HOME / ".msmtprc").read_bytes())) == [
        ("jane.doe@example.org", "smtp", "smtp.charter.net", 587, "starttls", "jane.doe@example.org"),
        ("info@example.com", "smtp", "smtp.charter.net", 465, "tls", "info@example.com"),
    ]
    assert fetching(mbsyncrc.accounts((HOME / ".mbsyncrc").read_bytes())) == [
        ("imap", "imap.charter.net", 993, "tls", "jane.doe@example.org"),
        ("imap", "imap.charter.net", 993, "tls", "info@example.com"),
    ]


USERS = st.text(st.characters(exclude_categories=("Cc", "Zl", "Zp", "Cs")), max_size=60)


@given(USERS)
def test_any_user_name_that_is_written_comes_back(user: str) -> None:
    ((*_, read),) = sending(msmtprc.accounts(f"host h\nauth on\nuser {escape.msmtp_value(user)}\n".encode()))
    assert read == user
    ((*_, read),) = fetching(mbsyncrc.accounts(f"IMAPAccount a\nHost h\nUser {escape.mbsync_value(user)}\n".encode()))
    assert read == user


WORDS = """
account defaults host port tls tls_starttls from user auth protocol eval a b : , h 25 on off IMAPAccount IMAPStore Account
Host Port User TLSType Tunnel Channel None imaps:// " \\ #
"""
SIGNS = [b"\n", b"\n\n", b"\t", b"\r\n", b"\0"]


@given(
    st.lists(st.sampled_from([*WORDS.encode().split(), *SIGNS]) | st.binary(max_size=6), max_size=60), st.sampled_from([b" ", b"", b"\n"])
)
def test_any_bytes_are_read(words: list[bytes], between: bytes) -> None:
    for reader in (msmtprc.accounts, mbsyncrc.accounts):
        found = reader(between.join(words))
        assert not found.problems or not found.accounts or reader is mbsyncrc.accounts
        for account in found.accounts:
            server = account.incoming or account.outgoing
            assert server is not None
            assert len(server["host"]) <= MAX_TEXT and 0 < server["port"] < 65536


SAMPLE = """
import json, sys
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import find, mbsyncrc, msmtprc, prefs_js
readers = {"prefs": prefs_js, "msmtp": msmtprc, "mbsync": mbsyncrc}
for name, data in json.load(sys.stdin):
    print(json.dumps(readers[name].accounts(data.encode("latin-1"))))
"""


def runs(interpreter: str) -> bool:
    """A version manager's shim may be there without a Python behind it."""
    return shutil.which(interpreter) is not None and not subprocess.run([interpreter, "-V"], capture_output=True, check=False).returncode


def test_the_oldest_python_reads_the_same() -> None:
    versions = sorted(Path.home().glob(".pyenv/versions/3.8*/bin/python"))
    candidates = ["python3.8", *map(str, versions)]
    python = next((name for name in candidates if runs(name)), None)
    if python is None:
        pytest.skip("no Python 3.8 is here: the readers were not run with the oldest Python that machines may have")
    samples = [("prefs", path.read_bytes()) for path in sorted((ROOT / "tests/unit/data").glob("prefs-*.js"))]
    samples += [("msmtp", MSMTPRC), ("msmtp", b"eval x"), ("mbsync", MBSYNCRC), ("mbsync", b"IMAPAccount a\nPort x\n")]
    data = json.dumps([(name, content.decode("latin-1")) for name, content in samples])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "collections")}

    def read(interpreter: str) -> str:
        return subprocess.run([interpreter, "-c", SAMPLE], input=data, env=environment, capture_output=True, text=True, check=True).stdout

    assert read(python) == read(sys.executable)
    assert len(read(python).splitlines()) == len(samples)
