#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Target half of profile_site. The options are those of the action plugin, which reads the profiles."""

from __future__ import annotations

DOCUMENTATION = r"""
module: profile_site
short_description: Serve an office's configuration profiles with nginx
version_added: 0.1.0
author: charter-mail contributors
description:
  - Puts the profiles of everybody with an iPhone or a Mac on a server, and a site for nginx that hands a profile to who has its link.
  - All profiles go in one transfer, and only when one of them is another one. They are in a folder of their own that is complete before it
    takes the place of the one before; profiles of people who left are gone then.
  - The site is tried with C(nginx -T) before it stays. When nginx refuses it, the file is put back as it was, and nginx goes on as before.
  - Does not reload nginx; a change of the site needs that.
options:
  people:
    description: >-
      What M(msp.charter_mail.mobile_files) returned as C(people). Each has C(folder), the name of the person's folder, and C(devices).
    type: list
    elements: dict
    default: []
  source:
    description: The folder that M(msp.charter_mail.mobile_files) wrote to, on the controller.
    type: path
    default: ""
  office:
    description: Name of the office, as M(msp.charter_mail.mobile_files) returned it. Other offices may be on the same server.
    type: str
    required: true
  url:
    description: >-
      The office's C(mail_profile_url). Its last three parts are C({token}/{address}/{file}); the site answers at the name and the port in
      it, below what is before these parts.
    type: str
    default: ""
  link_secret:
    description: What the tokens are made with.
    type: str
    default: ""
  link_until:
    description: Last day on which links work, as in 2027-06-30 (UTC).
    type: str
    default: ""
  certificate:
    description: Certificate of the name with those of its issuers, a PEM file on the server.
    type: str
    default: ""
  key:
    description: Its key, a PEM file on the server.
    type: str
    default: ""
  state:
    description: V(present) serves the profiles. V(absent) removes profiles and site and leaves nginx and other sites.
    type: str
    choices: [present, absent]
    default: present
requirements:
  - nginx, with ngx_http_secure_link_module as Debian has it
  - root rights
attributes:
  check_mode:
    description: Compares and writes nothing. nginx is not asked then.
    support: full
  diff_mode:
    description: Shows the site without its secret, and names the profiles that come and go.
    support: full
notes:
  - Writes C(/etc/nginx/conf.d/charter-mail-<office>.conf), for root alone, and C(/var/lib/charter-mail-profiles/<office>).
"""

EXAMPLES = r"""
- name: Serve the profiles
  msp.charter_mail.profile_site:
    office: "{{ mobile_result.office }}"
    people: "{{ mobile_result.people }}"
    source: "{{ mobile_result.dest }}"
    url: https://profiles.example.org/{token}/{address}/{file}
    link_secret: "{{ vault_link_secret }}"
    link_until: "2027-06-30"
    certificate: /etc/letsencrypt/live/profiles.example.org/fullchain.pem
    key: /etc/letsencrypt/live/profiles.example.org/privkey.pem
"""

RETURN = r"""
files:
  description: How many profiles are served.
  returned: success
  type: int
  sample: 12
"""

import base64
import contextlib
import os
import pwd
import re
import shutil
from pathlib import Path
from typing import Any, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.msp.charter_mail.plugins.module_utils import payload, site

CONF = Path("/etc/nginx/conf.d")
MAIN = Path("/etc/nginx/nginx.conf")
DATA = Path("/var/lib/charter-mail-profiles")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Refused(Exception):
    """What a person can do something about, in one sentence."""


class Server:
    """nginx on this machine, and what of it is the office's."""

    def __init__(self, module: AnsibleModule, data: Dict[str, Any]) -> None:
        self._module, self._data = module, data
        self._conf = CONF / ("charter-mail-%s.conf" % data["office"])
        self._home = DATA / data["office"]
        # A link to the folder that is served, which has the digest of its content as its name.
        self._current = self._home / "current"
        self._nginx = module.get_bin_path("nginx", opt_dirs=["/usr/sbin", "/usr/local/sbin"])
        self.changed = False
        self.diff: List[Dict[str, str]] = []

    def wants_profiles(self) -> bool:
        """Whether others are served than the ones that should be."""
        return not self._current.is_dir() or self._current.resolve().name != self._data["digest"]

    def serve(self) -> None:
        """Bring profiles and site up to date. Raises Refused, with the same served as before."""
        data, before = self._data, _read(self._conf)
        text = site.render(data, str(self._current), Path("/proc/net/if_inet6").exists())
        self._check_certificate()
        for path in sorted(CONF.glob("charter-mail-*.conf")):
            if path != self._conf and data["host"] in site.names(_read(path) or ""):
                raise Refused("%s is served for another office already, by %s; give this office a name of its own" % (data["host"], path))
        fresh = self.wants_profiles()
        self.changed = fresh or text != before
        self._note(text, before, fresh)
        if self._module.check_mode:
            return
        if not self._nginx:
            raise Refused("nginx is not installed here")
        if fresh:
            self._unpack()
        if text != before:
            self._place(text, before)
        if fresh:
            self._switch()

    def remove(self) -> None:
        """Take profiles and site away."""
        before = _read(self._conf)
        self.changed = before is not None or self._home.is_dir()
        self._note("", before, False)
        if self.changed and not self._module.check_mode:
            if before is not None:
                self._conf.unlink()
            if self._home.is_dir():
                shutil.rmtree(str(self._home))
            # Other offices' profiles may be in it.
            with contextlib.suppress(OSError):
                DATA.rmdir()

    def _check_certificate(self) -> None:
        for option in ("certificate", "key"):
            try:
                with Path(self._data[option]).open("rb"):
                    pass
            except OSError as error:
                raise Refused("profile_server_%s: %s: %s" % (option, self._data[option], error.strerror)) from error

    def _note(self, text: str, before: Optional[str], fresh: bool) -> None:
        if text != (before or ""):
            self._differ(self._conf, site.shown(before or ""), site.shown(text))
        if fresh:
            old = sorted(path.name for path in self._current.glob("*/*"))
            new = sorted(name.rpartition("/")[2] for name in self._data["names"])
            self._differ(self._current, "".join(name + "\n" for name in old), "".join(name + "\n" for name in new))

    def _differ(self, path: Path, before: str, after: str) -> None:
        self.diff.append({"before_header": str(path), "after_header": str(path), "before": before, "after": after})

    def _unpack(self) -> None:
        """A folder with all profiles, which nginx's workers can read and nobody else."""
        group = self._group()
        DATA.mkdir(exist_ok=True)
        DATA.chmod(0o755)
        new = self._home / self._data["digest"]
        if new.exists():
            shutil.rmtree(str(new))
        new.mkdir(parents=True)
        for name in sorted(self._data["files"]):
            path = new / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(base64.b64decode(self._data["files"][name]))
        for path in [self._home, new, *new.rglob("*")]:
            os.chown(str(path), 0, group)
            path.chmod(0o750 if path.is_dir() else 0o640)

    def _switch(self) -> None:
        """Let the new folder take the place of the old one in one step."""
        half = self._home / ".next"
        with contextlib.suppress(FileNotFoundError):
            half.unlink()
        half.symlink_to(self._data["digest"])
        half.replace(self._current)
        for path in self._home.iterdir():
            if _DIGEST.fullmatch(path.name) and path.name != self._data["digest"]:
                shutil.rmtree(str(path))

    def _group(self) -> int:
        """The group of nginx's workers."""
        found = re.search(r"^\s*user\s+([^\s;]+)", _read(MAIN) or "", re.MULTILINE)
        for name in [found.group(1)] if found else ["www-data", "nginx"]:
            with contextlib.suppress(KeyError):
                return pwd.getpwnam(name).pw_gid
        raise Refused("%s does not say as which user nginx runs; add a line like: user www-data;" % MAIN)

    def _place(self, text: str, before: Optional[str]) -> None:
        """Give the site its file, and take it back when nginx would not have it. nginx itself reads it only when it is reloaded."""
        CONF.mkdir(exist_ok=True)
        good = False
        try:
            _write(self._conf, text)
            self._try()
            good = True
        finally:
            if not good and before is not None:
                _write(self._conf, before)
            elif not good and self._conf.exists():
                self._conf.unlink()

    def _try(self) -> None:
        code, out, said = self._module.run_command([self._nginx, "-T"])
        if code:
            raise Refused("nginx refuses its configuration and goes on as before: " + site.reason(said, self._data["secret"]))
        if site.is_twice(said, self._data["host"]):
            raise Refused("another site of this nginx has the name %s; give the profiles a name of their own" % self._data["host"])
        if "# configuration file %s:" % self._conf not in out:
            raise Refused("nginx does not read %s; %s has to have the line: include %s/*.conf; in its http part" % (self._conf, MAIN, CONF))


def _read(path: Path) -> Optional[str]:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _write(path: Path, text: str) -> None:
    """In one step; main() sees to it that it is for root alone. The name of the half file is none that nginx reads."""
    half = path.with_name(path.name + ".half")
    half.write_text(text, encoding="utf-8")
    half.replace(path)


def main() -> None:
    module = AnsibleModule(argument_spec={"payload": {"type": "str", "required": True, "no_log": True}}, supports_check_mode=True)
    data = payload.unpack(module.params["payload"])
    os.umask(0o077)
    if os.geteuid() != 0:
        module.fail_json(msg="root rights are needed: set ansible_become: true for the group profile_server")
    server = Server(module, data)
    try:
        if data["state"] == "absent":
            server.remove()
        elif "files" not in data and not module.check_mode and server.wants_profiles():
            module.exit_json(changed=False, send=True)
        else:
            server.serve()
    except Refused as refused:
        module.fail_json(msg=str(refused))
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename, error.strerror))
    result: Dict[str, Any] = {"changed": server.changed, "files": len(data["names"])}
    if module._diff:
        result["diff"] = server.diff
    module.exit_json(**result)


if __name__ == "__main__":
    main()
