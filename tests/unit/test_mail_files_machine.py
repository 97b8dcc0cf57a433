"""What happens to files on a machine, shown below a prefix: states, units, roll-back, backups, removal, memory."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.files import backups, contents, paths, payload, plan, store, units

from tests.unit.machine_below import JANE, Office, item


@pytest.fixture
def office(tmp_path: Path) -> Office:
    root = tmp_path / "machine"
    root.mkdir()
    return Office(root)


# --- states of a file that is ours alone


def test_created_then_unchanged(office: Office) -> None:
    assert office.one(item(".config/x/rc", mode="0640")) == ("created", True)
    path = office.home(".config/x/rc")
    assert path.read_text() == "one\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    before = office.tree()
    assert office.one(item(".config/x/rc", mode="0640")) == ("unchanged", False)
    assert office.tree() == before


def test_pending_when_we_want_something_else(office: Office) -> None:
    office.run(item())
    assert office.one(item(content="two\n")) == ("pending", True)
    assert office.home().read_text() == "two\n"
    assert office.kept() == [], "what we wrote ourselves needs no backup"
    assert office.one(item(content="two\n", mode="0644")) == ("pending", True)
    assert stat.S_IMODE(office.home().stat().st_mode) == 0o644


def test_drift_when_someone_else_changed_it(office: Office) -> None:
    office.run(item())
    office.home().write_text("theirs\n")
    assert office.one(item()) == ("drift", True)
    assert office.home().read_text() == "one\n"
    assert office.kept() == ["theirs\n"]
    office.home().chmod(0o666)
    assert office.one(item()) == ("drift", True)
    assert stat.S_IMODE(office.home().stat().st_mode) == 0o600


def test_conflict_when_both_changed_it(office: Office) -> None:
    office.run(item())
    office.home().write_text("theirs\n")
    assert office.one(item(content="two\n")) == ("conflict", True)
    assert office.home().read_text() == "two\n"
    assert office.kept() == ["theirs\n"]


def test_missing_when_it_was_deleted(office: Office) -> None:
    office.run(item())
    office.home().unlink()
    assert office.one(item()) == ("missing", True)
    assert office.home().read_text() == "one\n"


def test_foreign_is_left_alone_until_taken_over(office: Office) -> None:
    office.home().parent.mkdir(parents=True)
    office.home().write_text("theirs\n")
    assert office.one(item()) == ("foreign", False)
    assert office.one(item()) == ("foreign", False), "it does not become ours by being looked at"
    assert office.home().read_text() == "theirs\n"
    assert office.one(item(), take_over=True) == ("created", True)
    assert office.home().read_text() == "one\n"
    assert (office.kept(), office.originals()) == ([], ["theirs\n"])


def test_a_file_that_is_already_right_becomes_ours(office: Office) -> None:
    office.home().parent.mkdir(parents=True)
    office.home().write_text("one\n")
    office.home().chmod(0o600)
    assert office.one(item()) == ("unchanged", False)
    assert office.both() == [("/home/jane/.rc", "removed", True)]
    assert not office.home().exists()


def test_someone_else_made_the_same_change(office: Office) -> None:
    office.run(item())
    office.home().write_text("two\n")
    assert office.one(item(content="two\n")) == ("unchanged", False)
    office.home().write_text("three\n")
    assert office.one(item(content="two\n")) == ("drift", True)


# --- keys


KEYS = {"strategy": "keys", "content": "[a]\nx=1\n"}


def test_keys_join_a_file_of_the_program_and_leave_it_again(office: Office) -> None:
    office.home().parent.mkdir(parents=True)
    office.home().write_text("[p]\nown=1\n")
    office.home().chmod(0o644)
    assert office.one(item(**KEYS)) == ("pending", True)
    assert office.home().read_text() == "[p]\nown=1\n\n[a]\nx=1\n"
    assert stat.S_IMODE(office.home().stat().st_mode) == 0o644, "the program decides who may read its file"
    assert office.one(item(**KEYS)) == ("unchanged", False)
    office.home().write_text("[p]\nown=2\nmore=3\n\n[a]\nx=1\n")
    assert office.one(item(**KEYS)) == ("unchanged", False), "lines of the program are not drift"
    office.home().write_text("[p]\nown=2\n\n[a]\nx=9\n")
    assert office.one(item(**KEYS)) == ("drift", True)
    assert office.one(item(strategy="keys", content="[a]\nx=2\n")) == ("pending", True)
    office.home().write_text("[p]\nown=2\n\n[a]\nx=9\n")
    assert office.one(item(strategy="keys", content="[a]\nx=3\n")) == ("conflict", True)
    assert office.one(item(strategy="keys", content="[b]\ny=1\n")) == ("pending", True)
    assert office.home().read_text() == "[p]\nown=2\n\n[b]\ny=1\n"
    assert office.both() == [("/home/jane/.rc", "removed", True)]
    assert office.home().read_text() == "[p]\nown=2\n"


def test_a_keys_file_goes_only_when_we_made_it_and_nothing_else_is_left(office: Office) -> None:
    assert office.one(item(**KEYS)) == ("created", True)
    office.run()
    assert not office.home().exists()
    office.run(item(**KEYS))
    office.home().write_text("[a]\nx=1\nuser=1\n")
    office.run()
    assert office.home().read_text() == "[a]\nuser=1\n"


def test_a_keys_file_that_was_deleted_is_missing(office: Office) -> None:
    office.run(item(**KEYS))
    office.home().unlink()
    assert office.one(item(**KEYS)) == ("missing", True)
    office.run()
    assert not office.home().exists()


def test_a_keys_file_that_cannot_be_understood_is_not_touched(office: Office) -> None:
    office.home().parent.mkdir(parents=True)
    office.home().write_bytes(b"{json: 1}\n")
    run = office.run(item(**KEYS))
    assert (run.files[0]["state"], run.files[0]["changed"]) == ("conflict", False)
    assert "line 1" in run.files[0]["message"]
    office.home().write_bytes(b"a=\xff\n")
    assert office.one(item(**KEYS)) == ("conflict", False)
    assert office.home().read_bytes() == b"a=\xff\n"
    office.home().write_text("")
    office.run(item(**KEYS))
    office.home().write_text("<xml>\n")
    assert office.both() == [("/home/jane/.rc", "conflict", False)]
    office.home().write_text("[a]\nx=1\n")
    assert office.both() == [("/home/jane/.rc", "removed", True)], "our keys are not forgotten meanwhile"


# --- once


def test_once_is_the_users_afterwards(office: Office) -> None:
    once = item(strategy="once")
    assert office.one(once) == ("created", True)
    office.home().write_text("theirs\n")
    office.home().chmod(0o644)
    assert office.one(once) == ("unchanged", False)
    assert office.one(item(strategy="once", content="two\n")) == ("unchanged", False)
    office.home().unlink()
    assert office.one(once) == ("unchanged", False)
    assert not office.home().exists()


def test_once_is_removed_only_when_nobody_changed_it(office: Office) -> None:
    once = item(strategy="once")
    office.run(once)
    assert office.both() == [("/home/jane/.rc", "removed", True)]
    assert not office.home().exists()
    office.run(once)
    office.home().write_text("theirs\n")
    assert office.both() == [("/home/jane/.rc", "unchanged", False)]
    assert office.home().read_text() == "theirs\n"
    assert office.both() == []


def test_once_does_not_touch_a_file_that_was_there(office: Office) -> None:
    office.home().parent.mkdir(parents=True)
    office.home().write_text("theirs\n")
    assert office.one(item(strategy="once")) == ("foreign", False)
    assert office.one(item(strategy="once", content="theirs\n")) == ("unchanged", False)
    assert office.both() == []
    assert office.home().read_text() == "theirs\n"


# --- removal


def test_what_is_no_longer_declared_goes_backwards_with_the_directories_made_for_it(office: Office) -> None:
    machine_file = item("/etc/x/3", mode="0644", dir_mode="0755")
    files = [item("a/1"), item("a/b/2"), machine_file, item(".4", program="aerc")]
    office.run(*files)
    assert office.both() == [
        ("/home/jane/.4", "removed", True),
        ("/etc/x/3", "removed", True),
        ("/home/jane/a/b/2", "removed", True),
        ("/home/jane/a/1", "removed", True),
    ]
    assert list((office.root / JANE).iterdir()) == []
    assert not (office.root / "etc").exists()
    assert json.loads(office.state.read_text())["sets"] == {}


def test_a_drifted_file_is_backed_up_and_removed(office: Office) -> None:
    office.run(item("d/.rc"))
    office.home("d/.rc").write_text("theirs\n")
    office.home("d/other").write_text("stays\n")
    assert office.both() == [("/home/jane/d/.rc", "removed", True)]
    assert office.kept("d%2F.rc") == ["theirs\n"]
    assert [path.name for path in office.home("d").iterdir()] == ["other"]


def test_a_file_that_is_gone_anyway_is_forgotten(office: Office) -> None:
    office.run(item())
    office.home().unlink()
    assert office.both() == [("/home/jane/.rc", "removed", False)]
    assert office.both() == []


def test_programs_do_not_touch_each_other(office: Office) -> None:
    office.run(item(), programs=["msmtp"])
    assert office.both(item(".other", program="aerc"), programs=["aerc"]) == [("/home/jane/.other", "created", True)]
    assert office.both(programs=["aerc"]) == [("/home/jane/.other", "removed", True)]
    assert office.home().exists()
    ((_, state, _),) = office.both(item(content="two\n", program="aerc"), programs=["aerc"], take_over=True)
    assert state == "refused"
    assert office.home().read_text() == "one\n"


def test_a_state_in_which_a_set_was_a_role_s_is_read_by_program(office: Office) -> None:
    office.run(item(), item(".other", program="aerc"))
    state = json.loads(office.state.read_text())
    state["sets"] = {"terminal": [record for records in state["sets"].values() for record in records]}
    office.state.write_text(json.dumps(state))
    assert office.both(item(), programs=["msmtp"]) == [("/home/jane/.rc", "unchanged", False)]
    assert office.both(programs=["aerc"]) == [("/home/jane/.other", "removed", True)]


def test_kept_when_empty_only_if_written_before(office: Office) -> None:
    empty = item("/etc/m", content="nobody\n", only_known=True)
    assert office.both(empty) == []
    office.run(item("/etc/m", content="jane\n"))
    assert office.both(empty) == [("/etc/m", "pending", True)]
    assert (office.root / "etc/m").read_text() == "nobody\n"


# --- units


def test_a_unit_is_rolled_back_as_a_whole_and_the_others_go_on(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.run(item(".a", "old a\n"), item(".c", "old c\n"), item(".gone", "old gone\n"))
    office.home(".a").write_text("theirs\n")
    put = contents.put

    def full(place: paths.Place, temporary: str) -> None:
        if place.name == ".c" and not calls:
            calls.append(1)
            raise OSError(28, "No space left on device")
        put(place, temporary)

    calls: list[int] = []
    monkeypatch.setattr(contents, "put", full)
    before = office.tree()
    files = [item(".a", "new\n"), item("made/.b", "new\n"), item(".c", "new\n"), item(".d", "new\n", program="aerc")]
    run = office.run(*files)
    assert {f["dest"]: (f["state"], f["changed"]) for f in run.files} == {
        "/home/jane/.a": ("failed", False),
        "/home/jane/made/.b": ("failed", False),
        "/home/jane/.c": ("failed", False),
        "/home/jane/.gone": ("failed", False),
        "/home/jane/.d": ("created", True),
    }
    assert "No space left" in run.files[2]["message"]
    kept = ("var/", f"{JANE}/.local")  # the memory and the copies
    after = {name: value for name, value in office.tree().items() if not name.startswith(kept)}
    assert after == {**{n: v for n, v in before.items() if not n.startswith(kept)}, f"{JANE}/.d": after[f"{JANE}/.d"]}
    again = office.run(*files)
    assert [f["state"] for f in again.files] == ["conflict", "created", "pending", "removed", "unchanged"]


def test_removal_is_rolled_back_too(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.run(item(".a"), item(".b"))
    discard = contents.discard

    def deny(place: paths.Place, name: str) -> None:
        if name == ".a":
            raise PermissionError(13, "denied")
        discard(place, name)

    monkeypatch.setattr(contents, "discard", deny)
    run = office.run()
    assert [f["state"] for f in run.files] == ["failed", "failed"]
    assert office.home(".a").read_text() == office.home(".b").read_text() == "one\n"
    monkeypatch.undo()
    assert [f["state"] for f in office.run().files] == ["removed", "removed"]


def test_a_file_that_changes_under_our_hands_is_not_overwritten(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.run(item())
    stage = contents.stage

    def slow(place: paths.Place, *rest: Any) -> str:
        if place.name == ".rc":
            office.home().write_text("just now\n")
        return stage(place, *rest)

    monkeypatch.setattr(contents, "stage", slow)
    run = office.run(item(content="two\n"))
    assert run.files[0]["state"] == "failed"
    assert "run again" in run.files[0]["message"]
    assert office.home().read_text() == "just now\n"
    assert [p.name for p in office.home().parent.iterdir()] == [".rc"], "no temporary file is left"


def test_one_refused_file_holds_back_its_unit(office: Office) -> None:
    office.home("dir").mkdir(parents=True)
    assert office.both(item(".a"), item("dir"), item(".b", program="aerc")) == [
        ("/home/jane/.a", "failed", False),
        ("/home/jane/dir", "refused", False),
        ("/home/jane/.b", "created", True),
    ]
    assert not office.home(".a").exists()


def test_a_running_program_blocks_its_unit(office: Office) -> None:
    unit = units.Unit("jane", "msmtp", [item(".a"), item(".b", running=["thunderbird-very-long"])], [])
    office.home().parent.mkdir(parents=True)
    anchor = paths.Anchor(str(office.home().parent), "home")
    job = plan.Job(
        anchor,
        "/home/jane",
        None,
        False,
        False,
        False,
        [],
        {"thunderbird-ver"},  # Linux keeps 15 characters
        {},
        {},
        backups.Attic(anchor, "backups", 3),
    )
    result = units.run(unit, job)
    assert [(f["state"], f["changed"]) for f in result["files"]] == [("blocked", False), ("blocked", False)]
    assert "close it" in result["files"][1]["message"]
    assert not office.home(".a").exists()


# --- paths


def test_links_inside_the_home_are_followed_and_stay(office: Office) -> None:
    office.home("dots").mkdir(parents=True)
    office.home(".rc").symlink_to("dots/rc")
    office.home(".config").symlink_to(str(office.home("dots")))
    assert office.both(item(), item(".config/y")) == [
        ("/home/jane/.rc", "created", True),
        ("/home/jane/.config/y", "created", True),
    ]
    assert office.home(".rc").is_symlink()
    assert office.home("dots/rc").read_text() == office.home("dots/y").read_text() == "one\n"


@pytest.mark.parametrize("target", ["{out}", "../../out", "dots/../../../out", "loop"])
def test_links_out_of_the_home_are_refused(office: Office, target: str) -> None:
    out = office.root / "out"
    out.mkdir()
    office.home("dots").mkdir(parents=True)
    office.home("loop").symlink_to("loop")
    office.home(".config").symlink_to(target.format(out=out))
    office.home(".rc").symlink_to(target.format(out=out) + "/rc")
    ((_, one, _), (_, two, _)) = office.both(item(".config/y"), item(program="aerc"))
    assert (one, two) == ("refused", "refused")
    assert list(out.iterdir()) == []


def test_special_files_are_refused(office: Office) -> None:
    office.home().parent.mkdir(parents=True)
    os.mkfifo(office.home())
    assert office.one(item()) == ("refused", False)


def test_machine_files_are_refused_in_a_directory_others_can_write(office: Office) -> None:
    (office.root / "etc").mkdir()
    (office.root / "etc").chmod(0o777)
    assert office.one(item("/etc/x")) == ("refused", False)
    assert office.one(item("/etc/sub/x")) == ("refused", False)
    (office.root / "etc").chmod(0o755)
    assert office.one(item("/etc/x")) == ("created", True)


def test_an_absolute_link_stays_below_the_prefix(office: Office) -> None:
    (office.root / "etc").mkdir()
    (office.root / "etc/x").symlink_to("/srv/x")
    (office.root / "srv/x").mkdir(parents=True)
    assert office.one(item("/etc/x/y")) == ("created", True)
    assert (office.root / "srv/x/y").read_text() == "one\n"


# --- memory


def test_the_state_knows_no_content_and_is_for_root_alone(office: Office) -> None:
    office.run(item(content="password hunter22\n"), item(".k", strategy="keys", content="[a]\nx=hunter22\n"))
    assert "hunter22" not in office.state.read_text()
    assert stat.S_IMODE(office.state.stat().st_mode) == 0o600
    assert stat.S_IMODE(office.state.parent.stat().st_mode) == 0o700
    assert json.loads(office.state.read_text())["version"] == 1


def test_the_state_is_not_written_when_nothing_changes(office: Office) -> None:
    office.run(item(), item(".s", sensitive=True))
    before = office.state.stat()
    office.run(item(), item(".s", sensitive=True))
    assert office.state.stat().st_ino == before.st_ino


RECORD = '{"dest": "~a/x", "path": "x", "program": "p", "strategy": "replace", "mode": "0600", "login": "a", "people": []}'


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"version": 1}', '{"version": 1, "sets": {"a": [1]}}', '{"version": "x", "sets": {}}'),
        f'{{"version": 1, "sets": {{"set": [{RECORD}]}}}}',
        '{"version": 1, "sets": {"set": [' + RECORD.replace("}", ', "intent": {}}') + "]}}",
    ],
)
def test_a_damaged_state_stops_the_run(office: Office, text: str) -> None:
    office.run(item())
    office.state.write_text(text)
    before = office.tree()
    with pytest.raises(store.StoreError, match="is damaged"):
        office.run(item(content="two\n"))
    assert office.tree() == before


@pytest.mark.parametrize("text", ['{"version": 2, "sets": {}}', '{"version": 2, "things": {}}'])
def test_a_newer_state_is_not_called_damaged(office: Office, text: str) -> None:
    office.run(item())
    office.state.write_text(text)
    before = office.tree()
    with pytest.raises(store.StoreError, match="written by a newer version of this project"):
        office.run(item(content="two\n"))
    assert office.tree() == before


def test_something_to_remember_is_remembered_where_nobody_has_files(office: Office) -> None:
    assert office.both(remember={"smtp_port": 465}) == []
    assert json.loads(office.state.read_text())["remembered"] == {"smtp_port": 465}
    before = office.tree()
    office.run(remember={"smtp_port": 465})
    assert office.tree() == before


def test_sensitive_content_leaves_no_trace(office: Office) -> None:
    secret = item(content="hunter22\n", sensitive=True)
    run = office.run(secret)
    office.home().write_text("old secret\n")
    run = office.run(item(content="hunter33\n", sensitive=True))
    assert run.files[0]["state"] == "conflict"
    shown = json.dumps([run.diff, run.files])
    assert "hunter" not in shown
    assert "old secret" not in shown
    assert run.diff[0]["before"] != run.diff[0]["after"]
    traces = b"".join(p.read_bytes() for p in office.state.parent.rglob("*") if p.is_file())
    for word in ("hunter22\n", "hunter33\n", "old secret\n"):
        assert word.strip().encode() not in traces
        assert store.digest(word.encode()).encode() not in traces
    assert office.one(item(content="hunter33\n", sensitive=True)) == ("unchanged", False)
    assert office.one(item(content="hunter44\n", sensitive=True)) == ("pending", True)
    office.home().write_text("x\n")
    assert office.one(item(content="hunter44\n", sensitive=True)) == ("drift", True)


def test_secrets_are_hidden_on_both_sides_of_the_diff(office: Office) -> None:
    office.run(item(content="word new\n"))
    office.home().write_text('word old &"pw1\n')
    run = office.run(item(content="word aHVudGVyMjI= ab%20cd hunter22\n"), secrets=["hunter22", "ab cd", '&"pw1'], check=True)
    assert run.diff == [
        {
            "before": "word old ••••\n",
            "after": "word •••• •••• ••••\n",
            "before_header": "/home/jane/.rc",
            "after_header": "/home/jane/.rc",
        }
    ]


def test_backups_are_bounded_private_and_rotate(office: Office) -> None:
    office.run(item())
    for number in range(5):
        office.home().write_text(f"{number}\n")
        office.run(item())
    assert office.kept() == ["4\n", "3\n", "2\n"]
    assert stat.S_IMODE(office.backups.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in office.backups.iterdir()} == {0o600}
    office.home().write_text("4\n")
    office.run(item())
    assert office.kept() == ["4\n", "3\n", "2\n"], "the same content is not kept twice"
    office.home().write_text("5\n")
    office.run(item(), backups=1)
    assert office.kept() == ["5\n"]
    office.home().write_text("6\n")
    office.run(item(), backups=0)
    assert office.kept() == ["5\n"]


def test_a_backup_that_fails_stops_the_unit(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.run(item())
    office.home().write_text("theirs\n")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backups.Attic, "keep_newest", full)
    assert office.run(item()).files[0]["state"] == "failed"
    assert office.home().read_text() == "theirs\n"


# --- other things


@pytest.mark.parametrize(
    ("platform", "home", "shown", "state"),
    [
        ("macos", "Users/jane", "/Users/jane", "Library/Application Support/charter-mail"),
        ("windows", "C/Users/jane", "C:/Users/jane", "C/ProgramData/charter-mail"),
    ],
)
def test_other_platforms_below_a_prefix(office: Office, platform: str, home: str, shown: str, state: str) -> None:
    assert office.both(item(), platform=platform) == [(f"{shown}/.rc", "created", True)]
    assert (office.root / home / ".rc").is_file()
    assert (office.root / state / "state.json").is_file()


def test_the_parcel_comes_back_and_is_stable() -> None:
    data = {"files": [{"content": "ü\r\n\u2028"}]}
    assert payload.unpack(payload.pack(data)) == data
    assert payload.pack(data) == payload.pack(data)
    with pytest.raises(ValueError, match="parcel"):
        payload.unpack("aGVsbG8=")
