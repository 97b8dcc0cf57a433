"""What Macs get and say, over SSH and with real users and sudo. The commands of macOS are doubles (tests/doubles/macos)."""

from __future__ import annotations

from pathlib import Path

import fleet

STATE = fleet.SSH_CONFIG.parent
JANE, SMITH = ("jane", "jane@example.org"), ("smith", "ampersand@example.org")


def name(address: str) -> str:
    return f"{address.partition('@')[0]}-mac.mobileconfig"


def told(address: str, words: str) -> bool:
    """Whether the person's page says so."""
    return words in (STATE / f"out/{address}/index.html").read_text(encoding="utf-8")


SENT, PENDING, INSTALLED = "You are sent the file", "is in your home folder", "installed on your Mac already"


def at_the_mac(command: str) -> str:
    return fleet.machine("desk-13").check_output(f"sudo {command}")


def test_the_file_is_the_person_s_own() -> None:
    for login, address in (JANE, SMITH):
        file = fleet.machine("desk-13").file(f"/home/{login}/{name(address)}")
        with fleet.machine("desk-13").sudo():
            assert (file.user, file.exists) == (login, True)
            assert file.content == Path(STATE, f"out/{address}/{name(address)}").read_bytes()


def deliver(*arguments: str) -> str:
    return fleet.play("deliver_profiles", "--tags", "apple_mail", *arguments)


def test_how_far_everybody_is_and_who_waits_is_shown_the_profile() -> None:
    assert told(JANE[1], PENDING)
    at_the_mac("approve jane /home/jane/jane-mac.mobileconfig")
    uid = at_the_mac("id -u smith")
    at_the_mac(f"sit smith {uid}")
    out = deliver("-e", "apple_mail_open=true")
    for address in (JANE[1], "sales@example.org"):
        assert fleet.place("mac", address, "apple_mail") == ("installed", "unchanged")
    assert fleet.place("mac", SMITH[1], "apple_mail")[0] == "pending user approval"
    assert told(JANE[1], INSTALLED) and told(SMITH[1], PENDING)
    # By smith, in smith's session.
    assert "it was opened on the person's screen" in fleet.told(out)
    assert at_the_mac("cat /var/db/mac-double/opened").splitlines()[-2:] == [
        f"{uid} {uid} /home/smith/ampersand-mac.mobileconfig",
        f"{uid} {uid} x-apple.systempreferences:com.apple.Profiles-Settings.extension",
    ]


def test_everything_is_taken_back() -> None:
    deliver("-e", "apple_mail_state=absent", "-e", "apple_mail_remove_pop=true")
    assert fleet.place("mac", JANE[1], "apple_mail") == ("removed", "removed")
    assert at_the_mac("find /home -name '*.mobileconfig'") == ""
    assert at_the_mac("profiles show -type configuration -user jane -output stdout-xml") == ""
    assert told(JANE[1], SENT)
    # As it was, for whoever runs the tests again.
    deliver()
    assert fleet.place("mac", JANE[1], "apple_mail")[0] == "pending user approval"
