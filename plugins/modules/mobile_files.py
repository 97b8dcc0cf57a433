#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name; nothing of it runs on a machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mobile_files
short_description: Write what an office's people need for their phones and computers
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - >-
    Runs on the controller only, once for the whole office, whatever C(--limit) says. Everybody gets a folder with a page that says how the
    mail gets onto phones and computers, a configuration profile for iPhone and iPad and one for a Mac, and a settings file and QR codes for
    Thunderbird for Android, as the person has such a device. No file holds a password.
  - All problems of the people, the settings, the certificate and the folder are reported at once, before anything is written.
  - A file is replaced in one step, and only when its content is another one. A profile is signed anew only when it or its signer changes.
  - Files of people who left are removed when this module wrote them and nobody has changed them since. A file that is in the way of one and
    was never written by this module is a problem.
  - >-
    A person's folder is named by the address that was the first when it was made, and is remembered: neither the order of the rows nor
    further mailboxes change it, or what devices know a profile by, while the person has that address.
  - >-
    What a page says of a person's computers is what roles of the same run have left there, or else what the last run has, as it is
    remembered in C(office.json) of the callback P(msp.charter_mail.office#callback), for mailboxes that are the same still.
  - Is meant to run once per play (C(run_once)). Supports check mode and diff.
requirements:
  - cryptography >= 43
  - segno
  - weasyprint, for PDFs
options:
  dest:
    description: Folder to write to, a folder in it per person. C({office}) in it stands for the name of the office's folder.
    type: path
    required: true
  providers:
    description: The shipped facts about providers. The rest comes from the variables of the machines, and of the group all.
    type: list
    elements: dict
    required: true
  profile_url:
    description: >-
      Where iPhones fetch the profile, an https address. C({address}) in it stands for the name of the person's folder, C({file}) for that
      of the profile, C({token}) for what makes the link one that cannot be guessed and that ends. Empty when the office serves none; then
      the page says how to send the file.
    type: str
    default: ""
  link_secret:
    description: >-
      What the tokens are made with, at least 32 characters, letters a to z, digits and C(+/=._~-). It is in no file and no message.
    type: str
    default: ""
  link_until:
    description: >-
      Last day on which links with a token work, as in 2027-06-30 (UTC). A warning is given when they have ended and 30 days before.
    type: str
    default: ""
  description:
    description: What a profile says about itself. Empty for a sentence with the addresses.
    type: str
    default: ""
  consent:
    description: Text that a person has to agree to before a profile is installed. Empty for none.
    type: str
    default: ""
  removal_date:
    description: Day on which devices remove the profile and its accounts by themselves, as in 2027-06-30 (UTC). Empty for never.
    type: str
    default: ""
  signer:
    description: >-
      With what the profiles are signed; empty for profiles that are not. Certificates and keys are PEM text, or PEM files (which may be in
      a vault) below the office's folder. A warning is given 30 days before the first of the certificates expires.
    type: dict
    default: {}
    suboptions:
      certificate:
        description: The certificate, with the certificates of its issuers but for the root.
        type: str
        default: ""
      key:
        description: Its key, RSA or EC.
        type: str
        default: ""
      chain:
        description: Certificates of the issuers, when they are not with the certificate.
        type: str
        default: ""
      password:
        description: Password of the key. Empty for a key that is not encrypted.
        type: str
        default: ""
  contact:
    description: Who helps. The page needs a phone number or an address.
    type: dict
    default: {}
    suboptions:
      name: {description: Name of a person or desk., type: str, default: ""}
      phone: {description: Phone number., type: str, default: ""}
      email: {description: Address., type: str, default: ""}
      hours: {description: When somebody is there., type: str, default: ""}
  two_factor:
    description: >-
      How mailboxes are signed in to, C(none) with their password, C(app_password) with a password for one app because a second factor is
      on.
    type: str
    default: none
  logo:
    description: Picture for the head of the pages, a PNG, JPEG, GIF, WebP or SVG file below the office's folder. Empty for none.
    type: str
    default: ""
  accent:
    description: "Colour of the pages, as in C(#1f4e79). Empty for that one."
    type: str
    default: ""
  language:
    description: Language of the pages, V(en) or V(es); a file of C(plugins/plugin_utils/handout/texts).
    type: str
    default: en
  paper:
    description: >-
      For what paper PDFs of the pages are made; C(none) for no PDFs. They need WeasyPrint; without it they are left out, and the run says
      so.
    type: str
    choices: [letter, a4, none]
    default: letter
"""

EXAMPLES = r"""
- name: Write what people get for their phones and computers
  msp.charter_mail.mobile_files:
    dest: build/mobile/{office}
    providers: "{{ __mail_providers }}"
    contact: {name: IT desk, phone: +1 555 0100}
    signer:
      certificate: signing/fullchain.pem
      key: "{{ vault_signing_key }}"
  run_once: true
"""

RETURN = r"""
office:
  description: Name of the office's folder.
  type: str
  returned: success
dest:
  description: The folder that was written to.
  type: str
  returned: success
signed:
  description: Whether the profiles are signed. Then those without a signature are in the folder mdm.
  type: bool
  returned: success
people:
  description: >-
    Everybody, and who left, each with address (which names the folder), full_name, login, folder, devices (of ios, android, macos) and
    state (created, updated, unchanged, removed).
  type: list
  elements: dict
  returned: success
"""
