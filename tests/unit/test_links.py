"""Links to profiles: what nginx checks, and what an office can get wrong."""

from __future__ import annotations

import base64
import datetime
import hashlib
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.nginx import site
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout import links, mobile
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout.links import Link, Site

from tests.unit.test_mobile_people import made, office, owner

SECRET = "0123456789abcdefghijklmnopqrstuv"
DAY = datetime.date(2027, 6, 30)
URL = "https://profiles.example.org/{token}/{address}/{file}"


def test_a_token_is_what_nginx_computes() -> None:
    # echo -n '1814400000 jane@example.org <secret>' | openssl md5 -binary | openssl base64 | tr +/ -_ | tr -d =
    seconds = int(datetime.datetime(2027, 7, 1, tzinfo=datetime.UTC).timestamp())
    digest = hashlib.md5(f"{seconds} jane@example.org {SECRET}".encode()).digest()
    assert links.token("jane@example.org", Link(DAY, SECRET)) == f"{seconds}-{base64.b64encode(digest, b'-_').decode().strip('=')}"


def test_a_token_is_for_one_folder_one_day_and_one_secret() -> None:
    several = [("a", DAY, SECRET), ("b", DAY, SECRET), ("a", DAY + datetime.timedelta(1), SECRET), ("a", DAY, SECRET + "x")]
    assert len({links.token(folder, Link(day, secret)).partition("-")[2] for folder, day, secret in several}) == 4


def test_the_page_has_the_link_and_not_the_secret() -> None:
    link = Link(DAY, SECRET)
    where = office(profile_url=URL)._replace(link=link)
    files = made(owner("o'hara@example.org", devices=("ios",)), where)
    token = links.token("o%27hara@example.org", link)
    expected = f"https://profiles.example.org/{token}/o%2527hara%40example.org/o%2527hara-iphone.mobileconfig"
    assert expected in files["index.html"].decode()
    assert not [name for name, content in files.items() if SECRET.encode() in content]


@pytest.mark.parametrize(
    ("secret", "until", "lines"),
    [
        (
            "",
            "",
            [
                "mobile_link_secret: is empty, but mail_profile_url has {token}; make one with: openssl rand -base64 36",
                "mobile_link_until: is empty, but mail_profile_url has {token}; write the last day on which links work",
            ],
        ),
        ("short", "2027-06-30", ["mobile_link_secret: has 5 characters; 32 are needed. Make one with: openssl rand -base64 36"]),
        (
            SECRET + '"; $x',
            "30.6.2027",
            [
                "mobile_link_secret: may have the letters a to z, digits and +/=._~- alone; make one with: openssl rand -base64 36",
                'mobile_link_until: "30.6.2027" is not a date like 2027-06-30',
            ],
        ),
    ],
)
def test_all_that_is_wrong_at_once_and_never_the_secret(secret: str, until: str, lines: list[str]) -> None:
    link, found = links.link_of(URL, secret, until)
    assert link is None and [str(problem) for problem in found] == [f"group_vars/all.yml: {line}" for line in lines]


def test_secret_and_day_without_a_token_do_no_harm() -> None:
    assert links.link_of("https://mail.test/{file}", "short", "never") == (None, [])
    assert links.link_of(URL, SECRET, "2027-06-30") == (Link(DAY, SECRET), [])


@pytest.mark.parametrize(("days", "said"), [(-1, "end on"), (-30, "end on"), (-31, ""), (0, "end on"), (1, "ended on")])
def test_a_warning_when_links_end(days: int, said: str) -> None:
    warning = links.ending_warning(Link(DAY, SECRET), DAY + datetime.timedelta(days))
    assert bool(warning) == bool(said) and said in warning


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (URL, Site("profiles.example.org", 443, "")),
        ("https://WWW.example.org:8443/mail/~x/{token}/{address}/{file}", Site("www.example.org", 8443, "/mail/~x")),
    ],
)
def test_where_a_server_answers(url: str, expected: Site) -> None:
    assert links.site_of(url) == (expected, [])


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("", "is empty"),
        ("https://profiles.example.org/{address}/{file}", "does not end with /{token}/{address}/{file}"),
        ("https://profiles.example.org/{token}/{file}", "does not end with"),
        ("https://profiles.example.org/{token}/{address}/{file}?x=1", "does not end with"),
        ("https://[2001:db8::1]/{token}/{address}/{file}", "is not a host name"),
        ("https://[x/{token}/{address}/{file}", "is not an https address"),
        ("https://profiles.example.org:0/{token}/{address}/{file}", "is not a host name"),
        ("https://profiles.example.org:99999/{token}/{address}/{file}", "is not a host name"),
        ("https://profile\u017f.example.org/{token}/{address}/{file}", "is not a host name"),
        ("https://profiles.example.org/../{token}/{address}/{file}", "before {token} may have"),
        ("https://profiles.example.org/a/%2e%2e/{token}/{address}/{file}", "before {token} may have"),
        ("https://a@profiles.example.org/{token}/{address}/{file}", "is not a host name"),
        ("https://profiles.example.org:x/{token}/{address}/{file}", "is not a host name"),
        ("https://profiles..example.org/{token}/{address}/{file}", "is not a host name"),
        (f"https://{'x' * 64}.example.org/{{token}}/{{address}}/{{file}}", "is not a host name"),
        ("https://profiles.example.org/a/../b/{token}/{address}/{file}", "before {token} may have"),
        ("https://profiles.example.org/./{token}/{address}/{file}", "before {token} may have"),
        ("https://profiles.example.org/a b/{token}/{address}/{file}", "before {token} may have"),
        ('https://profiles.example.org/"%22/{token}/{address}/{file}', "before {token} may have"),
    ],
)
def test_addresses_that_cannot_be_served(url: str, what: str) -> None:
    site, found = links.site_of(url)
    assert site is None and len(found) == 1 and what in str(found[0]) and found[0].field == "mail_profile_url"


def test_the_last_day_that_there_is() -> None:
    link, found = links.link_of(URL, SECRET, "9999-12-31")
    assert link and not found
    assert links.token("jane@example.org", link).startswith("253402300800-")


def test_what_is_shown_of_the_site_and_of_nginx_has_no_secret() -> None:
    values: dict[str, Any] = {"host": "a.test", "port": 443, "prefix": "/v1.0", "certificate": "/c", "key": "/k", "secret": SECRET}
    text = site.render(values, "/root", ["0.0.0.0"])
    assert SECRET in text and "[::]" not in text and "^/v1[.]0/" in text and site.names(text) == ["a.test"]
    assert SECRET not in site.shown(text) and "(not shown)" in site.shown(text)
    for before in ("nginx: [emerg] ", "2026/06/15 12:52:31 [emerg] 1143#1143: "):
        said = f'nginx: [warn] x\n{before}bad "{SECRET}" in /etc/nginx/conf.d/x.conf:3\nnginx: configuration file test failed\n'
        assert site.reason(said, SECRET) == 'bad "(secret)" in /etc/nginx/conf.d/x.conf:3'


def test_a_token_is_known_to_the_address_of_profiles() -> None:
    options = {"description": "", "consent": "", "removal_date": "", "profile_url": URL}
    assert mobile.settings_of(options, "Office", DAY)[1] == []
