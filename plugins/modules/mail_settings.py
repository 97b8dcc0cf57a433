#!/usr/bin/python
# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What people's mail programs have stored. Changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_settings
short_description: Read which servers people's mail programs use
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Reads the programs' own files (Thunderbird's C(prefs.js) of every profile, C(~/.msmtprc) or C(~/.config/msmtp/config),
    C(~/.config/isyncrc) and C(~/.mbsyncrc), C(~/.config/aerc/accounts.conf)) and returns the accounts in them in one shape, with the
    defaults that a program does not store filled in. Thunderbird's profiles are those that C(profiles.ini) names, wherever
    they are. One round trip for all people of a machine. Changes nothing.
  - Files below a home are read with the rights of the person, never as root. A link that leads out of the home is refused.
  - Returns hosts, ports, transport security, addresses and user names. No password and nothing else of a file is returned.
  - What could not be read is in RV(problems) and never an error of the task.
options:
  logins:
    description: Whose programs to look at.
    type: list
    elements: str
    required: true
  programs:
    description: Which programs to look at.
    type: list
    elements: str
    choices: [thunderbird, msmtp, mbsync, aerc]
    default: [thunderbird, msmtp, mbsync, aerc]
  root:
    description: A directory that stands for the machine, like C(DESTDIR). Nobody is looked up then; homes are where they
      usually are on the platform.
    type: str
    default: ""
  platform:
    description: Decides where homes and profiles are. msmtp and mbsync are not looked for on V(windows).
    type: str
    choices: [linux, macos, windows]
    default: linux
attributes:
  check_mode:
    description: Does the same.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
notes:
  - Of Thunderbird's accounts those that it lists and that fetch mail by IMAP or POP are returned. The profiles of the snap and
    of the flatpak are looked at as well.
  - Thunderbird writes C(prefs.js) while it runs and when it ends; what was changed a moment ago may not be in it yet.
"""

EXAMPLES = r"""
- name: Read what is stored
  msp.charter_mail.mail_settings:
    logins: "{{ mail_people | map(attribute='login') }}"
    platform: "{{ mail_platform }}"
  register: mail_stored
"""

RETURN = r"""
accounts:
  description:
    - What was found, in the order of logins, programs and files.
    - A further identity of a Thunderbird account is an entry of its own, without RV(accounts[].incoming).
  returned: always
  type: list
  elements: dict
  contains:
    login:
      description: Whose program it is.
      type: str
      sample: jane
    program:
      description: V(thunderbird), V(msmtp), V(mbsync) or V(aerc).
      type: str
      sample: thunderbird
    file:
      description: The file as the machine knows it, without the prefix O(root).
      type: str
      sample: /home/jane/.thunderbird/x1y2z3.default-release/prefs.js
    used:
      description: >-
        Whether the program opens this file by itself, as far as can be told. Not so in a profile that is no install's default, and in those
        of a Thunderbird, a snap or a flatpak that is not there any more.
      type: bool
      sample: true
    managed:
      description: Whether the account has the mark of those that this collection makes. Programs but Thunderbird keep none.
      type: bool
      sample: false
    email:
      description: Address that mail is sent from. Empty where the program stores no plain address.
      type: str
      sample: jane@example.org
    incoming:
      description: >-
        Where mail is fetched, or none: C(protocol) (V(imap) or V(pop)), C(host), C(port), C(security) (V(tls) from the first byte,
        V(starttls) or V(none)) and C(username). Always none for msmtp.
      type: dict
      sample: {protocol: imap, host: imap.example.net, port: 993, security: tls, username: jane@example.org}
    outgoing:
      description: >-
        Where mail is handed in, or none: the same keys, C(protocol) is V(smtp). C(username) is empty when the program does not log
        in. Always none for mbsync.
      type: dict
      sample: {protocol: smtp, host: smtp.example.net, port: 587, security: starttls, username: jane@example.org}
sandboxed:
  description: Programs that somebody alone has installed in a sandbox, where the machine has not.
  returned: always
  type: list
  elements: dict
  sample: [{login: jane, program: thunderbird, kind: flatpak}]
problems:
  description: What could not be read or understood. C(file) is empty when the home cannot be looked at.
  returned: always
  type: list
  elements: dict
  sample:
    - login: jane
      program: msmtp
      file: /home/jane/.msmtprc
      message: line 3 begins with a word that is no command of msmtp
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import find


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "logins": {"type": "list", "elements": "str", "required": True},
            "programs": {"type": "list", "elements": "str", "choices": list(find.PROGRAMS), "default": list(find.PROGRAMS)},
            "root": {"type": "str", "default": ""},
            "platform": {"type": "str", "choices": ["linux", "macos", "windows"], "default": "linux"},
        },
        supports_check_mode=True,
    )
    options = module.params
    found = find.look(options["logins"], options["programs"], options["root"].rstrip("/"), options["platform"])
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
