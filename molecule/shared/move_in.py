"""Makes the logins of a machine's people and gives each the passwords of its mailboxes. Reads the mailboxes as JSON."""

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

for box in json.load(sys.stdin):
    login = box["login"]
    if login not in [entry.pw_name for entry in pwd.getpwall()]:
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", login], check=True)
    person = pwd.getpwnam(login)
    folder = Path(person.pw_dir, ".mail-passwords")
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / box["address"]
    file.write_text(box["password"], encoding="utf-8")
    file.chmod(0o600)
    for path in (folder, file):
        os.chown(path, person.pw_uid, person.pw_gid)
