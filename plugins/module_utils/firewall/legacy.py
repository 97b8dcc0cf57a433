# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""iptables-legacy: whether its rules, which nft does not list, may stop what leaves the machine. Nothing is opened there.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import re
from typing import List, Sequence

from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.host import Host
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.place import told

# Where the kernel names the tables there are, and who lists them.
_KINDS = (("/proc/net/ip_tables_names", "iptables-legacy"), ("/proc/net/ip6_tables_names", "ip6tables-legacy"))
_CHAINS = "(?:OUTPUT|POSTROUTING)"
_GOES_ON = "(?:ACCEPT|RETURN|LOG|NFLOG|MARK|CONNMARK|TCPMSS|TOS|DSCP|CHECKSUM|MASQUERADE|SNAT)"
_MAY_STOP = "%s may stop TCP %s, and nothing is opened there: see by hand"


def notes(host: Host, shut: Sequence[int]) -> List[str]:
    """What is to be told of it. Asked only where the kernel says that it has such tables: the asking would make them."""
    found = []
    for names, tool in _KINDS:
        code, tables, _err = host.run(("cat", names), "")
        if code == 0 and tables.split() and shut:
            code, rules, _err = host.run((tool + "-save",), "")
            if code or _may_stop(rules):
                found.append(told(tool, _MAY_STOP, shut))
    return found


def _may_stop(rules: str) -> bool:
    """Anything but policies and rules that let go on what leaves the machine. What is listed of it is not read further."""
    for line in rules.splitlines():
        if re.match(":%s " % _CHAINS, line) and not re.match(":%s ACCEPT " % _CHAINS, line):
            return True
        if re.match("-A %s( |$)" % _CHAINS, line) and not re.search(" -j %s( |$)" % _GOES_ON, line):
            return True
    return False
