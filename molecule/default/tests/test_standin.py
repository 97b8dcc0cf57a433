"""The stand-in refuses what the provider would refuse; else a test that passes against it would prove nothing."""

from __future__ import annotations

import json
import shlex

import fleet
import pytest

BOX = fleet.MAILBOXES[0]

# Says how the server answers; runs on a desktop.
CLIENT = """
import json, poplib, imaplib, smtplib, ssl, sys
todo, user, password, sender, recipient = json.load(sys.stdin)
context = ssl.create_default_context()
def smtp(host="smtp.charter.net"):
    client = smtplib.SMTP(host, 587, timeout=3)
    client.ehlo()
    return client
def inside():
    client = smtp()
    client.starttls(context=context)
    client.login(user, password)
    return client
def imap(name):
    client = imaplib.IMAP4_SSL("imap.charter.net", ssl_context=context)
    return client.login(name, password)[0]
answers = {
    "offers before tls": lambda: smtp().esmtp_features,
    "auth before tls": lambda: smtp().docmd("AUTH", "PLAIN AGEAYg==")[0],
    "mail before tls": lambda: smtp().docmd("MAIL", f"FROM:<{sender}>")[0],
    "login": lambda: inside() and "fine",
    "imap": lambda: imap(user),
    "send": lambda: inside().sendmail(sender, recipient, "Subject: away\\n\\nx") or "taken",
    "relay": lambda: [client := smtplib.SMTP_SSL("smtp.charter.net", 465, context=context), client.ehlo(),
                      client.docmd("MAIL", f"FROM:<{sender}>"), client.docmd("RCPT", f"TO:<{recipient}>")][-1][0],
    "wrong name": lambda: imaplib.IMAP4_SSL("pop.charter.net", 993, timeout=3),
    "wrong mode": lambda: smtp("mobile.charter.net"),
    "outside": lambda: __import__("socket").create_connection(("192.0.2.1", 25), timeout=3),
}
try:
    answer = answers[todo]()
except Exception as error:
    answer = f"refused: {error}"
print(json.dumps(answer))
"""


def ask(todo: str, user: str = BOX.address, password: str = BOX.password, sender: str = BOX.address, to: str = BOX.address) -> object:
    text = json.dumps([todo, user, password, sender, to])
    return json.loads(fleet.run(BOX, f"python3 -c {shlex.quote(CLIENT)}", text))


def test_lets_nobody_in_before_tls() -> None:
    assert "auth" not in ask("offers before tls")
    assert (ask("auth before tls"), ask("mail before tls")) == (530, 530)


def test_lets_people_in_by_their_full_address() -> None:
    assert (ask("login"), ask("imap")) == ("fine", "OK")
    name = BOX.address.partition("@")[0]
    assert "535" in ask("login", user=name)
    assert "AUTHENTICATIONFAILED" in ask("imap", user=name)
    assert "535" in ask("login", password="something else")


def test_takes_mail_from_its_sender_alone() -> None:
    assert ask("send") == "taken"
    assert "553" in ask("send", sender="somebody.else@example.org")
    assert ask("relay", sender="", to="somebody@elsewhere.test") == 554


def test_keeps_mail_to_others_to_itself() -> None:
    with fleet.logged("to=<somebody@elsewhere.test>, relay=none, .*by the stand-in"):
        assert ask("send", to="somebody@elsewhere.test") == "taken"


@pytest.mark.parametrize("wrong", ["wrong name", "wrong mode", "outside"])
def test_answers_nowhere_else(wrong: str) -> None:
    assert "refused: " in str(ask(wrong))
