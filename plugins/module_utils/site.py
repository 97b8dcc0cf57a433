# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The configuration with which nginx serves an office's profiles, as text.

Runs on machines: Python 3.8, standard library only. Pure, no I/O.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List

# What nginx says when a name is served twice; then one of the two sites is silently ignored.
_TWICE = 'conflicting server name "%s"'
# The line with the secret.
_SECRET = re.compile(r"^ *secure_link_md5 .*$", re.MULTILINE)

# Logs are off: a link is as good as a key, and nginx would write it down, in the error log too when a file is missing.
# A folder has its own name in its files' names, so the pattern lets nothing else be asked for. Variables are of this project's name, for
# they share one room with those of other sites. The header of the file type is set for this location alone.
# Sources: nginx.org/en/docs/http/ngx_http_secure_link_module.html, ngx_http_core_module.html, ngx_http_ssl_module.html
_TEMPLATE = """\
# Managed by charter-mail: changes are put back by the next run.
server {
    %(listen)s
    server_name %(host)s;
    server_tokens off;

    ssl_certificate "%(certificate)s";
    ssl_certificate_key "%(key)s";
    ssl_protocols TLSv1.2 TLSv1.3;

    access_log off;
    error_log /dev/null crit;

    root "%(root)s";
    autoindex off;

    if ($request_method !~ ^(GET|HEAD)$) {
        return 405;
    }
    location / {
        return 404;
    }
    location ~ "^%(prefix)s/(?<charter_mail_until>[0-9]{1,12})-(?<charter_mail_md5>[A-Za-z0-9_-]{22})/\
(?<charter_mail_folder>[^/]+)/(?<charter_mail_file>(?P=charter_mail_folder)-(ios|macos)[.]mobileconfig)$" {
        secure_link $charter_mail_md5,$charter_mail_until;
        secure_link_md5 "$secure_link_expires $charter_mail_folder %(secret)s";
        if ($secure_link = "") {
            return 404;
        }
        if ($secure_link = "0") {
            return 410;
        }
        types { }
        default_type application/x-apple-aspen-config;
        add_header Content-Disposition 'attachment; filename="$charter_mail_file"';
        add_header Cache-Control no-store always;
        add_header X-Content-Type-Options nosniff always;
        add_header Referrer-Policy no-referrer always;
        try_files /$charter_mail_folder/$charter_mail_file =404;
    }
}
"""


def render(site: Dict[str, Any], root: str, ipv6: bool) -> str:
    """The file for conf.d. site: host, port, prefix, certificate, key, secret, all of them checked. root: where the folders are."""
    listen = ["listen %d ssl;" % site["port"]] + (["listen [::]:%d ssl;" % site["port"]] if ipv6 else [])
    values = dict(site, root=root, listen="\n    ".join(listen), prefix=site["prefix"].replace(".", "[.]"))
    return _TEMPLATE % values


def shown(text: str) -> str:
    """The file without its secret, for a difference."""
    return _SECRET.sub("        secure_link_md5 (not shown);", text)


def names(text: str) -> List[str]:
    """The names that a file of ours serves."""
    return re.findall(r"^ *server_name ([^; ]+);", text, re.MULTILINE)


def is_twice(said: str, host: str) -> bool:
    """Whether nginx found, when it read its configuration, that another site has this name too."""
    return _TWICE % host in said


def reason(said: str, secret: str) -> str:
    """Why nginx refuses its configuration, as one line without the secret."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    line = next((line for line in lines if "[emerg]" in line), lines[0] if lines else "no reason given")
    # The same is said once with a time and a process and once with nginx's name.
    line = re.sub(r"^(.*\[emerg\] (\d+#\d+: )?|nginx: )", "", line)
    return line.replace(secret, "(secret)") if secret else line
