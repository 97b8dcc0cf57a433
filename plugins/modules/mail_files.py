#!/usr/bin/python
# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation. The half on the controller is plugins/action/mail_files.py, the one on machines _mail_files.py beside this."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_files
short_description: Write the settings files of all people of a machine in one round trip
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Renders a table of templates for every person of a machine on the controller and brings all files to the machine in
    one module run, whatever the number of people and files.
  - Remembers on the machine what was wanted and what was written (hashes, no content), so that a later run can tell
    what we changed from what someone else changed, and removes what is no longer declared.
  - Files below a home are read and written with the rights of the person, never as root. A link that leads out of
    the home is refused.
  - The files of one person and one program are written all or not at all; what was already replaced is put back on
    an error.
options:
  people:
    description:
      - The people of this machine with their resolved accounts.
      - An empty list is legal and removes everything. Not defined is an error, because it would mean the same by
        accident.
    type: list
    elements: dict
    required: true
  root:
    description: A directory that stands for the machine, like C(DESTDIR). Nothing is given to another owner then,
      and nobody is looked up.
    type: str
    default: ""
  platform:
    description: Decides where homes and state are.
    type: str
    choices: [linux, macos, windows]
    default: linux
  take_over:
    description: >-
      Replace files, and sections of files with strategy V(keys), that were there before this collection and differ. What was there is kept,
      and comes back when ours is removed.
    type: bool
    default: false
  backups:
    description:
      - How many copies are kept of each file that somebody changed, before it is put back or removed. V(0) keeps none.
      - What was there before this collection is kept in any case, and never pushed out by newer copies.
      - Copies of a file below a home are in C(~/.local/state/charter-mail/backups), made with the person's rights and readable for that
        person alone; those of other files are in C(/var/lib/charter-mail/backups), for root alone.
    type: int
    default: 3
  remember:
    description: What M(msp.charter_mail.mail_facts) gives a later run as C(remembered), by name. Other names stay.
    type: dict
    default: {}
  secrets:
    description: Texts that must not show in diffs and messages.
    type: list
    elements: str
    default: []
  files:
    description:
      - The table. Written in this order, removed in the reverse order.
      - Files that an earlier run wrote for a program of the table, and that this run does not declare, are removed.
    type: list
    elements: dict
    required: true
    suboptions:
      program:
        description: Only accounts with this program count for the row.
        type: str
        required: true
      scope:
        description: One file for each person, one for each mailbox of a person, one for the machine, or one for each domain.
        type: str
        choices: [person, account, machine, domain]
        default: person
      dest:
        description:
          - Relative to the person's home for scopes V(person) and V(account), an absolute path otherwise.
          - V({key}), the account's, is filled in for scope V(account), V({domain}) for scope V(domain), and V({file}), the name of the
            file, for O(files[].src).
        type: str
        required: true
      template:
        description: >-
          Name of the template. It sees C(person), C(accounts) and C(account) (the first) for scope V(person), the same with the one account
          for scope V(account); C(people) for scope V(machine); C(domain), C(accounts) and C(account) for scope V(domain); besides all
          variables of the task, C(mail_managed_header) and C(platform). Values are never rendered again. Needed where there is no
          O(files[].src).
        type: str
      src:
        description: >-
          For a file that is handed over as it is, byte by byte, instead of a template: the key of O(people) under which each person has the
          path of a file on the controller. For scope V(person). In check mode, a file that is not there counts as an empty one.
        type: str
      mode:
        description: Mode of the file, in quotes. With strategy V(keys) only of a file that is new.
        type: str
        default: "0600"
      dir_mode:
        description: Mode of directories that have to be made. They are removed again, when empty, with the file they
          were made for. V(0700) below a home and V(0755) elsewhere by default.
        type: str
      strategy:
        description:
          - V(replace) owns the whole file.
          - V(keys) enforces the keys that the template renders, in sections of ours, and keeps every other line. Keys and sections that
            an earlier run wrote and this one does not want go. A section of the same name that was there before is the person's and is
            left alone.
          - V(once) writes the file when there is none; afterwards it is the user's.
        type: str
        choices: [replace, keys, once]
        default: replace
      when_empty:
        description: For scope V(machine), what happens when nobody with the program is left. V(keep) renders a file
          that was written before once more, with no people.
        type: str
        choices: [remove, keep]
        default: remove
      whole:
        description:
          - For strategy V(keys), what goes with our keys, whatever the program has put into it besides. A copy is kept.
          - V(file) is for one that is there for an account alone and has a name that nobody else gives, as one with V({key}) in it.
          - V(sections) is for sections whose names nobody else gives.
        type: str
        choices: ["", file, sections]
        default: ""
      sensitive:
        description: The content is a secret. It shows in no diff, and no plain hash and no backup of it is kept.
        type: bool
        default: false
      running:
        description: Names of processes. The file is not touched while the person runs one of them.
        type: list
        elements: str
        default: []
      aside:
        description: >-
          The accounts work without this file. What becomes of it is said with its path, and is no part of what is said of people.
        type: bool
        default: false
      shadowed_by:
        description:
          - Other files of the home that the program reads instead of this one when they are there, the first one first. Then this one
            is not written, and the outcome is V(foreign), unless the other one has the text O(files[].mention).
          - For scopes V(person) and V(account).
        type: list
        elements: str
        default: []
      shadows:
        description:
          - Other files of the home that the program does not read any more once this one is there. Where one of them is there first, this
            one is not written, and the outcome is V(foreign), unless O(take_over) is set.
          - For scopes V(person) and V(account).
        type: list
        elements: str
        default: []
      mention:
        description: >-
          A text by which a file of the person's own shows that it takes our settings up, for O(files[].shadowed_by) and for strategy
          V(once).
        type: str
        default: ""
      hint:
        description: The line that a person can put into such a file.
        type: str
        default: ""
      vars:
        description: More variables for the template.
        type: dict
        default: {}
  evidence:
    description:
      - Programs whose own settings are read after writing, with the person's rights. What they have stored of an account is held against
        what it should be.
      - Another account of the person's for the same mailbox, with other servers, gives an outcome V(own_account).
    type: list
    elements: dict
    default: []
    suboptions:
      program:
        description: Name of the program.
        type: str
        choices: [thunderbird, msmtp, mbsync, aerc]
        required: true
      takes_up:
        description: Whether the program makes the account itself when it starts. Then it is told whether it has.
        type: bool
        default: false
      adopts:
        description: Whether it then takes over an account of the person's for the same mailbox. Then such an account is no outcome.
        type: bool
        default: false
      receive:
        description: What a person does about an own account that fetches mail in another way, with C({port}) and C({security}) in it.
        type: str
        default: ""
      send:
        description: The same for sending.
        type: str
        default: ""
  installs:
    description: >-
      The C(programs) that M(msp.charter_mail.mail_facts) returned. A program of O(files) that somebody is to have and that is not there
      gives an outcome V(not_installed) or V(out_of_reach).
    type: dict
    default: {}
attributes:
  check_mode:
    description: Says what would be done and writes nothing.
    support: full
  diff_mode:
    description: One entry for each file that changes.
    support: full
notes:
  - A person's home that does not answer is given up after half a minute; the work for others goes on meanwhile.
  - Differences of files below a home show our own settings, with passwords masked. Other lines are counted and not shown.
  - A run that was killed at any moment is finished by the next one. What was meant to be written is remembered before the first file is.
  - The state is in C(/var/lib/charter-mail) (macOS C(/Library/Application Support/charter-mail), Windows
    C(C:/ProgramData/charter-mail)). A run without root rights writes only the own home and keeps its state in
    C(~/.local/state/charter-mail).
  - The task fails, after everything else was done, when a file was refused or failed.
  - A new file gets the SELinux context its directory hands down; a replaced file keeps its context, ACL and extended
    attributes.
"""

EXAMPLES = r"""
- name: Write the people's terminal mail settings
  msp.charter_mail.mail_files:
    people: "{{ mail_people }}"
    files:
      - program: msmtp
        dest: .msmtprc
        template: msmtprc.j2
      - program: aerc
        dest: .config/aerc/accounts.conf
        template: aerc-accounts.conf.j2
        running: [aerc]

- name: Register the profile in a file that Thunderbird writes as well, and see whether Thunderbird took it up
  msp.charter_mail.mail_files:
    people: "{{ mail_people }}"
    files:
      - program: thunderbird
        dest: .thunderbird/profiles.ini
        template: profiles.ini.j2
        strategy: keys
        running: [thunderbird]
    evidence:
      - program: thunderbird
        takes_up: true
"""

RETURN = r"""
files:
  description: What happened to each file, in the order it happened.
  returned: always
  type: list
  elements: dict
  contains:
    dest:
      description: The path as the machine knows it, without the prefix O(root).
      type: str
      sample: /home/jane/.msmtprc
    program:
      description: The program the file belongs to.
      type: str
      sample: msmtp
    people:
      description: Addresses the file is for.
      type: list
      elements: str
      sample: [jane.doe@example.org]
    state:
      description:
        - V(created), V(unchanged), V(removed) say what they mean.
        - V(pending), we changed what is wanted; V(drift), someone else changed the file and it was put back;
          V(conflict), both, and their file is in the backups (or, for strategy V(keys), the file cannot be
          understood and was not touched); V(missing), it was deleted and written again.
        - V(blocked), the program is running; V(foreign), a file or section was there before and differs, or ours and a file of the
          person's would keep each other from being read; V(waiting), the home is not there, and the file is removed when it is back. None
          of these was written or removed.
        - V(no_login), the machine does not know the person's login; said once for each program where all its files are the machine's.
        - V(not_installed), V(out_of_reach), the program is not there, or in a sandbox; V(own_account), the person has another account for
          the mailbox, which stays as it is.
        - V(refused), the path is not safe or the home is not there; V(failed), anything else. From V(no_login) on they fail the task.
      type: str
      sample: created
    each:
      description: >-
        By address, where the state is V(pending) and the people of a file that they share fare differently, V(created), V(pending),
        V(removed) or V(unchanged).
      type: dict
      sample: {jane.doe@example.org: removed, joe@example.org: unchanged}
    changed:
      description: Whether the file was (in check mode, would be) changed.
      type: bool
      sample: true
    message:
      description: One sentence, where there is something to say.
      type: str
      sample: aerc is running; close it and run again
evidence:
  description: Whether each program that makes accounts itself took each account up.
  returned: always
  type: list
  elements: dict
  sample: [{address: jane.doe@example.org, program: thunderbird, verified: true}]
"""
