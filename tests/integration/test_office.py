"""What a technician types, and what comes back: whole playbooks on machines that are folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.headers import COLUMNS
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.new_list import workbook
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.staff_sheet import read_sheet
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.workbook import tables

from tests.playbook import ROOT, command, copy_project, play, tree, write_office

# What an office with a Mac or a phone has to say.
CONTACT = 'mail_office: Acme\nmobile_contact: {name: IT, phone: "+1 555 0100"}\nmobile_paper: none\n'
HEADER = "address,full_name,machines,login,programs,state\n"
JANE = "jane@example.org,Jane Doe,desk-01,jane,thunderbird msmtp,\n"
JOHN = "john@example.org,John Roe,desk-01 desk-02,john,thunderbird,\n"


@pytest.fixture
def office(tmp_path: Path) -> Path:
    return write_office(tmp_path / "acme", HEADER + JANE + JOHN, "desk-01 desk-02")


def machines(office: Path) -> dict[str, bytes]:
    return tree(office.with_name("acme.machines"))


def test_onboard_correct_and_let_go(office: Path) -> None:
    """One office over its life: check, provision, again, a change by hand, a person leaves."""
    check = play("provision-mail.yml", "-i", office, "--check", "--diff")
    assert check.code == 0, check.out
    assert "Check only: nothing was changed." in check.out
    assert "+passwordeval" in check.out
    assert machines(office) == {}

    first = play("provision-mail.yml", "-i", office)
    assert first.code == 0, first.out
    assert first.place("jane@example.org", "desk-01", "msmtp") == ("prepared", "created")
    assert first.place("john@example.org", "desk-02", "thunderbird") == ("to be started", "created")
    msmtprc = next(name for name in machines(office) if "jane" in name and "msmtp" in name)
    written = machines(office)

    again = play("provision-mail.yml", "-i", office)
    assert again.code == 0
    assert "changed=0" in again.row("desk-01", "ok=")
    assert again.place("jane@example.org", "desk-01", "msmtp") == ("prepared", "unchanged")
    assert machines(office) == written

    path = office.with_name("acme.machines") / msmtprc
    path.write_text("tampered\n", encoding="utf-8")
    drift = play("provision-mail.yml", "-i", office)
    assert drift.place("jane@example.org", "desk-01", "msmtp") == ("prepared", "drift")
    assert "Jane Doe (desk-01): msmtp put back after a change by hand" in drift.out
    assert path.read_bytes() == written[msmtprc]
    assert any(content == b"tampered\n" for name, content in machines(office).items() if "backups" in name)

    (office / "staff.csv").write_text(HEADER + JANE.replace(",\n", ",absent\n") + JOHN, encoding="utf-8")
    gone = play("provision-mail.yml", "-i", office)
    assert gone.code == 0, gone.out
    assert "Jane Doe: left; removed: Thunderbird on desk-01, msmtp on desk-01" in gone.out, gone.out
    assert not path.exists()
    (office / "staff.csv").write_text(HEADER + JANE.replace(",\n", ",absent\n") + JOHN.replace(",\n", ",absent\n"), encoding="utf-8")
    closed = play("provision-mail.yml", "-i", office)
    assert closed.code == 0, "that everybody left is said, so it is not a sheet that lost its people"
    assert "left; removed: Thunderbird on desk-01, Thunderbird on desk-02" in closed.out, closed.out
    assert b"jane@example.org" not in b"".join(content for name, content in machines(office).items() if name.endswith(".cfg"))


def test_a_list_that_lost_many_people_stops_the_run(office: Path) -> None:
    """As when it was filtered before it was saved. Who is only on another machine now is not gone."""
    everybody = [f"p{number}@example.org,Person {number},desk-0{1 + number % 2},p{number},msmtp,\n" for number in range(6)]
    (office / "staff.csv").write_text(HEADER + "".join(everybody), encoding="utf-8")
    assert play("provision-mail.yml", "-i", office).code == 0
    before = machines(office)
    (office / "staff.csv").write_text(HEADER + "".join(everybody[:2]) + everybody[2].replace(",\n", ",absent\n"), encoding="utf-8")
    quiet = {"CHARTER_MAIL_ANSIBLE_OUTPUT": ""}
    for options in ([], ["--check"], ["-e", "mail_confirm_removals=3"]):
        stopped = play("provision-mail.yml", "-i", office, *options, env=quiet)
        assert stopped.code == 2
        gone = "p2@example.org, p3@example.org, p4@example.org, p5@example.org"
        assert stopped.out.splitlines()[-1] == (
            f"4 of the 6 mailboxes that earlier runs have set up are in the list no more, or are marked as left: {gone}. "
            "Nothing was changed. If that is meant, run again with -e mail_confirm_removals=4."
        ), stopped.out
    assert machines(office) == before
    moved = everybody[0].replace("desk-01", "desk-02") + "".join(everybody[1:4])
    (office / "staff.csv").write_text(HEADER + moved, encoding="utf-8")
    assert play("provision-mail.yml", "-i", office).code == 0, "two are no reason to stop"
    (office / "staff.csv").write_text(HEADER + everybody[0], encoding="utf-8")
    assert play("provision-mail.yml", "-i", office, "-e", "mail_confirm_removals=3").code == 0


def test_tags_and_limit_mean_what_they_mean_elsewhere(office: Path) -> None:
    run = play("provision-mail.yml", "-i", office, "--limit", "desk-01", "--tags", "terminal")
    assert run.code == 0, run.out
    assert {name.split("/")[0] for name in machines(office)} == {"desk-01"}
    assert not [name for name in machines(office) if name.endswith(".cfg")]
    assert "desk-02" not in run.out, "what the run was not for is not spoken of"
    assert run.place("john@example.org", "desk-02", "thunderbird")[0] == "not run yet"


def test_every_problem_at_once_and_nothing_touched(office: Path) -> None:
    bad = HEADER + JANE.replace("jane@", "jane").replace("msmtp", "msmpt") + JOHN.replace("desk-02", "desk-2") + JOHN
    (office / "staff.csv").write_text(bad, encoding="utf-8")
    # Also when the one machine named by --limit has no part in it.
    run = play("provision-mail.yml", "-i", office, "--limit", "desk-02")
    assert run.code != 0
    for line in (
        'staff.csv:2 (janeexample.org): column address: "janeexample.org" has no @; the full address is needed, as in jane@example.org',
        'staff.csv:2 (janeexample.org): column programs: "msmpt" is not a program known here; did you mean msmtp?',
        'staff.csv:3 (john@example.org): column machines: "desk-2" is not in hosts.yml; did you mean desk-02?',
        "staff.csv:4 (john@example.org): column address: is there already, in staff.csv:3; one row per mailbox and login",
    ):
        assert run.row(line) == line
    assert "4 problems with this office" in run.out
    assert machines(office) == {}


@pytest.mark.parametrize(
    ("sheet", "said"),
    [
        (b"", "staff.csv:1: has no header"),
        (b"address,full_name\nx@example.org,Zo\xeb\n", "staff.csv:2: is not UTF-8 text"),
        (b"adress,full_name\n", 'column "adress" is not known; did you mean address?'),
    ],
)
def test_a_sheet_that_cannot_be_read_is_never_an_empty_one(office: Path, sheet: bytes, said: str) -> None:
    assert play("provision-mail.yml", "-i", office).code == 0
    before = machines(office)
    (office / "staff.csv").write_bytes(sheet)
    run = play("provision-mail.yml", "-i", office)
    assert run.code != 0
    assert said in run.out
    assert machines(office) == before


def test_settings_of_the_look_at_the_servers_are_checked_first_and_all_at_once(office: Path) -> None:
    settings = """\
mail_provider: own
mail_smtp_port: 25
mail_providers:
  - name: own
    titel: Own
    imap: {host: imap example.org, port: 99999, security: tls}
    pop: {host: pop.example.org, port: 995, security: ssl}
    smtp: [{host: smtp.example.org, port: 587, security: starttls}]
reachability_timeout: 1
reachability_interceptors:
  - {product: Some Filter, issuer: Some Filter CA, remedy: Exempt the server.}
  - {produkt: Other Filter, issuer: [Other Filter CA], remedy: Exempt the server.}
"""
    (office / "group_vars/all.yml").write_text(settings, encoding="utf-8")
    run = play("provision-mail.yml", "-i", office)
    assert run.code != 0
    for line in (
        'group_vars/all.yml: mail_providers (own): imap.host: "imap example.org" is not a host name',
        'group_vars/all.yml: mail_providers (own): pop.security: "ssl" is not tls or starttls',
        "group_vars/all.yml: mail_providers (own): titel: is not known; did you mean title?",
        'group_vars/all.yml: mail_providers (own): imap.port: "99999" is not a port (1 to 65535)',
        "group_vars/all.yml: mail_smtp_port: is not 587, 465 or auto",
        'group_vars/all.yml: reachability_timeout: "1" is not a number of seconds, 2 or more',
        "group_vars/all.yml: reachability_interceptors[0].issuer: must be a list of texts that stand in the name of the issuer",
        "group_vars/all.yml: reachability_interceptors[1].product: is missing or empty",
        "group_vars/all.yml: reachability_interceptors[1].produkt: is not known; did you mean product?",
    ):
        assert run.row(line)
    assert machines(office) == {}
    (office / "group_vars/all.yml").write_text("mail_provider: chartr\n", encoding="utf-8")
    unknown = play("playbooks/diagnose_mail.yml", "-i", office)
    assert unknown.code != 0
    assert unknown.row('group_vars/all.yml: mail_provider: "chartr" is not a provider; did you mean charter?')


def test_a_library_that_is_missing_is_one_sentence(office: Path, tmp_path: Path) -> None:
    """As where the collection was installed without its requirements."""
    (tmp_path / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "gone = ('segno', 'xlsxwriter')\n"
        "PathFinder.find_spec = lambda name, *given: None if name.partition('.')[0] in gone else find(name, *given)\n"
    )
    without = {"PYTHONPATH": str(tmp_path)}
    how = "this computer: has no Python library {0}; install it where ansible-playbook is: python -m pip install {0}"
    run = play("provision-mail.yml", "-i", office, cwd=tmp_path, env=without)
    assert run.code == 2 and run.row(how.format("segno")), run.out
    assert "Traceback" not in run.out and not office.with_name(f"{office.name}.machines").exists()
    new = play("playbooks/new_office.yml", "-e", "office=new", cwd=tmp_path, env=without)
    assert new.code == 2 and how.format("xlsxwriter") in new.out and "Traceback" not in new.out, new.out


def test_everything_that_can_be_known_is_said_before_the_first_machine(office: Path) -> None:
    """Of people, phones, the web server for profiles and every role; also by the preview, and of machines that --limit leaves out."""
    with (office / "hosts.yml").open("a", encoding="utf-8") as hosts:
        hosts.write("profile_server: {hosts: {web-01: {ansible_host: 192.0.2.1}}}\n")
    settings = """\
mail_profile_url: https://[x/{token}/{address}/{file}
mobile_dir: ""
mobile_logo: logo.png
mobile_accent: blue
mobile_link_secret: "{{ 'short' }}"
mobile_paper: a5
terminal_folders: {sent: "%(source)s", drafts: Drafts, trash: Trash}
terminal_mbsync_delete: perhaps
thunderbird_install_dir: "/opt/a\\nb"
firewall_state: gone
mail_password_command: show %(source)s {address}
"""
    (office / "group_vars/all.yml").write_text(settings + "mail_probe: false\n", encoding="utf-8")
    (office / "host_vars").mkdir()
    (office / "host_vars/desk-02.yml").write_text("mail_accounts: [5]\nterminal_maildir: ''\n", encoding="utf-8")
    rows = JANE.replace("msmtp", "aerc").replace(",\n", ",,ios\n") + "joe@example.org,Joe,desk-01,joe x,,,\n"
    (office / "staff.csv").write_text(HEADER.replace("\n", ",phones\n") + rows, encoding="utf-8")
    command_line = (
        "group_vars/all.yml: mail_password_command: cannot be written for aerc: aerc would replace the %(...)s in it by another setting"
    )
    lines = [
        'staff.csv:3 (joe@example.org): column login: "joe x" is not an account name; write it without domain and path, and without blanks',
        "desk-02: mail_accounts[0]: must be {address, full_name, login, protocol, smtp_port, programs, phones, primary, state, "
        "sender_name}",
        command_line,
        'group_vars/all.yml: mail_profile_url: "https://[x/{token}/{address}/{file}" is not an https address',
        "group_vars/all.yml: mobile_dir: is empty; write the folder for the files, as in build/mobile/{office}",
        "group_vars/all.yml: mobile_logo: ",
        'group_vars/all.yml: mobile_accent: "blue" is not a colour like',
        "group_vars/all.yml: mail_office: is empty; people must see whose page it is",
        "group_vars/all.yml: mobile_contact: has neither phone nor email; the page must say who helps",
        "group_vars/all.yml: mobile_link_secret: has 5 characters; 32 are needed",
        "group_vars/all.yml: mobile_link_until: is empty",
        'group_vars/all.yml: mobile_paper: "a5" is not letter or a4 or none',
        "group_vars/all.yml: profile_server_certificate: is empty",
        "group_vars/all.yml: profile_server_key: is empty",
        "group_vars/all.yml: terminal_folders: cannot be written: aerc would replace",
        "group_vars/all.yml: terminal_maildir: is empty",
        'group_vars/all.yml: terminal_mbsync_delete: "perhaps" is not true or false',
        "group_vars/all.yml: thunderbird_install_dir: has a control character",
        'group_vars/all.yml: firewall_state: "gone" is not present or absent',
    ]
    # desk-02 is left out of the first run, and not of the second.
    for playbook, arguments in (("provision-mail.yml", ["--limit", "desk-01"]), ("playbooks/preview_mail.yml", [])):
        run = play(playbook, "-i", office, *arguments, cwd=office.parent)
        assert run.code == 2, run.out
        for line in lines:
            assert run.row(line).startswith(line)
        said = f"{len(lines)} problems with this office"
        assert f"{said}, listed above; no machine was contacted, nothing was changed" in run.out and "Traceback" not in run.out
        assert machines(office) == {} and not (office.parent / "build").exists() and not (office.parent / ".charter-mail.json").exists()
    # Nobody with a phone need be helped for a diagnosis.
    plain = office.parent / "plain"
    write_office(plain, HEADER.replace("\n", ",phones\n") + JANE.replace(",\n", ",,ios\n"), "desk-01")
    assert "problem with this office" not in play("playbooks/diagnose_mail.yml", "-i", plain, cwd=office.parent).out


def test_a_setting_that_cannot_be_made_out_is_named(office: Path) -> None:
    (office / "group_vars/all.yml").write_text("mobile_link_secret: '{{ vault_secret }}'\nmail_probe: false\n", encoding="utf-8")
    run = play("provision-mail.yml", "-i", office)
    assert run.code == 2 and machines(office) == {}
    assert "'vault_secret' is undefined" in run.row("group_vars/all.yml: mobile_link_secret: cannot be made out")


def test_a_sheet_that_lost_its_people_or_is_gone_stops_the_run(office: Path) -> None:
    assert play("provision-mail.yml", "-i", office).code == 0
    before = machines(office)
    (office / "staff.csv").write_text(HEADER, encoding="utf-8")
    empty = play("provision-mail.yml", "-i", office)
    assert empty.code != 0
    assert "the machines have the mail of jane@example.org, john@example.org from an earlier run" in empty.out
    (office / "staff.csv").unlink()
    gone = play("provision-mail.yml", "-i", office)
    assert gone.code != 0
    assert "no people: neither" in gone.out
    assert machines(office) == before


def test_a_sheet_that_no_plugin_read_stops_the_run(office: Path) -> None:
    """Another ansible.cfg, in which the plugin is not enabled, must not look like an office without people."""
    settings = {"ANSIBLE_INVENTORY_ENABLED": "yaml", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "false"}
    run = play("provision-mail.yml", "-i", office, env=settings)
    assert run.code != 0
    assert "was not read as a staff sheet" in run.out
    assert machines(office) == {}


def test_two_offices_at_once_are_refused(office: Path, tmp_path: Path) -> None:
    other = write_office(tmp_path / "other", HEADER, "box-01")
    for sources in (["-i", office, "-i", other], ["-i", tmp_path]):
        run = play("provision-mail.yml", *sources)
        assert run.code != 0
        assert "more than one office is loaded" in run.out
    assert machines(office) == {}


def test_cells_are_never_templates(office: Path) -> None:
    """Neither on the way in, nor in the rendered file, nor in the summary."""
    name = "{{ lookup('pipe', 'touch " + str(office.parent / "pwned") + "') }}"
    (office / "staff.csv").write_text(HEADER + f'jane@example.org,"{name}",desk-01,jane,neomutt aerc thunderbird,\n', encoding="utf-8")
    run = play("provision-mail.yml", "-i", office, "-vv", "--diff")
    assert run.code == 0, run.out
    assert not (office.parent / "pwned").exists()
    found = [path for path, content in machines(office).items() if b"{{ lookup(" in content]
    assert len(found) >= 2, found


def test_people_in_yaml_stand_beside_those_of_the_sheet(office: Path) -> None:
    (office / "host_vars").mkdir()
    extra = "mail_accounts:\n  - {address: info@example.org, full_name: Front Desk, login: front, programs: [msmtp], smtp_port: 465}\n"
    (office / "host_vars/desk-01.yml").write_text(extra, encoding="utf-8")
    run = play("provision-mail.yml", "-i", office)
    assert run.code == 0, run.out
    assert run.place("info@example.org", "desk-01", "msmtp") == ("prepared", "created")
    assert run.place("jane@example.org", "desk-01", "msmtp") == ("prepared", "created")


def test_a_machine_s_own_settings_are_its_own(office: Path) -> None:
    (office / "host_vars").mkdir()
    (office / "host_vars/desk-01.yml").write_text("mail_smtp_port: 465\n", encoding="utf-8")
    (office / "host_vars/desk-02.yml").write_text("mail_provider: spectrum\n", encoding="utf-8")
    run = play("provision-mail.yml", "-i", office)
    assert run.code == 0, run.out


def test_preview_contacts_no_machine_and_renders_every_platform(office: Path, tmp_path: Path) -> None:
    (office / "hosts.yml").write_text(
        "linux: {hosts: {desk-01: {ansible_host: 192.0.2.1, ansible_user: nobody, ansible_become: true}}}\n"
        "windows: {hosts: {desk-02: {ansible_host: 192.0.2.2, ansible_connection: psrp, ansible_shell_type: powershell}}}\n"
        "macos: {hosts: {mac-01: {ansible_host: 192.0.2.3}}}\n",
        encoding="utf-8",
    )
    (office / "staff.csv").write_text(HEADER + JANE + JOHN + "m@example.org,Mac,mac-01,mac,,\n", encoding="utf-8")
    (office / "group_vars/all.yml").write_text(CONTACT, encoding="utf-8")
    run = play("playbooks/preview_mail.yml", "-i", office, "-e", f"mail_preview_dir={tmp_path}/seen", cwd=tmp_path)
    assert run.code == 0, run.out
    seen = tree(tmp_path / "seen")
    assert [name for name in seen if name.startswith("desk-01/home/jane/")]
    for machine, start in (("desk-01", "usr/lib/thunderbird/"), ("desk-02", "C/Program Files/"), ("mac-01", "Applications/")):
        assert [name for name in seen if name.startswith(f"{machine}/{start}") and name.endswith(".cfg")], sorted(seen)
    # No machine was seen to be set up.
    page = seen["hand-outs/jane@example.org/index.html"].decode()
    assert "This computer is not set up yet" in page and "set up already" not in page
    default = play("playbooks/preview_mail.yml", "-i", office, cwd=tmp_path)
    assert default.code == 0
    assert tree(tmp_path / "build/preview/acme").keys() == seen.keys()


@pytest.mark.parametrize(("asked", "verdict", "written"), [(True, "intercepted", True), (True, "ok", False), (False, "intercepted", False)])
def test_enterprise_roots_only_where_asked_for_and_intercepted(
    office: Path, tmp_path: Path, asked: bool, verdict: str, written: bool
) -> None:
    """What the probe found is given here, because no Windows or macOS machine can be looked at from a test."""
    (office / "hosts.yml").write_text(
        "linux: {hosts: {desk-01: {}}}\nwindows: {hosts: {win-01: {}}}\nmacos: {hosts: {mac-01: {}}}\n", encoding="utf-8"
    )
    (office / "staff.csv").write_text(HEADER + JOHN.replace("desk-01 desk-02", "desk-01 win-01 mac-01"), encoding="utf-8")
    (office / "group_vars/all.yml").write_text(CONTACT, encoding="utf-8")
    found = {"thunderbird_enterprise_roots": asked, "reachability_result": {"endpoints": [{"verdict": verdict}]}}
    run = play("playbooks/preview_mail.yml", "-i", office, "-e", json.dumps({**found, "mail_preview_dir": f"{tmp_path}/seen"}))
    assert run.code == 0, run.out
    policies = {name: json.loads(content) for name, content in tree(tmp_path / "seen").items() if name.endswith("policies.json")}
    places = ["mac-01/Applications/Thunderbird.app/Contents/Resources", "win-01/C/Program Files/Mozilla Thunderbird"]
    wanted = {"policies": {"Certificates": {"ImportEnterpriseRoots": True}}}
    assert policies == ({f"{place}/distribution/policies.json": wanted for place in places} if written else {})


def test_machines_of_other_platforms_are_named(office: Path) -> None:
    with (office / "hosts.yml").open("a", encoding="utf-8") as hosts:
        hosts.write("windows: {hosts: {win-01: {}}}\nprinters: {hosts: {ink-01: {}}}\n")
    (office / "staff.csv").write_text(HEADER + JANE + JOHN.replace("desk-02", "win-01 ink-01"), encoding="utf-8")
    run = play("provision-mail.yml", "-i", office)
    assert run.code == 0, run.out
    assert run.place("john@example.org", "win-01", "thunderbird") == ("not provisioned yet", "")
    assert "1 Windows machine, 1 person: not provisioned" in run.out
    assert "John Roe (ink-01): put ink-01 into the group linux, windows or macos of hosts.yml" in " ".join(run.out.split())


def test_a_machine_that_does_not_answer_is_named_with_its_people(office: Path) -> None:
    (office / "host_vars").mkdir()
    (office / "host_vars/desk-02.yml").write_text(
        "ansible_connection: ssh\nansible_host: 127.0.0.1\nansible_port: 1\nmail_root: ''\n", encoding="utf-8"
    )
    run = play("provision-mail.yml", "-i", office)
    assert run.code == 4
    assert "(desk-02): switch desk-02 on, then run again" in run.out
    assert run.place("john@example.org", "desk-02", "thunderbird") == ("not reached", "")
    assert run.place("john@example.org", "desk-01", "thunderbird") == ("to be started", "created")


def test_the_sheet_is_an_inventory_source(office: Path) -> None:
    graph = command("ansible-inventory", "-i", office, "--graph", "person_john_example_org")
    assert [line.strip("| -") for line in graph.out.splitlines()] == ["@person_john_example_org:", "desk-01", "desk-02"]
    listed = json.loads(command("ansible-inventory", "-i", office, "--host", "desk-02").out)
    assert [row["address"] for row in listed["mail_staff"]] == ["john@example.org"]


def test_the_shipped_example_is_provisioned_from_the_root(tmp_path: Path) -> None:
    """`ansible-playbook provision-mail.yml`, exactly so, in a copy that has nothing but the files of the project."""
    copy = copy_project(tmp_path / "copy")
    run = command(
        "ansible-playbook",
        "provision-mail.yml",
        cwd=copy,
        env={"ANSIBLE_CONFIG": str(copy / "ansible.cfg"), "CHARTER_MAIL_ANSIBLE_OUTPUT": ""},
    )
    assert run.code == 0, run.out
    # Machines are done in any order.
    shown = run.out[run.out.index("example: ") :].rstrip()
    assert shown in (ROOT / "README.md").read_text(encoding="utf-8").replace("\n    ", "\n"), "the README shows another summary"
    assert sorted(path.name for path in (copy / "build/example").iterdir()) == ["desk-01", "desk-02", "front-desk"]


def test_new_office_is_ready_to_be_filled_in_and_never_overwritten(tmp_path: Path) -> None:
    made = play("playbooks/new_office.yml", "-e", "office=acme", cwd=tmp_path)
    assert made.code == 0, made.out
    acme = tmp_path / "inventories/acme"
    assert sorted(tree(acme)) == ["group_vars/all.yml", "hosts.yml", "staff.xlsx"]
    untouched = command("sh", ROOT / "contrib/play.sh", "-i", acme, ROOT / "provision-mail.yml", cwd=tmp_path)
    assert untouched.code == 2
    assert "acme: there is no machine to work on. Fill in hosts.yml (the machines) and staff.xlsx (the people)." in untouched.out
    again = play("playbooks/new_office.yml", "-e", "office=acme", cwd=tmp_path)
    assert again.code != 0
    assert "is there already; nothing was changed" in again.out
    # Filled in, it is an office.
    header = [cell.text for cell in tables((acme / "staff.xlsx").read_bytes(), "staff.xlsx")[0].rows[0][1]]
    assert header == list(COLUMNS)
    row = {"address": "jane.doe@example.org", "full_name": "Jane Doe", "machines": "desk-01, desk-02", "login": "jane", "phones": "iPhone"}
    (acme / "staff.xlsx").write_bytes(workbook([row]))
    hosts = (acme / "hosts.yml").read_text().replace("# desk-01:\n    #   ansible_host: 192.0.2.11", "desk-01:\n    desk-02:")
    (acme / "hosts.yml").write_text(hosts, encoding="utf-8")
    # The example has a phone: who helps with it must be said before anything is done, and that is said by the look at it, too.
    early = play("playbooks/preview_mail.yml", "-i", acme, cwd=tmp_path)
    assert early.code != 0
    assert early.row("group_vars/all.yml: mobile_contact: has neither phone nor email; the page must say who helps")
    settings = (acme / "group_vars/all.yml").read_text()
    (acme / "group_vars/all.yml").write_text(settings.replace('phone: ""', "phone: +1 555 0100"))
    seen = play("playbooks/preview_mail.yml", "-i", acme, cwd=tmp_path)
    assert seen.code == 0, seen.out
    assert "Jane Doe (desk-01, desk-02): Thunderbird would be set up" in seen.out
    assert seen.out.splitlines()[-1] == "Preview: build/preview/acme"


def test_new_office_takes_over_the_lists_that_an_office_has(tmp_path: Path) -> None:
    people = "Display name,User principal name,Department,Phone\nZoë Müller,zoe@example.org,Sales,iPhone\nJoe,joe@example.org,,\n"
    (tmp_path / "people.csv").write_text(people, encoding="utf-8")
    (tmp_path / "list.txt").write_text("lnx-01 lnx-02   Linux\nPC-BOSS Windows\nmac-01 macOS\n# old\nprinter\n")
    made = play("playbooks/new_office.yml", *("-e", "office=acme", "-e", "from=people.csv", "-e", "machines=list.txt"), cwd=tmp_path)
    assert made.code == 0, made.out
    acme = tmp_path / "inventories/acme"
    sheet = read_sheet((acme / "staff.xlsx").read_bytes(), "staff.xlsx")
    assert [(row["address"], row["full_name"], row["phones"]) for row in sheet.rows] == [
        ("zoe@example.org", "Zoë Müller", "ios"),
        ("joe@example.org", "Joe", ""),
    ]
    hosts = yaml.safe_load((acme / "hosts.yml").read_text())
    assert {group: list(hosts[group]["hosts"]) for group in hosts} == {
        "linux": ["lnx-01", "lnx-02"],
        "windows": ["PC-BOSS"],
        "macos": ["mac-01"],
    }
    assert "say the platform of printer" in made.out and "column Department" in made.out
    (tmp_path / "list.txt").write_text("desk 01/x\n")
    wrong = play("playbooks/new_office.yml", *("-e", "office=two", "-e", "from=nobody.xlsx", "-e", "machines=list.txt"), cwd=tmp_path)
    assert wrong.code != 0 and not (tmp_path / "inventories/two/staff.xlsx").exists()
    assert wrong.row("nobody.xlsx: cannot be read: No such file or directory") and wrong.row('list.txt:1: "01/x" is no name of a machine')


def test_offices_are_kept_where_the_technician_says(tmp_path: Path) -> None:
    """The same variable for make and for new_office.yml."""
    env = {"OFFICES": str(tmp_path / "private"), "MAKEFLAGS": "--assume-old=.venv/runtime"}
    missing = command("make", "preview", "OFFICE=acme", cwd=ROOT, env=env)
    assert missing.code != 0
    hint = missing.row("make office OFFICE=acme")
    assert f"There is no {tmp_path}/private/acme." in hint
    made = play("playbooks/new_office.yml", "-e", "office=acme", env=env)
    assert made.code == 0, made.out
    assert f"{tmp_path}/private/acme is ready to be filled in." in " ".join(made.out.split())
    acme = tmp_path / "private/acme"
    assert sorted(tree(tmp_path / "private")) == ["acme/group_vars/all.yml", "acme/hosts.yml", "acme/staff.xlsx"]
    (acme / "staff.xlsx").unlink()
    write_office(acme, HEADER + JANE + JOHN, "desk-01 desk-02")
    project = copy_project(tmp_path / "clone")
    seen = command("make", "preview", "OFFICE=acme", cwd=project, env=env)
    assert seen.code == 0, seen.out
    assert sorted(path.name for path in (project / "build/preview/acme").iterdir()) == ["desk-01", "desk-02"]
    relative = play("playbooks/new_office.yml", "-e", "office=two", env={"OFFICES": "mine"})
    assert relative.code == 0, relative.out
    assert (tmp_path / "mine/two/staff.xlsx").exists()


@pytest.mark.parametrize("name", ["", "../acme", "Acme", "a b", "acme\n", "acme\n\n", "ac\u017fme"])
def test_new_office_takes_folder_names_only(tmp_path: Path, name: str) -> None:
    run = play("playbooks/new_office.yml", "-e", json.dumps({"office": name}), cwd=tmp_path)
    assert run.code != 0
    assert tree(tmp_path) == {}
