#!/usr/bin/python
# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation. The half on the controller is plugins/action/apple_profiles.py, the one on machines _apple_profiles.py beside this."""

from __future__ import annotations

DOCUMENTATION = r"""
module: apple_profiles
short_description: See which people of a Mac have installed their mail profile
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Asks a Mac, in one round trip for all its people, for the configuration profiles they have, and holds the settings that macOS shows
    against those of the profile that was handed out.
  - macOS 11 and later let nobody but the person at the Mac install a profile. So this module installs none; it can open the profile on the
    screen of the person who is logged in there.
  - Removes profiles of this project alone (their identifiers begin with C(msp.charter-mail.)), of people who left and with
    O(state=absent).
options:
  people:
    description: >-
      The people of this Mac, as P(msp.charter_mail.mac_people#filter) gives them; further keys are ignored. Everybody whom an earlier run
      knew and who is not among them has left, and loses the profile.
    type: list
    elements: dict
    required: true
    suboptions:
      login:
        description: The person's account name on the Mac.
        type: str
        required: true
      addresses:
        description: The person's mailboxes on this Mac, for messages.
        type: list
        elements: str
        required: true
      profile:
        description: Path on the controller of the profile without a signature. Not read with O(state=absent).
        type: path
        required: true
  files:
    description: >-
      What M(msp.charter_mail.mail_files) returned as C(files) when it wrote the profiles. A profile that is not in place is not opened.
    type: list
    elements: dict
    default: []
  state:
    description: V(absent) removes this project's profiles of everybody.
    type: str
    choices: [present, absent]
    default: present
  open:
    description: >-
      Whether a profile that is not installed yet, or is an old one, is opened, with the pane of System Settings where it is approved, for
      the person who is logged in at the screen. Each content of a profile is opened once; when it was installed and is gone, once more.
    type: bool
    default: false
  remove_pop:
    description: >-
      Whether a profile is removed whose accounts are not all seen to be IMAP. With a POP account Mail deletes the messages that were
      fetched, which may be nowhere else.
    type: bool
    default: false
  root:
    description: A directory that stands for the Mac, like C(DESTDIR). The commands are those below it then.
    type: str
    default: ""
requirements:
  - macOS 11 or later
  - root rights, to see the profiles of others
attributes:
  check_mode:
    description: Asks, and says what would be opened and removed.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
notes:
  - Runs C(/usr/bin/profiles), C(/usr/sbin/scutil), C(/bin/launchctl), C(/usr/bin/sudo) and C(/usr/bin/open).
  - What macOS does not show is not compared. An office's description, consent text and removal date are in no setting of an account.
"""

EXAMPLES = r"""
- name: Ask the Mac which profiles are installed
  msp.charter_mail.apple_profiles:
    people:
      - login: jane
        addresses: [jane.doe@example.org]
        profile: build/mobile/acme/mdm/jane.doe@example.org-mac.unsigned.mobileconfig
"""

RETURN = r"""
people:
  description: How far everybody is, in the order given, and who left and had a profile.
  returned: always
  type: list
  elements: dict
  contains:
    login:
      description: The person's account name on the Mac.
      type: str
      sample: jane
    addresses:
      description: The person's mailboxes.
      type: list
      elements: str
      sample: [jane.doe@example.org]
    state:
      description:
        - V(installed), a profile with the same settings is installed; V(pending user approval), none is; V(outdated), one with other
          settings is.
        - V(unknown), macOS did not answer, or does not show what would have to be compared.
        - V(removed), our profile was removed; V(absent), there is none; V(kept), it should go and was not removed.
      type: str
      sample: pending user approval
    message:
      description: One sentence, where there is something to say.
      type: str
      sample: "jane.doe@example.org: outgoing port is 587 and should be 465"
    changed:
      description: Whether something was (in check mode, would be) opened or removed.
      type: bool
      sample: false
    profile:
      description: Digest of the settings that were compared with. Empty where there were none.
      type: str
      sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""
