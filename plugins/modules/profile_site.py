#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation. The half on the controller is plugins/action/profile_site.py, the one on machines _profile_site.py beside this."""

from __future__ import annotations

DOCUMENTATION = r"""
module: profile_site
short_description: Serve an office's configuration profiles with nginx
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Puts the profiles of everybody with an iPhone or a Mac on a server, and a site for nginx that hands a profile to who has its link.
  - All profiles go in one transfer, and only when one of them is another one. They are in a folder of their own that is complete before it
    takes the place of the one before; profiles of people who left are gone then.
  - Looks first which sockets are bound, by whom, and where other sites of this nginx listen. It listens where requests for its name arrive
    beside them, and stops before anything is written where it cannot.
  - Writing, C(nginx -T), reloading (or starting) and the proof are one step. The proof is that every address of this machine on which nginx
    takes connections for the port gives one profile, byte by byte, by a link with the site's name and with the office's certificate. With
    anything else site and profiles are put back as they were, nginx is reloaded again, and the task fails with the reason.
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
    description: >-
      Name of the office, as M(msp.charter_mail.mobile_files) returned it; any text but C(.), C(..) and an empty one. Other offices may
      be on the same server.
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
  - Linux, systemd
  - nginx, with ngx_http_secure_link_module as Debian has it
  - root rights
attributes:
  check_mode:
    description: Looks, compares and writes nothing. What is served is tried when nothing would change.
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
addresses:
  description: The addresses of the machine that were seen to serve them; none in a check that would change something.
  returned: with O(state=present)
  type: list
  elements: str
  sample: [127.0.0.1, 192.0.2.7, "::1"]
"""
