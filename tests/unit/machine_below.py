"""A machine below a directory, with one person, for tests of what happens to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.msp.charter_mail.plugins.module_utils.files import machine

JANE = "home/jane"


def item(dest: str = ".rc", content: str = "one\n", **more: Any) -> dict[str, Any]:
    """One file as the controller sends it; an absolute dest is a file of the machine."""
    login = None if dest.startswith("/") else more.get("login", "jane")
    return {
        "dest": dest if login is None else f"~{login}/{dest}",
        "path": dest,
        "login": login,
        "program": "msmtp",
        "people": ["jane@example.org"],
        "mode": "0600",
        "dir_mode": "0700",
        "strategy": "replace",
        "sensitive": False,
        "running": [],
        "content": content,
        **more,
    }


class Office:
    """A machine below a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "var/lib/charter-mail/state.json"
        self.backups = root / JANE / ".local/state/charter-mail/backups"

    def run(self, *files: dict[str, Any], **more: Any) -> machine.Machine:
        options = {
            "programs": ["msmtp", "mbsync", "neomutt", "aerc", "thunderbird"],
            "root": str(self.root),
            "platform": "linux",
            "take_over": False,
            "backups": 3,
            "check": False,
            "diff": True,
            "secrets": [],
            **more,
        }
        run = machine.Machine(machine.Options(**options))
        run.apply(list(files))
        return run

    def both(self, *files: dict[str, Any], **more: Any) -> list[tuple[str, str, bool]]:
        """Run as a check and for real, which must say the same. Returns (dest, state, changed) of each file."""
        before = self.tree()
        check = self.run(*files, check=True, **more)
        assert self.tree() == before, "a check wrote something"
        real = self.run(*files, **more)
        assert check.files == real.files
        assert check.diff == real.diff
        return [(f["dest"], f["state"], f["changed"]) for f in real.files]

    def one(self, file: dict[str, Any], **more: Any) -> tuple[str, bool]:
        ((_, state, changed),) = self.both(file, **more)
        return state, changed

    def home(self, name: str = ".rc") -> Path:
        return self.root / JANE / name

    def tree(self) -> dict[str, tuple[int, bytes]]:
        return {
            str(path.relative_to(self.root)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
            for path in self.root.rglob("*")
            if path.is_symlink() or path.exists()
        }

    def kept(self, name: str = ".rc") -> list[str]:
        return [path.read_text() for path in sorted(self.backups.glob(name + ".[0-9]"))]

    def originals(self, name: str = ".rc") -> list[str]:
        return [path.read_text() for path in sorted(self.backups.glob(name + ".*.original"))]
