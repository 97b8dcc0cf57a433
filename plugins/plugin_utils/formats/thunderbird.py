"""Thunderbird's side of an account: preferences for AutoConfig, and the XML the account wizard reads. Pure, no Ansible.

Preference names and numbers: comm-central mailnews/mailnews.js and mailnews/base/public/MailNewsTypes2.idl.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

from ..office.account import Account, Incoming, Outgoing, Person

Prefs = dict[str, "str | int | bool"]

# Marks what is ours in a profile. Never change it: people's profiles carry it.
PREFIX = "charter_"

# nsMsgSocketType; 0 is clear text and also what an absent value means, so it is always written out.
SOCKET_TYPE = {"starttls": 2, "tls": 3}
# nsMsgAuthMethod.passwordCleartext: PLAIN or LOGIN, inside TLS.
PASSWORD = 3

# Words of the client configuration format 1.1.
XML_SOCKET_TYPE = {"starttls": "STARTTLS", "tls": "SSL"}
XML_TYPE = {"imap": "imap", "pop": "pop3", "smtp": "smtp"}
# The wizard deletes mail from a POP server after 14 days unless told a number of days; there is no word for "never".
NEVER_IN_DAYS = 36500


def account_prefs(account: Account) -> dict[str, Any]:
    """What the AutoConfig script sets for one account: {key, enforced, seeded}, each by kind of preference branch.

    enforced is put back at every start of Thunderbird. seeded is set once and follows the sheet until the person
    changes it. The names are those below mail.server.<key>., mail.identity.<key>. and mail.smtpserver.<key>.
    """
    key, address = account["key"], account["address"]
    incoming, outgoing = account["incoming"], account["outgoing"]
    pop = incoming["protocol"] == "pop"
    server: Prefs = {
        "type": XML_TYPE[incoming["protocol"]],
        "hostname": incoming["host"],
        "port": incoming["port"],
        "socketType": SOCKET_TYPE[incoming["security"]],
        "authMethod": PASSWORD,
        "userName": incoming["username"],
    }
    smtp: Prefs = {
        "type": "smtp",
        "hostname": outgoing["host"],
        "port": outgoing["port"],
        "try_ssl": SOCKET_TYPE[outgoing["security"]],
        "authMethod": PASSWORD,
        "username": outgoing["username"],
        # Sending uses the password of this session's incoming login, so that a person is asked once.
        "incomingAccount": f"server_{PREFIX}{key}",
    }
    identity: Prefs = {"useremail": address, "smtpServer": f"smtp_{PREFIX}{key}"}
    seeded_server: Prefs = {
        "name": address,
        "login_at_startup": True,
        "check_new_mail": True,
        "check_time": 10,
    }
    if pop:
        server |= {"leave_on_server": True, "delete_by_age_from_server": False}
        seeded_server["download_on_biff"] = True
    else:
        # Thunderbird's own choice depends on the order in which accounts were made. For POP it accepts no directory
        # that is not there yet, and the script can make none.
        seeded_server["directory-rel"] = f"[ProfD]ImapMail/{PREFIX}{key}"
    seeded_identity: Prefs = {"fullName": account["full_name"]}
    if account["organization"]:
        seeded_identity["organization"] = account["organization"]
    return {
        "key": PREFIX + key,
        "enforced": {"server": server, "identity": identity, "smtp": smtp},
        "seeded": {"server": seeded_server, "identity": seeded_identity, "smtp": {"description": address}},
    }


def people_json(people: Iterable[Person]) -> str:
    """The JSON block of the AutoConfig file: [{login, accounts}], one person a line.

    Pure ASCII, so that it is the same text in UTF-8 and in Latin-1, between which AutoConfig guesses, and so that no
    character that ends a line in JavaScript stands in it bare. A list, because as keys of an object logins could be
    names like __proto__.
    """
    rows = [{"login": person["login"], "accounts": [account_prefs(account) for account in person["accounts"]]} for person in people]
    return "[" + ",".join("\n" + json.dumps(row, ensure_ascii=True) for row in rows) + "\n]"


def client_config(accounts: Iterable[Account], domain: str) -> str:
    """The clientConfig element for a mail domain, from its accounts; IMAP first, then what most of them use.

    Format: draft-ietf-mailmaint-autoconfig, version 1.1, as Thunderbird's readFromXML.sys.mjs takes it.
    """
    incoming: Counter[tuple[str, str, int, str]] = Counter()
    outgoing: Counter[tuple[str, str, int, str]] = Counter()
    for account in accounts:
        incoming[_endpoint(account["incoming"])] += 1
        outgoing[_endpoint(account["outgoing"])] += 1
    root = ElementTree.Element("clientConfig", version="1.1")
    provider = ElementTree.SubElement(root, "emailProvider", id=domain)
    for tag, text in (("domain", domain), ("displayName", domain), ("displayShortName", domain)):
        ElementTree.SubElement(provider, tag).text = text
    for endpoint in sorted(incoming, key=lambda end: (end[0] != "imap", -incoming[end], end)):
        server = _server(provider, "incomingServer", endpoint)
        if endpoint[0] == "pop":
            pop = ElementTree.SubElement(server, "pop3")
            ElementTree.SubElement(pop, "leaveMessagesOnServer").text = "true"
            ElementTree.SubElement(pop, "daysToLeaveMessagesOnServer").text = str(NEVER_IN_DAYS)
    # Port 587 before 465 where both are used alike.
    for endpoint in sorted(outgoing, key=lambda end: (-outgoing[end], -end[2], end)):
        _server(provider, "outgoingServer", endpoint)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def _endpoint(server: Incoming | Outgoing) -> tuple[str, str, int, str]:
    return server["protocol"], server["host"], server["port"], server["security"]


def _server(parent: ElementTree.Element, tag: str, endpoint: tuple[str, str, int, str]) -> ElementTree.Element:
    protocol, host, port, security = endpoint
    server = ElementTree.SubElement(parent, tag, type=XML_TYPE[protocol])
    values: Mapping[str, str] = {
        "hostname": host,
        "port": str(port),
        "socketType": XML_SOCKET_TYPE[security],
        "username": "%EMAILADDRESS%",
        "authentication": "password-cleartext",
    }
    for name, text in values.items():
        ElementTree.SubElement(server, name).text = text
    return server
