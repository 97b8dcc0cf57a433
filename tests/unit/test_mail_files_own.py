"""What happens to files when something goes wrong, and to what is a person's own. Shown below a prefix."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.files import contents, paths, store

from tests.unit.machine_below import Office, item

OWN = "s3cr3t-own"
SECTION = f"""\
[jane@example.org]
source = notmuch://~/mail
outgoing = smtps://me:{OWN}@own.example.com
from = Jane <me@example.com>
signature-file = ~/sig
"""
KEYS = {"strategy": "keys", "content": "[jane@example.org]\nsource = imaps://a\nfrom = j\n\n[info@example.org]\nsource = imaps://b\n"}
INFO = "\n[info@example.org]\nsource = imaps://b\n"


class Killed(BaseException):
    """The end of a run that gets no chance to do anything more."""


@pytest.fixture
def office(tmp_path: Path) -> Office:
    (tmp_path / "machine/home/jane").mkdir(parents=True)
    return Office(tmp_path / "machine")


def message(office: Office, *files: dict[str, Any], **more: Any) -> str:
    return str(office.run(*files, check=True, **more).files[0].get("message", ""))


# --- sections of the person's own


def test_a_section_that_was_there_before_is_the_persons(office: Office) -> None:
    office.home().write_text(SECTION)
    assert office.one(item(**KEYS)) == ("foreign", True), "the other section is written"
    assert office.home().read_text() == SECTION + INFO
    assert "[jane@example.org] was there before" in message(office, item(**KEYS))
    assert office.one(item(**KEYS)) == ("foreign", False)
    assert office.both() == [("/home/jane/.rc", "removed", True)]
    assert office.home().read_text() == SECTION


def test_a_section_that_was_taken_over_comes_back(office: Office) -> None:
    office.home().write_text("# mine\n" + SECTION + "\n[other]\nx = 1\n")
    before = office.home().read_text()
    assert office.one(item(**KEYS), take_over=True) == ("pending", True)
    assert "source = imaps://a\n" in office.home().read_text()
    assert office.originals() == [before]
    assert office.one(item(**KEYS)) == ("unchanged", False), "it is ours from now on"
    with office.home().open("a") as stream:
        stream.write("[later]\ny = 2\n")
    assert office.both() == [("/home/jane/.rc", "removed", True)]
    assert office.home().read_text() == before + "[later]\ny = 2\n"


def test_a_section_of_ours_leaves_nothing_behind(office: Office) -> None:
    office.home().write_text("[other]\nx = 1\n")
    office.run(item(**KEYS))
    office.both()
    assert office.home().read_text() == "[other]\nx = 1\n"


def test_a_section_that_is_as_it_should_be_is_ours(office: Office) -> None:
    office.home().write_text(KEYS["content"])
    assert office.one(item(**KEYS)) == ("unchanged", False)
    office.both()
    assert office.home().read_text() == ""


# --- files that would keep each other from being read

MSMTP = {"dest": ".msmtprc", "shadows": [".config/msmtp/config"]}
NEOMUTT = {
    "dest": ".neomuttrc",
    "strategy": "once",
    "shadowed_by": [".config/neomutt/neomuttrc", ".mutt/muttrc"],
    "mention": "charter-mail.rc",
    "hint": "source ~/charter-mail.rc",
}


def test_a_file_of_the_person_is_not_switched_off(office: Office) -> None:
    own = office.home(".config/msmtp/config")
    own.parent.mkdir(parents=True)
    own.write_text("account mine\n")
    assert office.one(item(**MSMTP)) == ("foreign", False)
    assert "~/.config/msmtp/config" in message(office, item(**MSMTP))
    assert not office.home(".msmtprc").exists()
    assert office.one(item(**MSMTP), take_over=True) == ("created", True)
    assert office.one(item(**MSMTP)) == ("unchanged", False)
    assert "does not read ~/.config/msmtp/config" in message(office, item(**MSMTP))
    assert own.read_text() == "account mine\n"


def test_a_file_that_came_later_is_said(office: Office) -> None:
    office.run(item(**MSMTP))
    office.home(".config/msmtp").mkdir(parents=True)
    office.home(".config/msmtp/config").write_text("account mine\n")
    assert office.one(item(**MSMTP)) == ("unchanged", False)
    assert "does not read ~/.config/msmtp/config" in message(office, item(**MSMTP))


@pytest.mark.parametrize("place", [".config/neomutt/neomuttrc", ".mutt/muttrc"])
def test_a_file_that_nobody_reads_is_not_written(office: Office, place: str) -> None:
    own = office.home(place)
    own.parent.mkdir(parents=True)
    own.write_text("set beep\n")
    assert office.one(item(**NEOMUTT)) == ("foreign", False)
    assert message(office, item(**NEOMUTT)) == f"~/{place} is there, which the program reads instead; put into it: source ~/charter-mail.rc"
    own.write_text("set beep\nsource ~/charter-mail.rc\n")
    assert office.one(item(**NEOMUTT)) == ("unchanged", False)
    assert message(office, item(**NEOMUTT)) == f"~/{place} takes it up"
    assert not office.home(".neomuttrc").exists()


def test_a_link_that_leads_nowhere_is_no_file(office: Office) -> None:
    office.home(".mutt").mkdir()
    office.home(".mutt/muttrc").symlink_to("../gone")
    assert office.one(item(**NEOMUTT)) == ("created", True)
    office.home("gone").write_text("set beep\n")
    assert office.one(item(**NEOMUTT)) == ("foreign", False)


def test_the_persons_own_file_may_take_ours_up(office: Office) -> None:
    office.home(".neomuttrc").write_text("set beep\n")
    assert office.one(item(**NEOMUTT)) == ("foreign", False)
    assert "put into it: source" in message(office, item(**NEOMUTT))
    office.home(".neomuttrc").write_text("source ~/charter-mail.rc\n")
    assert office.one(item(**NEOMUTT)) == ("unchanged", False)
    assert office.both() == []


# --- what is shown, and where copies are

OURS = "account jane\nhost smtp.example.net\nport 587\npasswordeval secret-tool lookup user jane\n"
THEIRS = f"account mine\nhost own.example.com\nuser me\npassword {OWN}\n"


def everything_but_home(office: Office) -> bytes:
    return b"".join(path.read_bytes() for path in (office.root / "var").rglob("*") if path.is_file())


def test_nothing_of_the_persons_own_is_shown_or_leaves_the_home(office: Office) -> None:
    ours = item(".msmtprc", OURS)
    office.home(".msmtprc").write_text(THEIRS)
    runs = [office.run(ours), office.run(ours, take_over=True)]
    office.home(".msmtprc").write_text(OURS.replace("port 587", "port 25") + THEIRS)
    runs.append(office.run(ours))
    office.home(".msmtprc").write_text(OURS.replace("passwordeval secret-tool lookup user jane", f"password {OWN}"))
    runs.append(office.run(ours))
    office.home(".rc").write_text(SECTION)
    runs.append(office.run(ours, item(**KEYS)))
    office.home(".rc").write_text(SECTION + INFO.replace("imaps://b", f"imaps://me:{OWN}@b"))
    runs.append(office.run(ours, item(**KEYS)))
    office.home(".msmtprc").write_text(THEIRS)
    runs.append(office.run())
    shown = json.dumps([[run.files, run.diff] for run in runs])
    assert OWN not in shown
    for word in ("own.example.com", "account mine", "user me", "notmuch", "me@example.com"):
        assert word not in shown
    assert OWN.encode() not in everything_but_home(office)
    copies = [path for path in office.backups.iterdir() if OWN in path.read_text()]
    assert len(copies) >= 4
    assert stat.S_IMODE(office.backups.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in copies if path.name.endswith(".1")} == {0}


def test_what_becomes_of_our_settings_is_shown(office: Office) -> None:
    ours = item(".msmtprc", OURS)
    office.run(ours)
    office.home(".msmtprc").write_text(OURS.replace("port 587", "port 25"))
    (diff,) = office.run(ours, check=True).diff
    assert "port 25\n" in diff["before"]
    assert "port 587\n" in diff["after"]
    office.home(".msmtprc").write_text(OURS.replace("port 587", "port 25") + THEIRS)
    (diff,) = office.run(ours, check=True).diff
    assert diff["before"].endswith("(1 line not shown)\npasswordeval ••••\n(4 lines not shown)\n")
    (diff,) = office.run(item(".msmtprc", OURS.replace("secret-tool", "pass")), check=True).diff
    assert "secret-tool" not in diff["before"] + diff["after"]
    assert diff["before"] != diff["after"]


def test_what_was_replaced_comes_back_with_its_mode(office: Office) -> None:
    office.home().write_text(THEIRS)
    office.home().chmod(0o640)
    office.run(item(), take_over=True)
    for number in range(5):
        office.home().write_text(f"{number}\n")
        office.run(item())
    assert office.originals() == [THEIRS], "newer copies do not push it out"
    assert office.both() == [("/home/jane/.rc", "removed", True)]
    assert office.home().read_text() == THEIRS
    assert stat.S_IMODE(office.home().stat().st_mode) == 0o640
    assert office.originals() == []
    assert office.both() == []


# --- runs that are cut off


@pytest.mark.parametrize("saves", [1, 2])
@pytest.mark.parametrize("more", [{}, KEYS, {"strategy": "once"}], ids=["replace", "keys", "once"])
def test_a_run_that_was_killed_knows_its_files(office: Office, monkeypatch: pytest.MonkeyPatch, saves: int, more: dict[str, Any]) -> None:
    files = [item("a/.rc", **more), item("b/.rc", login="bob", **more)]
    save, count = store.Store.save, [0]

    def dying(self: store.Store) -> None:
        count[0] += 1
        if count[0] > saves:
            raise Killed
        save(self)

    monkeypatch.setattr(store.Store, "save", dying)
    with pytest.raises(Killed):
        office.run(*files)
    monkeypatch.undo()
    assert office.home("a/.rc").exists()
    later = [{**file, "content": file["content"].replace("imaps://a", "imaps://z").replace("one", "two")} for file in files]
    found = {outcome["dest"]: outcome["state"] for outcome in office.run(*later, check=True).files}
    assert found["/home/jane/a/.rc"] == ("unchanged" if more == {"strategy": "once"} else "pending"), "it is not somebody else's"
    assert [outcome["state"] for outcome in office.run().files].count("removed") >= 1
    assert not office.home("a/.rc").exists()
    assert json.loads(office.state.read_text())["sets"] == {}


def test_a_run_that_was_killed_before_it_wrote_owns_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(contents, "stage", die, raising=True)
    monkeypatch.setattr(store.Store, "save", lambda self: None)
    office.home().write_text("theirs\n")
    with pytest.raises(Killed):
        office.run(item(), take_over=True)
    monkeypatch.undo()
    assert office.one(item()) == ("foreign", False)
    assert office.both() == []
    assert office.home().read_text() == "theirs\n"


def no_room_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = contents.stage

    def full(place: paths.Place, *rest: Any) -> str:
        if place.name == name:
            raise OSError(28, "No space left on device")
        return stage(place, *rest)

    monkeypatch.setattr(contents, "stage", full)


def test_a_state_that_cannot_be_written_touches_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    no_room_for("state.json", monkeypatch)
    with pytest.raises(store.StoreError, match=r"state\.json cannot be written: No space left on device"):
        office.run(item())
    assert not office.home().exists()


def test_a_copy_that_cannot_be_made_pushes_nothing_out(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.run(item())
    for number in range(3):
        office.home().write_text(f"{number}\n")
        office.run(item())
    no_room_for(".rc.1", monkeypatch)
    office.home().write_text("3\n")
    run = office.run(item())
    assert (run.files[0]["state"], run.files[0]["message"]) == ("failed", "No space left on device")
    assert office.kept() == ["2\n", "1\n", "0\n"]
    assert office.home().read_text() == "3\n"


def test_what_a_killed_run_left_lying_is_taken_away(office: Office) -> None:
    office.run(item(), item(".config/y", program="aerc"))
    left = [
        office.home(".rc").with_name("..rc.charter-mail-0123456789ab"),
        office.home(".config/.y.charter-mail-ffffffffffff"),
        office.state.with_name(".state.json.charter-mail-0123456789ab"),
    ]
    mine = [
        office.home("..rc.charter-mail-notes"),
        office.home("..rc.charter-mail-0123456789abc"),
        office.home(".other.charter-mail-0123456789ab"),
    ]
    for path in [*left, *mine]:
        path.write_text("x")
    office.run(item(), item(".config/y", program="aerc"), check=True)
    assert all(path.exists() for path in left), "a check changes nothing"
    office.run(item(), item(".config/y", program="aerc"))
    assert [path.name for path in left if path.exists()] == []
    assert all(path.exists() for path in mine)


# --- other people's text


@pytest.mark.parametrize("line", [" " * 200_000, "[" * 200_000, "a" + " " * 200_000, "=" * 200_000])
def test_a_line_that_no_settings_file_has_is_said(office: Office, line: str) -> None:
    office.home().write_text(line + "\n")
    assert office.one(item(**KEYS)) == ("conflict", False)
    assert "line 1 is longer than 65536 characters" in message(office, item(**KEYS))


def test_a_file_that_no_settings_file_is_so_long_as(office: Office) -> None:
    office.home().write_text("x = 1\n" * 100_000)
    assert office.one(item(**KEYS)) == ("conflict", False)
    assert "longer than" in message(office, item(**KEYS))


# --- links


def test_a_file_of_ours_that_was_moved_behind_a_link_goes_with_the_link(office: Office) -> None:
    office.run(item())
    office.home("dots").mkdir()
    office.home().rename(office.home("dots/rc"))
    office.home().symlink_to("dots/rc2")
    office.home("dots/rc2").symlink_to("rc")
    assert office.one(item()) == ("unchanged", False)
    assert office.one(item(content="two\n")) == ("pending", True)
    assert office.home("dots/rc").read_text() == "two\n"
    assert office.both() == [("/home/jane/.rc", "removed", True)]
    assert not os.path.lexists(office.home())
    assert list(office.home("dots").iterdir()) == []


def test_a_link_to_something_of_the_persons_own_costs_them_nothing(office: Office) -> None:
    office.run(item())
    office.home("own").write_text("theirs\n")
    office.home().unlink()
    office.home().symlink_to("own")
    assert office.one(item()) == ("drift", True)
    assert not office.home().is_symlink()
    assert office.home().read_text() == "one\n"
    assert office.home("own").read_text() == "theirs\n"
    office.home().unlink()
    office.home().symlink_to("own")
    assert office.both() == [("/home/jane/.rc", "unchanged", False)]
    assert office.home("own").read_text() == "theirs\n"
    assert office.home().is_symlink()


def test_a_link_comes_back_when_the_rest_cannot_be_written(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [item(), item(".second")]
    office.run(*files)
    office.home().unlink()
    office.home().symlink_to("nowhere")
    office.home(".second").write_text("theirs\n")
    put = contents.put

    def full(place: paths.Place, temporary: str) -> None:
        if place.name == ".second":
            raise OSError(28, "No space left on device")
        put(place, temporary)

    monkeypatch.setattr(contents, "put", full)
    assert [outcome["state"] for outcome in office.run(*files).files] == ["failed", "failed"]
    assert str(office.home().readlink()) == "nowhere"


def test_names_that_are_no_text_are_made_printable(office: Office) -> None:
    folder = office.home(os.fsdecode(b"d\xff\x1b[31m"))
    folder.mkdir()
    (folder / "sub").symlink_to("/etc")
    office.home(".config").symlink_to(folder)
    (outcome,) = office.run(item(".config/sub/x")).files
    assert outcome["state"] == "refused"
    assert json.dumps(outcome, ensure_ascii=False).encode("utf-8"), "no surrogate is in it"
    assert "\x1b" not in outcome["message"]


def test_who_came_and_who_left_is_told_of_a_file_that_people_share(office: Office) -> None:
    def shared(**parts: str) -> dict[str, Any]:
        return item("/etc/all", json.dumps(parts), mode="0644", people=sorted(parts), parts=parts)

    def each(file: dict[str, Any]) -> Any:
        check, real = (office.run(file, check=check).files[0] for check in (True, False))
        assert check == real
        return real["state"], real.get("each")

    assert each(shared(jane="1", joe="1")) == ("created", None)
    assert each(shared(jane="1", joe="2")) == ("pending", {"jane": "unchanged", "joe": "pending"})
    assert each(shared(jane="1", ann="1")) == ("pending", {"jane": "unchanged", "ann": "created", "joe": "removed"})
    assert each({**shared(jane="1", ann="1"), "content": "another form"}) == ("pending", None), "it is another one for everybody"
    (office.root / "etc/all").write_text("theirs")
    assert each(shared(jane="1")) == ("conflict", None)


def test_a_file_that_is_there_for_an_account_alone_goes_with_what_the_program_put_into_it(office: Office) -> None:
    source = item(".sources/key.source", "[Data Source]\nEnabled=true\n[Security]\nMethod=tls\n", strategy="keys", whole="file")
    assert office.one(source) == ("created", True)
    path = office.home(".sources/key.source")
    path.write_text("[Data Source]\nEnabled=true\nParent=\n\n[Refresh]\nIntervalMinutes=5\n\n[Security]\nMethod=none\n")
    assert office.one(source) == ("drift", True)
    assert path.read_text() == "[Data Source]\nEnabled=true\nParent=\n\n[Refresh]\nIntervalMinutes=5\n\n[Security]\nMethod=tls\n"
    # What is known got lost: its name tells whose it is all the same.
    office.state.unlink()
    path.write_text(path.read_text().replace("tls", "none"))
    assert office.one(source)[1] and "Method=tls" in path.read_text()
    assert office.both() == [("/home/jane/.sources/key.source", "removed", True)]
    kept = [copy.read_text() for copy in office.backups.rglob("*") if copy.is_file()]
    assert not path.exists() and any("IntervalMinutes=5" in text for text in kept)


def test_a_section_that_is_there_for_an_account_alone_goes_with_what_the_program_put_into_it(office: Office) -> None:
    both = "[Account: 7001]\naddress=a@example.org\n\n[Account: 7002]\naddress=b@example.org\n"
    office.home(".claws").write_text("[Account: 1]\naddress=own@example.net\n")
    rows = {"strategy": "keys", "whole": "sections"}
    assert office.one(item(".claws", both, **rows)) == ("pending", True)
    written = office.home(".claws").read_text()
    office.home(".claws").write_text(
        written.replace("address=a@", "signature=mine\naddress=a@").replace("address=b@", "colour=2\naddress=b@")
    )
    assert office.one(item(".claws", both.partition("\n\n")[0] + "\n", **rows))[1]
    assert office.home(".claws").read_text() == (
        "[Account: 1]\naddress=own@example.net\n\n[Account: 7001]\nsignature=mine\naddress=a@example.org\n"
    )
    assert office.both() == [("/home/jane/.claws", "removed", True)]
    assert office.home(".claws").read_text() == "[Account: 1]\naddress=own@example.net\n"
