# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The site with which nginx serves an office's profiles: names, links and configuration, as text.

Used on both sides. Python 3.8, standard library only. Pure, no I/O.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from typing import Any, Dict, List
from urllib.parse import quote

from ansible_collections.msp.charter_mail.plugins.module_utils.nginx.configuration import in_listen

# What nginx says when a name is served twice; then one of the two sites is silently ignored.
_TWICE = 'conflicting server name "%s"'
# The line with the secret.
_SECRET = re.compile(r"^ *secure_link_md5 .*$", re.MULTILINE)

# Logs are off: a link is as good as a key, and nginx would write it down, in the error log too when a file is missing.
# There is nothing but profiles below the root, and a link is good for one folder. Variables are of this project's name, for they share one
# room with those of other sites. The header of the file type is set for this location alone.
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
(?<charter_mail_folder>[^/]+)/(?<charter_mail_file>[^/]+-(iphone|mac)[.]mobileconfig)$" {
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


def is_plain(name: str) -> bool:
    """Whether this is the name of one file or folder, and of none above."""
    return name not in ("", ".", "..") and not re.search(r"[/\\\x00-\x1f\x7f]", name)


def is_profile(name: str) -> bool:
    """Whether this is the name of a profile below an office's folder: one folder and one file."""
    folder, _unused, file = name.partition("/")
    return is_plain(folder) and is_plain(file)


def digest(profiles: Dict[str, bytes]) -> str:
    """What tells one set of profiles, by folder and name, from any other; the name of the folder that they are in on the server."""
    content = {name: base64.b64encode(profiles[name]).decode() for name in profiles}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def token(seconds: int, folder: str, secret: str) -> str:
    """The part of a link that nobody can guess. seconds: when it ends, since 1970. folder: whose it is, as links have it.

    "<seconds>-<digest>", where the digest is of "<seconds> <folder> <secret>", as nginx's ngx_http_secure_link_module computes it (source:
    nginx.org/en/docs/http/ngx_http_secure_link_module.html). MD5, the one thing that module knows, does here: who forges a link has to find
    the digest of a text that is partly unknown, and collisions, which MD5 is weak against, do not help with that; the secret is the end of
    the text, so that no known digest can be carried on; and it has at least 32 characters, so that it cannot be found by trying.
    """
    # Python 3.8 does not know the argument, without which a Python under FIPS refuses.
    known: Dict[str, Any] = {"usedforsecurity": False} if sys.version_info >= (3, 9) else {}
    made = hashlib.md5(("%d %s %s" % (seconds, folder, secret)).encode(), **known)
    return "%d-%s" % (seconds, base64.urlsafe_b64encode(made.digest()).rstrip(b"=").decode())


def quoted(name: str) -> str:
    """A name as a part of a link."""
    return quote(name, safe="")


def render(site: Dict[str, Any], root: str, addresses: List[str]) -> str:
    """The file for conf.d. site: host, port, prefix, certificate, key, secret, all of them checked. root: where the folders are.

    addresses: where nginx takes connections.
    """
    listen = ["listen %s ssl;" % in_listen(address, site["port"]) for address in addresses]
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
