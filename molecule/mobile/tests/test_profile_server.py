"""The profiles as phones get them: with curl, from another machine, over the office's own HTTPS."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
import shutil
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import fleet
import pytest
import yaml
from test_mobile import OUT, PROFILES, SPOKEN, decode, place, profile

HOST = "https://profiles.example.org"
SETTINGS = yaml.safe_load((fleet.SCENARIO / "inventory/group_vars/all.yml").read_text(encoding="utf-8"))
CONF = "/etc/nginx/conf.d/charter-mail-inventory.conf"
FUTURE, PAST = int(time.time()) + 1000, int(time.time()) - 10
IPHONES = [address for address, kind in PROFILES if kind == "ios"]
JANE, YAMADA = "jane@example.org", "yamada@example.org"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def curl(url: str, *options: str) -> Answer:
    """What the server says to a machine that trusts the certificate as any client does."""
    command = ["curl", "--silent", "--show-error", "--include", "--max-time", "20", "--path-as-is", *options, url]
    done = fleet.machine("desk-12").run(f"{shlex.join(command)} | base64")
    head, _, body = base64.b64decode(done.stdout).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0].startswith("HTTP/"), done.stderr
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return Answer(int(lines[0].split()[1]), headers, body)


def link(address: str, kind: str = "ios", seconds: int = FUTURE, owner: str = "", ending: str = "") -> str:
    """A link as nginx documents it, made without the project's code. owner: whose token it has, when not the person's own."""
    folder = quote(address, safe="@+")
    text = f"{seconds} {quote(owner, safe='@+') or folder} {SETTINGS['mobile_link_secret']}"
    digest = base64.urlsafe_b64encode(hashlib.md5(text.encode()).digest()).decode().rstrip("=")
    file = ending or f"{folder.rpartition('@')[0]}-{SPOKEN[kind]}.mobileconfig"
    return f"{HOST}/office/{seconds}-{digest}/{quote(folder)}/{quote(file)}"


def serve(*arguments: str, code: int = 0) -> str:
    return fleet.play("deliver_profiles", "--tags", "profile_server", *arguments, code=code)


@pytest.mark.parametrize("address", IPHONES)
def test_the_link_in_the_code_gives_the_signed_profile(address: str) -> None:
    answer = curl(decode(place(address, "-iphone.png")))
    assert (answer.status, answer.body) == (200, profile(address, "ios").read_bytes())
    expected = {
        "content-type": "application/x-apple-aspen-config",
        "content-disposition": f'attachment; filename="{profile(address, "ios").name}"',
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "server": "nginx",
    }
    assert expected.items() <= answer.headers.items()


@pytest.mark.parametrize(("address", "kind"), PROFILES)
def test_a_link_that_is_made_by_hand_gives_the_same(address: str, kind: str) -> None:
    assert curl(link(address, kind)).body == profile(address, kind).read_bytes()


def changed(url: str) -> str:
    """The link with the last but one character of its token another one. The last holds fewer bits than a character."""
    return re.sub(r"(.)(./[^/]+/[^/]+)$", lambda found: ("A" if found[1] != "A" else "B") + found[2], url)


@pytest.mark.parametrize(
    "url",
    [
        changed(link(JANE)),
        changed(link(JANE, seconds=PAST)),
        link(JANE).replace(f"{FUTURE}-", f"{FUTURE + 1}-"),
        link(JANE).replace(f"{FUTURE}-", ""),
        link(YAMADA, owner=JANE),
        link(JANE, ending=f"../{YAMADA}/yamada-iphone.mobileconfig").replace("%2F", "/"),
        link(JANE, ending=f"../{YAMADA}/yamada-iphone.mobileconfig").replace("/", "%2F").replace("%2F", "/", 6),
        link(JANE, ending="../../../../../../etc/passwd").replace("%2F", "/"),
        link(JANE, ending="yamada-iphone.mobileconfig"),
        link(JANE, ending="jane-iphone.unsigned.mobileconfig"),
        link("mdm", ending=f"{JANE}-iphone.unsigned.mobileconfig"),
        link(YAMADA, "macos"),
        link(YAMADA, ending="index.html"),
        link(YAMADA, ending="yamada-android.k9s"),
        link(YAMADA, ending="yamada-iphone.png"),
        link("nobody@example.org"),
        link(JANE).rpartition("/")[0] + "/",
        link(JANE).rpartition("/")[0],
        f"{HOST}/office/",
        f"{HOST}/",
        f"{HOST}/{JANE}/jane-iphone.mobileconfig",
        link(JANE).replace("/office/", "/other/"),
    ],
)
def test_anything_else_is_not_found(url: str) -> None:
    answer = curl(url)
    # A link that climbs may be refused as such.
    assert answer.status == 404 or (answer.status == 400 and "/etc/passwd" in url), url
    assert b"PayloadContent" not in answer.body and b"example.org" not in answer.body


def test_a_right_link_that_has_ended_is_gone() -> None:
    assert curl(link(JANE, seconds=PAST)).status == 410


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_but_reading(method: str) -> None:
    assert curl(link(JANE), "--request", method).status == 405
    assert curl(link(JANE), "--head").status == 200


def test_no_tls_before_1_2_and_no_plain_http() -> None:
    # Debian's OpenSSL would not speak TLS 1.1 by itself; here it is the server that refuses.
    options = "--silent --show-error --tlsv1.1 --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0"
    old = fleet.machine("desk-12").run(f"curl {options} {HOST}/")
    assert old.rc != 0 and "protocol version" in old.stderr
    assert fleet.machine("desk-12").run(f"curl --silent --show-error --tlsv1.2 --tls-max 1.2 {HOST}/").rc == 0
    assert curl(HOST.replace("https:", "http:") + ":443/").status == 400


def test_no_link_is_in_a_log() -> None:
    for url in (link(JANE), changed(link(JANE)), link(YAMADA, "macos"), link("nobody@example.org"), link(JANE, seconds=PAST)):
        curl(url)
    token = link(JANE).split("/")[4].partition("-")[2]
    for word in (token, f"{FUTURE}-", f"{JANE}-ios", "nobody@example", "/office/"):
        assert fleet.standin().run("grep -rF -- %s /var/log/nginx", word).stdout == ""
        assert fleet.standin().run("journalctl --unit nginx | grep -F -- %s", word).stdout == ""


def test_files_are_for_nginx_alone_and_the_secret_for_root() -> None:
    site = fleet.standin().file(CONF)
    assert (site.user, oct(site.mode)) == ("root", "0o600") and SETTINGS["mobile_link_secret"] in site.content_string
    found = fleet.standin().check_output("find /var/lib/charter-mail-profiles/inventory/ -printf '%y %u:%g %m\\n' | sort -u")
    assert found.splitlines() == ["d root:www-data 750", "f root:www-data 640", "l root:root 777"]
    files = fleet.standin().check_output("find -L /var/lib/charter-mail-profiles/inventory/current -type f -printf '%f\\n'")
    assert sorted(files.splitlines()) == sorted(profile(address, kind).name for address, kind in PROFILES)


@pytest.mark.parametrize(
    ("certificate", "line"),
    [
        ("/etc/standin/none.crt", "profile_server_certificate: /etc/standin/none.crt: No such file or directory"),
        ("/etc/standin/imap.charter.net.crt", "nginx refuses its configuration and goes on as before: SSL_CTX_use_PrivateKey"),
    ],
)
def test_a_broken_certificate_leaves_everything_as_it_was(certificate: str, line: str) -> None:
    before = fleet.standin().file(CONF).content
    out = serve("-e", f"profile_server_certificate={certificate}", code=2)
    assert line in " ".join(out.split()), out
    assert fleet.standin().file(CONF).content == before
    assert fleet.standin().run("nginx -t && systemctl reload nginx").rc == 0
    assert curl(link(JANE)).status == 200


def test_all_that_the_office_got_wrong_at_once() -> None:
    wrong = ["-e", "mail_profile_url=https://profiles.example.org/{token}/{file}", "-e", "profile_server_key=my.key"]
    out = serve("--check", *wrong, code=2)
    assert "does not end with /{token}/{address}/{file}" in out and 'profile_server_key: "my.key" is not a path on the server' in out
    assert curl(link(JANE)).status == 200


def test_two_offices_need_two_names() -> None:
    other = "/etc/nginx/conf.d/charter-mail-other.conf"
    fleet.standin().check_output("sed s,/office/,/other/, %s > %s", CONF, other)
    try:
        out = serve("-e", "profile_server_key=/etc/standin/profiles.example.org.pem", code=2)
        assert f"profiles.example.org is served for another office already, by {other}" in " ".join(out.split())
        fleet.standin().check_output("mv %s /etc/nginx/conf.d/else.conf", other)
        out = serve("-e", "profile_server_key=/etc/standin/profiles.example.org.pem", code=2)
        assert "another site of this nginx has the name profiles.example.org" in " ".join(out.split())
    finally:
        fleet.standin().check_output("rm -f %s /etc/nginx/conf.d/else.conf", other)


def test_who_left_has_no_profile_and_a_check_changes_nothing(tmp_path: Path) -> None:
    office = tmp_path / "inventory"
    shutil.copytree(fleet.SCENARIO / "inventory", office)
    sheet = office / "staff.csv"
    sheet.write_text("".join(line for line in sheet.open(encoding="utf-8") if not line.startswith(YAMADA)), encoding="utf-8")
    settings = office / "group_vars/all.yml"
    state = str(fleet.SSH_CONFIG.parent)
    settings.write_text(settings.read_text(encoding="utf-8").replace("../../../.cache/fleet/mobile", state), encoding="utf-8")
    # The people's own folder is another one, for the tests of the other files.
    arguments = ["-e", f"mobile_dir={tmp_path / 'out'}", "-e", "mobile_paper=none"]
    assert curl(link(YAMADA)).status == 200
    fleet.play("deliver_profiles", "--tags", "profile_server", *arguments, "--check", "--diff", inventory=office)
    assert curl(link(YAMADA)).status == 200
    fleet.play("deliver_profiles", "--tags", "profile_server", *arguments, inventory=office)
    assert (curl(link(YAMADA)).status, curl(link(JANE)).status) == (404, 200)
    releases = fleet.standin().check_output("ls /var/lib/charter-mail-profiles/inventory").split()
    assert len(releases) == 2 and "current" in releases


def test_nginx_is_started_unless_another_program_has_its_port() -> None:
    server = fleet.standin()
    server.check_output("systemctl stop nginx")
    server.check_output("systemd-run --quiet --unit=holder python3 -m http.server 443")
    try:
        server.check_output("until grep -q ':01BB .* 0A ' /proc/net/tcp; do sleep 0.1; done")
        out = serve(code=2)
        assert "port 443 is taken: python3 (process " in " ".join(out.split()), out
        assert server.run("systemctl is-active nginx").stdout == "inactive\n"
    finally:
        server.check_output("systemctl stop holder")
    assert re.search(r"standin .*changed=1", serve())
    assert server.check_output("systemctl is-active nginx") == "active"
    assert curl(link(JANE)).status == 200


def test_everything_is_taken_back_and_the_secret_shown_nowhere() -> None:
    fleet.standin().check_output("cp %s /var/tmp/before", CONF)
    assert re.search(r"standin .*changed=1", serve("-e", "profile_server_state=absent"))
    assert not fleet.standin().file(CONF).exists
    assert not fleet.standin().file("/var/lib/charter-mail-profiles").exists
    assert fleet.standin().run("nginx -t && systemctl is-active nginx").rc == 0
    assert fleet.machine("desk-12").run(f"curl --silent {HOST}/").rc == 7
    out = serve("--diff", "-vvv")
    assert fleet.standin().run("cmp %s /var/tmp/before", CONF).rc == 0
    assert curl(link(JANE)).status == 200
    secret = SETTINGS["mobile_link_secret"]
    assert "(not shown)" in out and secret not in out
    assert not [path for path in OUT.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
