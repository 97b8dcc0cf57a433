"""What a person gets, as names and contents; and who is a person with a phone or a Mac."""

from __future__ import annotations

import datetime
import json
import plistlib
from typing import Any

import pytest
import yaml
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats.android import qr_text
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats.mobileconfig import Settings
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats.qr import MAX_BYTES
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats.signing import Source, load
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout import mobile
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.check import Machine
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.model import Computer, DeviceOwner, device_owners
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mobile_samples import NOW, ROOT, Chain, account, chain, policy
from tests.unit.thunderbird_android import import_file

TEXTS = yaml.safe_load((ROOT / "plugins/plugin_utils/handout/texts/en.yml").read_text(encoding="utf-8"))
CONTACT = {"name": "IT desk", "phone": "+1 555 0100", "email": "", "hours": ""}
NOTHING = {"description": "", "consent": "", "removal_date": "", "profile_url": ""}
MAC = Computer(machine="mac", platform="macos", programs=[])
LOCAL_PART = st.text(st.sampled_from("abz019!#$%&'*+/=?^_`{|}~-"), min_size=1, max_size=64)


def office(made: Chain | None = None, profile_url: str = "") -> mobile.Office:
    signer = load(Source("c", made.full), Source("k", made.leaf.key_pem()), None, "", NOW)[0] if made else None
    page: Any = {"name": "Example Office", "contact": CONTACT, "two_factor": "none", "signed": bool(made)}
    return mobile.Office(Settings("Example Office"), signer, profile_url, page, TEXTS)


def owner(*addresses: str, devices: tuple[str, ...] = ("ios", "android", "macos"), full_name: str = "Jane Doe") -> DeviceOwner:
    accounts = [account(address, full_name) for address in addresses or ("jane@example.org",)]
    return DeviceOwner(
        identity=accounts[0]["address"],
        full_name=full_name,
        login="",
        accounts=accounts,
        devices=list(devices),
        computers=[MAC] if "macos" in devices else [],
    )


def made(person: DeviceOwner, where: mobile.Office, before: dict[str, bytes] | None = None, states: Any = None) -> dict[str, bytes]:
    return mobile.files(person, where, mobile.standing(person, states or {}), lambda name: (before or {}).get(name, b""))


@pytest.mark.parametrize(
    ("devices", "endings"),
    [
        (("ios",), ["-iphone.mobileconfig"]),
        (("macos",), ["-mac.mobileconfig"]),
        (("android",), ["-android.png", "-android.svg", "-android.k9s"]),
        ((), []),
    ],
)
def test_each_device_has_its_files(devices: tuple[str, ...], endings: list[str]) -> None:
    files = made(owner(devices=devices), office())
    assert sorted(files) == sorted(["index.html", *(f"jane{ending}" for ending in endings)])
    assert sorted(files) == sorted(mobile.names(owner(devices=devices), office()))
    assert files == made(owner(devices=devices), office())


def test_all_mailboxes_of_a_person() -> None:
    files = made(owner("jane@example.org", "info@example.org"), office())
    for name in ("jane-iphone.mobileconfig", "jane-mac.mobileconfig"):
        assert [mail["EmailAddress"] for mail in plistlib.loads(files[name])["PayloadContent"]] == ["jane@example.org", "info@example.org"]
    assert [one["name"] for one in import_file(files["jane-android.k9s"])] == ["jane@example.org", "info@example.org"]
    assert {"jane-android.svg", "info-android.svg"} < files.keys()
    page = files["index.html"].decode()
    assert "info@example.org" in page and "jane-android.k9s" in page


def test_mailboxes_that_are_named_alike_have_codes_of_their_own() -> None:
    person = owner("jane@example.org", "jane@example.com", devices=("android",))
    files = made(person, office())
    assert {"jane@example.org-android.svg", "jane@example.com-android.svg"} < files.keys()
    assert sorted(files) == sorted(mobile.names(person, office()))


def test_the_link_for_iphones() -> None:
    person = owner("a/b?c@example.org", devices=("ios",))
    files = made(person, office(profile_url="https://mail.example.org/{address}/{file}"))
    assert "a%2Fb%3Fc-iphone.svg" in files
    link = "https://mail.example.org/a%252Fb%253Fc%40example.org/a%252Fb%253Fc-iphone.mobileconfig"
    assert link in files["index.html"].decode()


def test_a_signature_stays_until_there_is_a_reason() -> None:
    first, person = chain(), owner(devices=("ios", "macos"))
    files, plain = made(person, office(first)), made(person, office())
    assert made(person, office(first), files) == files
    other = made(person, office(chain()), files)
    renamed = made(owner(devices=("ios", "macos"), full_name="Jane Roe"), office(first), files)
    for name in ("jane-iphone.mobileconfig", "jane-mac.mobileconfig"):
        assert plain[name] in files[name] != plain[name]
        assert plain[name] in other[name] != files[name]
        assert b"Jane Roe" in renamed[name]


def test_only_a_signed_profile_has_a_twin_for_an_mdm() -> None:
    people = [owner(devices=("ios", "android")), owner("zoe@example.org", devices=("macos",))]
    assert mobile.mdm(people, office()) == {}
    twins = mobile.mdm(people, office(chain()))
    assert sorted(twins) == sorted(mobile.mdm_names(people, office(chain())))
    for person, name, device in (
        (people[0], "jane@example.org-iphone.unsigned.mobileconfig", "jane-iphone.mobileconfig"),
        (people[1], "zoe@example.org-mac.unsigned.mobileconfig", "zoe-mac.mobileconfig"),
    ):
        assert twins.pop(name) == made(person, office())[device]
    assert not twins


def test_a_page_may_have_a_pdf() -> None:
    where = office()._replace(to_pdf=lambda page: b"PDF of " + page.encode())
    files = made(owner(devices=("ios",)), where)
    assert files["jane.pdf"] == b"PDF of " + files["index.html"]


LINUX = Computer(machine="desk", platform="linux", programs=[])
WINDOWS = Computer(machine="pc", platform="windows", programs=["outlook"])


def stands(computer: Computer, **states: str) -> tuple[list[str], str]:
    """Programs and standing of one computer. states: by program."""
    person: Any = {**owner("jane@example.org", "info@example.org"), "computers": [computer]}
    known = {
        (address, computer["machine"], program): state for program, state in states.items() for address in ("jane@example.org", "x@y.org")
    }
    (found,) = mobile.standing(person, known)
    return list(found["programs"]), found["standing"]


def test_a_computer_is_called_set_up_only_where_it_was_seen_to_be() -> None:
    assert stands(LINUX) == ([], "")
    assert stands(LINUX, thunderbird="to be started", msmtp="verified") == (["msmtp", "thunderbird"], "ready")
    assert stands(LINUX, thunderbird="not reached", msmtp="prepared") == (["msmtp"], "ready")
    for state in ("failed", "not ours", "not run yet", "removed", "program is open", "to be provisioned"):
        assert stands(LINUX, thunderbird=state) == ([], "")
    # A mailbox that is not there yet is not to be called so.
    person: Any = {**owner("jane@example.org", "info@example.org"), "computers": [LINUX]}
    known = {("jane@example.org", "desk", "thunderbird"): "verified", ("info@example.org", "desk", "thunderbird"): "failed"}
    assert mobile.standing(person, known)[0]["standing"] == ""


def test_a_profile_is_in_the_home_only_where_the_mac_said_so() -> None:
    assert stands(MAC)[1] == stands(MAC, apple_mail="home not there")[1] == stands(MAC, apple_mail="unknown")[1] == ""
    assert stands(MAC, apple_mail="pending user approval")[1] == stands(MAC, apple_mail="outdated")[1] == "delivered"
    assert stands(MAC, apple_mail="installed")[1] == "ready"
    waiting = made(owner(devices=("macos",)), office())["index.html"].decode()
    assert "home folder" not in waiting and "You are sent the file" in waiting
    known = {("jane@example.org", "mac", "apple_mail"): "pending user approval"}
    assert "home folder" in made(owner(devices=("macos",)), office(), states=known)["index.html"].decode()


def test_windows_is_set_up_by_hand_with_what_the_list_names() -> None:
    assert stands(WINDOWS) == (["outlook"], "")
    assert stands(Computer(machine="pc", platform="windows", programs=[]), thunderbird="verified") == (["outlook", "thunderbird"], "")


@given(LOCAL_PART, LOCAL_PART)
def test_file_names_are_plain_and_different(one: str, two: str) -> None:
    names = [mobile.file_name(f"{part}@example.org") for part in (one, two)]
    assert (one == two) == (names[0] == names[1])
    assert not any(set("/\\:*?\"<>|'` $&") & set(name) or len(name) > 200 for name in names)


def test_offices_that_look_alike_have_folders_of_their_own() -> None:
    names = ["a b", "a-b", "a_b", "A b", "a%20b", "a+b", "a/b", "a\\b", "a\nb", "a\0b", "a", "a ", "ä", "a\u0308"]
    assert len({mobile.file_name(name) for name in names}) == len(names)


def test_an_ordinary_address_is_its_own_file_name_and_a_long_one_is_cut() -> None:
    assert mobile.file_name("zoe.o-brien+tag_1@example.org") == "zoe.o-brien+tag_1@example.org"
    long = [f"{'x' * 60}@{'y' * 63}.{'y' * 63}.example{number}.org" for number in (1, 2)]
    assert mobile.file_name(long[0]) != mobile.file_name(long[1])
    assert all(len(mobile.file_name(address)) == 200 for address in long)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"description": "a\x07b"}, r'mobile_description: "a\x07b" has a control character; type it again'),
        ({"consent": "a\rb"}, r'mobile_consent: "a\rb" has a control character; type it again'),
        ({"removal_date": "30.6.2027"}, 'mobile_removal_date: "30.6.2027" is not a date like 2027-06-30'),
        ({"removal_date": "2026-06-15"}, "mobile_removal_date: 2026-06-15 is not in the future; devices would remove the profile at once"),
        ({"profile_url": "http://mail.test/{file}"}, 'mail_profile_url: "http://mail.test/{file}" is not an https address'),
        ({"profile_url": "https:///{file}"}, 'mail_profile_url: "https:///{file}" is not an https address'),
        ({"profile_url": "https://[x/{file}"}, 'mail_profile_url: "https://[x/{file}" is not an https address'),
        ({"profile_url": "https://mail.test:0/{file}"}, 'mail_profile_url: "https://mail.test:0/{file}" is not an https address'),
        ({"profile_url": "https://mail.test/../{file}"}, 'mail_profile_url: "https://mail.test/../{file}" is not an https address'),
        ({"profile_url": "https://a:b@mail.test/{file}"}, 'mail_profile_url: "https://a:••••@mail.test/{file}" is not an https address'),
        (
            {"profile_url": "https://mail.test/{file}/{file}"},
            "mail_profile_url: has {file} twice; once is enough, and a QR code has little room",
        ),
        (
            {"profile_url": "https://mail.test/{name}"},
            "mail_profile_url: {name} is not known; write {address}, {file} or {token} where each person's own part goes",
        ),
        (
            {"profile_url": "https://mail.test/"},
            "mail_profile_url: is the same for everybody; write {address} or {file} where each person's own part goes",
        ),
        (
            {"profile_url": f"https://mail.test/{{file}}{'x' * 500}"},
            "mail_profile_url: has 524 characters; 500 are the most that a QR code should hold",
        ),
    ],
)
def test_one_clear_line_for_a_wrong_setting(options: dict[str, str], line: str) -> None:
    _, found = mobile.settings_of({**NOTHING, **options}, "Example Office", NOW.date())
    assert [str(problem) for problem in found] == [f"group_vars/all.yml: {line}"]


def test_settings_that_are_right() -> None:
    given = {"description": "Two\nlines", "consent": "Yes", "removal_date": "2027-06-30", "profile_url": "https://mail.test/{address}/p"}
    assert mobile.settings_of(given, "Example Office", NOW.date()) == (
        Settings("Example Office", "Two\nlines", "Yes", datetime.date(2027, 6, 30)),
        [],
    )


def test_people_who_cannot_be_told_apart() -> None:
    twin = owner(devices=("ios",), full_name="John")
    assert [str(problem) for problem in mobile.check_owners([owner(), owner("zoe@example.org"), twin])] == [
        "jane@example.org: is the first mailbox of Jane Doe and of John; say with primary which mailbox of their own is"
    ]


def test_the_longest_that_the_model_lets_through_fits_into_a_code() -> None:
    domain = ".".join(["y" * 63, "y" * 63, "y" * 63, "y" * 61])
    longest: Any = owner(f"{'x' * 64}@{domain}", full_name="😀" * 200)
    for server in ("incoming", "outgoing"):
        longest["accounts"][0][server] |= {"host": domain, "port": 65535}
    size = len(qr_text(longest["accounts"][0]).encode())
    assert 2300 < size <= MAX_BYTES
    assert len(made(longest, office(profile_url=f"https://mail.test/{{file}}{'x' * 450}"))) == 8


def row(address: str, full_name: str, **cells: str) -> dict[str, str]:
    return {"source": "staff.csv:2", "address": address, "full_name": full_name, "state": "", **cells}


def owners(sheet: list[dict[str, str]], machines: dict[str, Machine] | None = None) -> list[tuple[str, list[str], list[str]]]:
    found = device_owners(sheet, machines or {}, policy())
    return [(one["full_name"], [each["address"] for each in one["accounts"]], one["devices"]) for one in found]


def on(sheet: list[dict[str, str]], machines: dict[str, Machine]) -> list[list[tuple[str, str, list[str]]]]:
    found = device_owners(sheet, machines, policy())
    return [[(each["machine"], each["platform"], each["programs"]) for each in one["computers"]] for one in found]


def test_what_everybody_has() -> None:
    mac, desk = Machine(policy(platform="macos")), Machine(policy(platform="linux"))
    sheet = [
        row("jane@example.org", "Jane Doe", machines="desk", login="jane", phones="android ios"),
        row("info@example.org", "Jane  DOE", machines="desk", login="Jane"),
        row("bob@example.org", "Bob", machines="desk", login="bob"),
        row("mia@example.org", "Mia", machines="desk mac", login="mia"),
        row("zoe@example.org", "Zoë", phones="IOS"),
        row("zoe2@example.org", "Zoë"),
        row("old@example.org", "Olga", phones="ios", state="Absent"),
    ]
    assert owners(sheet, {"desk": desk, "mac": mac}) == [
        ("Bob", ["bob@example.org"], []),
        ("Jane Doe", ["jane@example.org", "info@example.org"], ["ios", "android"]),
        ("Mia", ["mia@example.org"], ["macos"]),
        ("Zoë", ["zoe2@example.org"], []),
        ("Zoë", ["zoe@example.org"], ["ios"]),
    ]
    desk_ = ("desk", "linux", [])
    assert on(sheet, {"desk": desk, "mac": mac}) == [[desk_], [desk_], [desk_, ("mac", "macos", [])], [], []]
    row_ = row("x@example.org", "X", machines="b a", login="x", programs="Outlook thunderbird")
    pc = Machine(policy(platform="windows"))
    assert on([row_], {"a": desk, "b": pc}) == [[("a", "linux", ["outlook", "thunderbird"]), ("b", "windows", ["outlook", "thunderbird"])]]


def test_one_name_with_two_logins_is_two_people() -> None:
    sheet = [
        row("a@example.org", "John Smith", login="john", phones="ios"),
        row("b@example.org", "John Smith", login="jsmith", phones="ios"),
    ]
    assert [addresses for _, addresses, _ in owners(sheet)] == [["a@example.org"], ["b@example.org"]]


def test_people_given_in_yaml() -> None:
    rows = [{"source": "mac: mail_accounts[0]", "address": "ann@example.org", "full_name": "Ann", "login": "ann", "phones": ["android"]}]
    mac = Machine(policy(platform="macos"), rows)
    assert owners([], {"mac": mac, "mac-2": mac}) == [("Ann", ["ann@example.org"], ["android", "macos"])]


def test_servers_are_those_of_the_first_machine() -> None:
    sheet = [row("jane@example.org", "Jane", machines="desk", login="jane", phones="ios"), row("zoe@example.org", "Zoë", phones="ios")]
    hosts = [
        one["accounts"][0]["incoming"]["host"]
        for one in device_owners(sheet, {"desk": Machine(policy(provider="roadrunner"))}, policy(provider="spectrum"))
    ]
    assert hosts == ["mail.twc.com", "mobile.charter.net"]


def test_nothing_made_has_a_password_or_its_command() -> None:
    files = made(owner(), office(profile_url="https://mail.test/{file}"))
    text = b"".join(files.values()) + json.dumps(sorted(files)).encode()
    assert b"secret-tool" not in text and b"<password>" not in text and b"Password</key><string>" not in text
