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
      The office's C(mail_profile_url). Its last three parts are C({token}/{address}/{file}); the name, the port and what is before are where
      the site answers.
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
import glob
import os
import pwd
import re
import shutil
from typing import Any, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.msp.charter_mail.plugins.module_utils import payload, site

CONF = "/etc/nginx/conf.d"
DATA = "/var/lib/charter-mail-profiles"
MAIN = "/etc/nginx/nginx.conf"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Refused(Exception):
    """What a person can do something about, in one sentence."""


class Server:
    """nginx on this machine, and what of it is the office's."""

    def __init__(self, module: AnsibleModule, data: Dict[str, Any]) -> None:
        self._module, self._data = module, data
        self._conf = "%s/charter-mail-%s.conf" % (CONF, data["office"])
        self._home = "%s/%s" % (DATA, data["office"])
        self._current = self._home + "/current"
        self._nginx = module.get_bin_path("nginx", opt_dirs=["/usr/sbin", "/usr/local/sbin"])
        self.changed = False
        self.diff: List[Dict[str, str]] = []

    def wants_profiles(self) -> bool:
        """Whether others are served than the ones that should be."""
        return os.path.basename(os.path.realpath(self._current)) != self._data["digest"] or not os.path.isdir(self._current)

    def serve(self) -> None:
        """Bring profiles and site up to date. Raises Refused with everything as it was."""
        data, before = self._data, _read(self._conf)
        text = site.render(data, self._current, os.path.exists("/proc/net/if_inet6"))
        self._check_certificate()
        for path in sorted(glob.glob(CONF + "/charter-mail-*.conf")):
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
        self.changed = before is not None or os.path.isdir(self._home)
        self._note("", before, False)
        if self.changed and not self._module.check_mode:
            if before is not None:
                os.unlink(self._conf)
            shutil.rmtree(self._home, ignore_errors=True)
            try:
                os.rmdir(DATA)
            except OSError:
                pass  # other offices' profiles, or none

    def _check_certificate(self) -> None:
        for option in ("certificate", "key"):
            try:
                with open(self._data[option], "rb"):
                    pass
            except OSError as error:
                raise Refused("profile_server_%s: %s: %s" % (option, self._data[option], error.strerror))

    def _note(self, text: str, before: Optional[str], fresh: bool) -> None:
        if text != (before or ""):
            header = {"before_header": self._conf, "after_header": self._conf}
            self.diff.append(dict(header, before=site.shown(before or ""), after=site.shown(text)))
        if fresh:
            old = sorted(name for _, _, names in os.walk(self._current + "/") for name in names)
            new = sorted(os.path.basename(name) for name in self._data["names"])
            header = {"before_header": self._current, "after_header": self._current}
            self.diff.append(dict(header, before="".join(n + "\n" for n in old), after="".join(n + "\n" for n in new)))

    def _unpack(self) -> None:
        """A folder with all profiles, which nginx's workers can read and nobody else."""
        group = self._group()
        os.makedirs(DATA, mode=0o755, exist_ok=True)
        os.chmod(DATA, 0o755)
        new = "%s/%s" % (self._home, self._data["digest"])
        shutil.rmtree(new, ignore_errors=True)
        for name in sorted(self._data["files"]):
            path = "%s/%s" % (new, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(base64.b64decode(self._data["files"][name]))
        os.makedirs(new, exist_ok=True)
        _restrict(self._home, 0o750, group)
        for place, _, names in os.walk(new):
            _restrict(place, 0o750, group)
            for name in names:
                _restrict(os.path.join(place, name), 0o640, group)

    def _switch(self) -> None:
        """Let the new folder take the place of the old one in one step."""
        half = self._home + "/.next"
        if os.path.lexists(half):
            os.unlink(half)
        os.symlink(self._data["digest"], half)
        os.replace(half, self._current)
        for name in os.listdir(self._home):
            if _DIGEST.fullmatch(name) and name != self._data["digest"]:
                shutil.rmtree("%s/%s" % (self._home, name))

    def _group(self) -> int:
        """The group of nginx's workers."""
        found = re.search(r"^\s*user\s+([^\s;]+)", _read(MAIN) or "", re.MULTILINE)
        for name in [found.group(1)] if found else ["www-data", "nginx"]:
            try:
                return pwd.getpwnam(name).pw_gid
            except KeyError:
                continue
        raise Refused("%s does not say as which user nginx runs; add a line like: user www-data;" % MAIN)

    def _place(self, text: str, before: Optional[str]) -> None:
        """Give the site its file, and take it back when nginx would not have it. nginx itself reads it only when it is reloaded."""
        os.makedirs(CONF, exist_ok=True)
        _write(self._conf, text)
        good = False
        try:
            self._try()
            good = True
        finally:
            if not good and before is None:
                os.unlink(self._conf)
            elif not good:
                _write(self._conf, before or "")

    def _try(self) -> None:
        code, out, said = self._module.run_command([self._nginx, "-T"])
        if code:
            raise Refused("nginx refuses its configuration and goes on as before: " + site.reason(said, self._data["secret"]))
        if site.is_twice(said, self._data["host"]):
            raise Refused("another site of this nginx has the name %s; give the profiles a name of their own" % self._data["host"])
        if "# configuration file %s:" % self._conf not in out:
            raise Refused("nginx does not read %s; %s has to have the line: include %s/*.conf; in its http part" % (self._conf, MAIN, CONF))


def _restrict(path: str, mode: int, group: int) -> None:
    os.chown(path, 0, group)
    os.chmod(path, mode)


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _write(path: str, text: str) -> None:
    """In one step, for root alone. The name of the half file is none that nginx reads."""
    half = path + ".half"
    handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(half, path)


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
