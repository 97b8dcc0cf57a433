"""What becomes of passwords in text that somebody may see."""

from __future__ import annotations

import base64
import html
import json
import quopri
import time
from urllib.parse import quote

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.masking import MASK, mask
from hypothesis import given
from hypothesis import strategies as st

SECRET = 'hunter-2<"&é %x'
SIMPLE = "correct-horse7"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PLAIN = _base64("\0jane@example.org\0hunter2")
CRAM = _base64("jane 9e107d9d372bb6826bd81d3542a419d6")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("password hunter2", "password ••••"),
        ("  Pass  hunter2 and more", "  Pass  ••••"),
        ('+Pass "hunter2"', "+Pass ••••"),
        ("-  PASSWORD\thunter2\r", "-  PASSWORD\t••••\r"),
        ("# password hunter2", "# password ••••"),
        ('passwordeval "echo hunter2"', "passwordeval ••••"),
        ('PassCmd "+echo hunter2"', "PassCmd ••••"),
        ("source-cred-cmd = echo hunter2", "source-cred-cmd = ••••"),
        ("set imap_pass=hunter2", "set imap_pass=••••"),
        ('set smtp_pass = "hunter2"', "set smtp_pass = ••••"),
        ("account-hook . 'set imap_pass=\"a b\" imap_user=me'", "account-hook . 'set imap_pass=\"••••\" imap_user=me'"),
        ("mail_password_command: echo hunter2", "mail_password_command: ••••"),
        ("hosts vars client_secret=hunter2 x=1", "hosts vars client_secret=•••• x=1"),
        ("Refresh-Token: hunter2", "Refresh-Token: ••••"),
        ('{"password": "hun\\"ter2", "user": "me"}', '{"password": "••••", "user": "me"}'),
        ('"{\\"password\\": \\"hunter2\\", \\"user\\": 1}"', '"{\\"password\\": \\"••••\\", \\"user\\": 1}"'),
        ("{'user': 'me', 'password': 'hunter2'}", "{'user': 'me', 'password': '••••'}"),
        ("{&quot;password&quot;: &quot;a b&quot;}", "{&quot;password&quot;: &quot;••••&quot;}"),
        ('user_pref("mail.server.password", "hunter2");', 'user_pref("mail.server.password", "••••");'),
        ('{"password": "hunter2', '{"password": "••••'),
        ("<password>hunter2</password>", "<password>••••</password>"),
        ("<key>Password</key>\n\t<string>hunter2</string>", "<key>Password</key>\n\t<string>••••</string>"),
        ("machine host login me password hunter2", "machine host login me password ••••"),
        ("mutt --password hunter2 -x", "mutt --password •••• -x"),
        ("see imaps://me:hunter2@host/INBOX.", "see imaps://me:••••@host/INBOX."),
        ("source = imaps://me%40example.org:p%40ss@host:993", "source = imaps://me%40example.org:••••@host:993"),
        ("source = imaps://me@example.org:hunter2@host", "source = imaps://me@example.org:••••@host"),
        ("own+thing://me:hun/te?r#2@host/x", "own+thing://me:••••@host/x"),
        ("//me:hunter2@host", "//me:••••@host"),
        ("imaps://me:hunter2", "imaps://me:••••"),
        ("a://me:one@host,b://me:two@host", "a://me:••••@host,b://me:••••@host"),
        ('["imaps://me:hunter2@host","me@example.org"]', '["imaps://me:••••@host","me@example.org"]'),
        ('"imaps:\\/\\/me:hunter2@host\\/x"', '"imaps:\\/\\/me:••••@host\\/x"'),
        ("?next=imaps%3A%2F%2Fme%3Ahunter2%40host%3A993", "?next=imaps%3A%2F%2Fme%3A••••%40host%3A993"),
        (f"501 bad command AUTH PLAIN {PLAIN}", "501 bad command AUTH PLAIN ••••"),
        (f"what is {PLAIN[:28]}?", "what is ••••?"),
        (f"334 {_base64('hunter2')}", "334 ••••"),
        (f"auth login {_base64('hunter2')}", "auth login ••••"),
        (f"AUTH CRAM-MD5 {CRAM}", "AUTH CRAM-MD5 ••••"),
        ('a1 BAD LOGIN jane@example.org "hunt er2" what', "a1 BAD LOGIN jane@example.org •••• what"),
    ],
)
def test_what_looks_like_the_place_of_a_password_is_hidden(line: str, shown: str) -> None:
    assert mask(line) == shown
    assert mask(shown) == shown


@pytest.mark.parametrize(
    "line",
    [
        "535 5.7.8 Error: authentication failed: wrong password for jane@example.org",
        "Password: required",
        "password required",
        "The password was changed or mistyped, or two-factor sign-in is on and wants an app password.",
        "250-AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 XOAUTH2 DIGEST-MD5 OAUTHBEARER GSSAPI NTLM",
        "* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN SASL-IR",
        "a1 NO LOGIN failed for jane@example.org",
        "<authentication>password-cleartext</authentication>",
        'set imap_authenticators="plain:login"',
        "https://host.example.org:8443/profiles/jane@example.org.mobileconfig and http://[::1]:80/a@b, http://host:80.",
        "staff.csv:14 (jane@example.org): column protocol: imap4 is not imap or pop",
        "/home/jane/.mail-passwords/jane@example.org: compass, bypass: no, passage = 1",
        'IMAPAccount jane@example.org\nHost imap.example.org\nUser jane@example.org\nTLSType IMAPS\npassword: "" ',
        "[jane]\nsource   = imaps://jane%40example.org@imap.example.org:993\noutgoing = smtps://jane@example.org@host:465",
    ],
)
def test_other_text_stays(line: str) -> None:
    assert mask(line) == line


@pytest.mark.parametrize("secret", [SECRET, SIMPLE])
def test_a_known_password_is_hidden_in_every_usual_form(secret: str) -> None:
    printable = quopri.encodestring(secret.encode(), quotetabs=True).decode()
    forms = [
        secret,
        secret.upper(),
        secret.lower(),
        quote(secret, safe=""),
        quote(secret).lower(),
        "".join(f"%{byte:02x}" for byte in secret.encode()),
        html.escape(secret),
        "".join(f"&#{ord(char)};" for char in secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        printable,
        secret.encode("latin-1").decode("utf-8", "backslashreplace"),
        secret.encode().decode("latin-1"),
        secret.encode().hex(),
        _base64(secret),
        _base64(secret).lower(),
        base64.urlsafe_b64encode(secret.encode()).decode(),
        *(_base64(user + secret + "!") for user in ("\0j\0", "\0ja\0", "\0jan\0", "user ", "a@example.org\0a@example.org\0")),
        _base64("\0jane@example.org\0" + secret)[:-4],
        secret[:8] + "\r\n" + secret[8:],
        secret[:8] + "=\r\n" + secret[8:],
        _base64("\0jane\0" + secret)[:14] + "\r\n" + _base64("\0jane\0" + secret)[14:],
        secret[:8],  # cut off
        secret[-8:],
    ]
    for form in forms:
        assert mask(f"535 no [{form}] for jane", [SIMPLE + "x", secret]) in (
            f"535 no [{MASK}] for jane",
            f"535 no [{MASK}\r\n{MASK}] for jane",
        )


def test_other_words_stay_beside_a_known_password() -> None:
    said = "535 5.7.8 Error: authentication failed: wrong password for jane@example.org, UGFzc3dvcmQ6"
    assert mask(said, [SECRET, SIMPLE, "ab", "", " "]) == said
    assert mask("ab cab ab-c abc", ["ab"]) == f"{MASK} cab {MASK}-c abc"
    assert mask("my password is password", ["password1"]) == f"my {MASK} is {MASK}"  # who takes this one


@given(st.text(max_size=60), st.lists(st.text(min_size=4, max_size=20), max_size=3))
def test_whatever_comes_nothing_known_stays_and_twice_is_once(text: str, secrets: list[str]) -> None:
    for secret in secrets:
        if len("".join(secret.split())) > 3:
            assert secret not in mask(f"{text}{secret}{text}", secrets).replace(MASK, "")
    assert mask(mask(text)) == mask(text)


HOSTILE = {
    "blanks": " ",
    "a:": "a:",
    "tokens": "password=",
    "words": "password ",
    "machine": "machine password x ",
    "one word": "pass-passwd.",
    "json": '"password":"',
    "commas": '"password",',
    "backslashes": "\\",
    "quotes": "`'\"://x:y",
    "slashes": "//",
    "urls": "a://b:",
    "encoded": "%2f%2fa%3a",
    "at": "://@",
    "base64": "AAAA",
    "auth": "AUTH PLAIN QUFB ",
    "login": "LOGIN a@b ",
    "elements": "<password>",
    "keys": "<key>password</key>\n",
    "options": "--password ",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("before", ["", "password", "a://b:"])
def test_hostile_text_costs_time_in_proportion_to_its_length(unit: str, before: str) -> None:
    """Processor time for eight times the text, side by side: 8 in proportion, 64 with a pattern that goes back."""

    def seconds(size: int) -> float:
        text = before + unit * (size // len(unit))
        begin = time.process_time()
        mask(text)
        return time.process_time() - begin

    assert seconds(1 << 17) < 24 * max(seconds(1 << 14), 0.02)


@pytest.mark.parametrize("unit", [" ", "a:"])
def test_a_line_of_a_megabyte_ends(unit: str) -> None:
    assert mask(unit * (1 << 20)) == unit * (1 << 20)


@pytest.mark.parametrize("unit", [" ", "a:", "%41", "=\n", "correct", "Y29y"])
def test_so_it_is_with_a_known_password(unit: str) -> None:
    def seconds(size: int) -> float:
        begin = time.process_time()
        mask(unit * (size // len(unit)), [SIMPLE])
        return time.process_time() - begin

    assert seconds(1 << 17) < 24 * max(seconds(1 << 14), 0.02)
