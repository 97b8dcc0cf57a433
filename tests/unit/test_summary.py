"""The end of a run in words."""

from __future__ import annotations

from typing import Any

from ansible_collections.msp.charter_mail.plugins.plugin_utils.summary import Summary


def looked(verdict: str, choice: str = "") -> dict[str, Any]:
    endpoint = {"service": "smtp", "needed": True}
    return {"endpoints": [{"endpoint": endpoint, "verdict": verdict, "advice": f"It is {verdict}."}], "smtp_choice": choice}


def test_what_is_said_of_the_servers_is_from_the_last_look() -> None:
    summary = Summary()
    summary.office("example", {"desk-01": {"platform": "linux", "people": ["jane@example.org"]}})
    summary.probe("desk-01", looked("blocked", "port 465 is used."))
    summary.probe("desk-02", looked("refused"))
    summary.firewall("desk-01", {"changed": True, "message": "Opened TCP 587."})
    summary.probe("desk-01", looked("ok"))
    lines = "\n".join(summary.lines())
    assert "desk-01: firewall: Opened TCP 587." in lines and "desk-02: cannot send: It is refused." in lines
    assert "blocked" not in lines and "465" not in lines
