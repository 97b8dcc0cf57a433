# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The site of an office on this machine's nginx: proved before it stays, put back when it is not good.

Runs on machines: Python 3.8, standard library only.
"""

from __future__ import annotations

import contextlib
import ipaddress
import pwd
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.msp.charter_mail.plugins.module_utils.nginx import configuration, listening, process, proof, site
from ansible_collections.msp.charter_mail.plugins.module_utils.nginx.configuration import ANY4, ANY6
from ansible_collections.msp.charter_mail.plugins.module_utils.nginx.releases import Releases

CONF = Path("/etc/nginx/conf.d")
MAIN = Path("/etc/nginx/nginx.conf")


class Refused(Exception):
    """What a person can do something about, in one sentence."""


class Server:
    """nginx on this machine, and what of it is the office's."""

    def __init__(self, module: AnsibleModule, data: Dict[str, Any]) -> None:
        self._module, self._data = module, data
        self._conf = CONF / ("charter-mail-%s.conf" % data["office"])
        # The site as it was, while another one is not proved yet; empty when there was none. nginx reads no names with a dot before them.
        self._kept = self._conf.with_name(".%s.before" % self._conf.name)
        self._releases = Releases(data["office"])
        binary = module.get_bin_path("nginx", opt_dirs=["/usr/sbin", "/usr/local/sbin"])
        self._nginx = process.Nginx(module.run_command, binary, MAIN) if binary else None
        # Where other sites listen on the port, and whether IPv4 comes through a socket of theirs for both families.
        self._others: List[configuration.Listen] = []
        self._dual = False
        # Whether what nginx -T said was the whole of it, and whether nginx was told to load something.
        self._complete = self._loaded = False
        self.changed = False
        self.addresses: List[str] = []
        self.diff: List[Dict[str, str]] = []

    def check_places(self) -> None:
        """Whether everything that will be written and removed is where it should be. Raises Refused."""
        folders = [self._data["office"], self._data.get("digest", "none")]
        wrong = [name for name in folders if not site.is_plain(name)]
        wrong += [name for name in [*self._data["names"], *self._data.get("files", {})] if not site.is_profile(name)]
        if wrong:
            raise Refused("%r is not the name of a folder or file of an office; nothing was changed" % wrong[0])
        for path in (self._conf, self._releases.home):
            if path.resolve() != path.parent.resolve() / path.name:
                raise Refused("%s is a link to another place; put a file or folder of its own there, or remove it" % path)

    def wants_profiles(self) -> bool:
        """Whether others are served than the ones that should be."""
        return self._releases.served() != self._data["digest"]

    def serve(self) -> None:
        """Bring profiles and site up to date. Raises Refused, with the same served as before."""
        data, before = self._data, self._before()
        self._check_certificate()
        for path in sorted(CONF.glob("charter-mail-*.conf")):
            if path != self._conf and data["host"] in site.names(_read(path) or ""):
                raise Refused("%s is served for another office already, by %s; give this office a name of its own" % (data["host"], path))
        text, fresh = self._plan(self._known(), before), self.wants_profiles()
        self.changed = fresh or text != before or not self._nginx or not self._nginx.master()
        trouble = "" if self.changed else self._trouble()
        # A run that ended before it reloaded, a certificate that was renewed since.
        self.changed = self.changed or bool(trouble)
        self._note(text, before, fresh)
        if self._module.check_mode:
            if trouble:
                self._module.warn("nginx has to be reloaded: " + trouble)
        elif not self._nginx:
            raise Refused("nginx is not installed here")
        elif self.changed:
            self._change(self._nginx, text, before)

    def remove(self) -> None:
        """Take profiles and site away. Raises Refused, with the same served as before."""
        before = self._before()
        self.changed = before is not None or self._releases.home.is_dir()
        self._note("", before, False)
        if not self.changed or self._module.check_mode:
            return
        if before is not None:
            with self._put_back_unless_good(before):
                self._conf.unlink()
                if self._nginx and self._nginx.master():
                    self._test(self._nginx)
                    self._load(self._nginx)
        self._releases.remove()

    def _before(self) -> Optional[str]:
        """The site as it was when it was last proved; a run that was killed may have left another one."""
        kept = _read(self._kept)
        if not self._module.check_mode:
            for half in (_half(self._conf), _half(self._kept)):
                with contextlib.suppress(FileNotFoundError):
                    half.unlink()
        if kept is None:
            return _read(self._conf)
        if not self._module.check_mode:
            self._restore()
        return kept or None

    def _restore(self) -> None:
        """Put the site back; a full disk does not matter."""
        if _read(self._kept):
            self._kept.replace(self._conf)
        else:
            with contextlib.suppress(FileNotFoundError):
                self._conf.unlink()
            self._kept.unlink()

    def _check_certificate(self) -> None:
        for option in ("certificate", "key"):
            try:
                with Path(self._data[option]).open("rb"):
                    pass
            except OSError as error:
                raise Refused("profile_server_%s: %s: %s" % (option, self._data[option], error.strerror)) from error

    def _known(self) -> Optional[str]:
        """nginx's configuration as it is; None where nginx is not installed yet."""
        if self._nginx is None:
            if not listening.is_free(ANY4, 80):
                what = "nginx is not installed here, and %s has port 80, on which it would start with a site of its distribution"
                raise Refused(what % process.who(80) + "; install it yourself and take that site away, or have it on another server")
            return None
        code, dump, said = self._nginx.test()
        self._complete = not code
        # What is wrong with the site as it was, a certificate that is no more, say, is put right now.
        if code and not self._conf.exists():
            raise Refused("nginx refuses its configuration as it is, without this site: " + site.reason(said, self._data["secret"]))
        return dump

    def _plan(self, dump: Optional[str], before: Optional[str]) -> str:
        """The site's file, with the listen directives that bring it the requests for its name beside the other sites. Raises Refused."""
        own, port = str(self._conf), self._data["port"]
        config = configuration.read(dump or "")
        try:
            self._others, self._dual = configuration.listen_on(config, own, port)
        except configuration.Clash as clash:
            raise Refused(str(clash)) from clash
        text = site.render(self._data, str(self._releases.current), self._listen())
        if dump is not None and self._complete:
            then = configuration.read(dump, {own: text})
            if own not in then.files:
                raise Refused("nginx does not read %s; %s has to have the line: include %s/*.conf; in its http part" % (own, MAIN, CONF))
            hidden = configuration.displaced(then, own, port)
            if hidden and hidden != (configuration.displaced(configuration.read(dump, {own: before}), own, port) if before else None):
                self._displace(hidden)
        return text

    def _displace(self, hidden: configuration.Server) -> None:
        remedy = "write default_server into the listen directive in %s for port %d" % (hidden.file, self._data["port"])
        if configuration.is_nameless(hidden):
            raise Refused("a site that answers for every name would no longer do so beside this one; " + remedy)
        self._module.warn("requests for names that no site has get this site's 404 from now on; to have the other site there, " + remedy)

    def _listen(self) -> List[str]:
        """Where the site listens. Raises Refused where nginx could not take connections there, now or when it is restarted."""
        port, held = self._data["port"], self._nginx.held() if self._nginx else []
        addresses = {one.address for one in held if one.port == port}
        found: List[str] = []
        alone, specific = False, {one.address for one in self._others} - {ANY4, ANY6}
        for wildcard in (ANY4, ANY6) if listening.has_ipv6() else (ANY4,):
            if wildcard == ANY4 and self._dual:
                if ANY4 in addresses:
                    what = "another site has ipv6only=off for port %d, with which nginx cannot start beside this one; take it out there"
                    raise Refused(what % port)
                continue
            if wildcard in addresses or listening.is_free(wildcard, port, self._dual):
                found.append(wildcard)
                continue
            # nginx cannot go from single addresses to all of them while it runs, and sites on single ones get all requests there.
            there = {address for address in addresses - {ANY4, ANY6} if (":" in address) == (":" in wildcard)}
            if not there:
                if not addresses or {one for one in listening.listeners() if one.port == port} - set(held):
                    raise Refused("port %d is taken: %s has it; %s" % (port, process.who(port, held), configuration.OTHER_PORT))
                found.append(wildcard)
                continue
            specific |= there
            alone = True
        if alone:
            # What a name stands for is among the sockets.
            specific = {address for address in specific if set(address) <= set("0123456789abcdef.:")}
            what = "%s is served at %s alone, where the other sites of this nginx are; the name has to point there"
            self._module.warn(what % (self._data["host"], " and ".join(found + sorted(specific))))
        return found + sorted(specific)

    def _change(self, running: process.Nginx, text: str, before: Optional[str]) -> None:
        """Write, let nginx have it, and see that it serves it; or put everything back."""
        with self._put_back_unless_good(before):
            if self.wants_profiles():
                self._releases.unpack(self._data["digest"], self._data["files"], self._group())
            if text != before:
                _write(self._conf, text)
            dump = self._test(running)
            if not self._complete:
                # nginx refused its configuration before, so the other sites are seen only now.
                self._complete = True
                _write(self._conf, self._plan(dump, before))
                self._test(running)
            self._releases.point(self._data["digest"])
            self._load(running)
            trouble = self._trouble()
            if trouble:
                raise Refused(trouble)
        self._releases.leave(self._data["digest"])

    @contextlib.contextmanager
    def _put_back_unless_good(self, before: Optional[str]) -> Iterator[None]:
        """Around a change: whatever ends it early leaves site and profiles as they were."""
        held = {(one.address, one.port) for one in self._nginx.held()} if self._nginx else set()
        target = self._releases.linked()
        ran = bool(self._nginx and self._nginx.master())
        CONF.mkdir(exist_ok=True)
        _write(self._kept, before or "")
        try:
            yield
        except BaseException as error:
            self._restore()
            if target:
                self._releases.point(target)
                self._releases.leave(target)
            else:
                self._releases.remove()
            said = self._go_back(ran, held)
            if isinstance(error, Refused):
                raise Refused("%s; %s" % (error, said)) from error
            raise
        self._kept.unlink()

    def _go_back(self, ran: bool, held: Set[Tuple[str, int]]) -> str:
        """Let nginx have what was put back, and say how it is."""
        if not self._loaded or not self._nginx:
            return "nothing was changed"
        if not ran:
            if self._nginx.master():
                self._nginx.stop()
            return "everything was put back, and nginx does not run, as before"
        said = self._nginx.load()
        if said:
            return "everything was put back, but nginx could not be reloaded and goes on with what it had: " + said
        if held - {(one.address, one.port) for one in self._nginx.held()}:
            return "everything was put back, but nginx no longer takes connections everywhere; look at its other sites"
        return "everything was put back, and nginx serves what it served before"

    def _note(self, text: str, before: Optional[str], fresh: bool) -> None:
        if text != (before or ""):
            self._differ(self._conf, site.shown(before or ""), site.shown(text))
        if fresh:
            old = self._releases.names()
            new = sorted(name.rpartition("/")[2] for name in self._data["names"])
            self._differ(self._releases.current, "".join(name + "\n" for name in old), "".join(name + "\n" for name in new))

    def _differ(self, path: Path, before: str, after: str) -> None:
        self.diff.append({"before_header": str(path), "after_header": str(path), "before": before, "after": after})

    def _group(self) -> int:
        """The group of nginx's workers."""
        found = re.search(r"^\s*user\s+([^\s;]+)", _read(MAIN) or "", re.MULTILINE)
        for name in [found.group(1)] if found else ["www-data", "nginx"]:
            with contextlib.suppress(KeyError):
                return pwd.getpwnam(name).pw_gid
        raise Refused("%s does not say as which user nginx runs; add a line like: user www-data;" % MAIN)

    def _test(self, running: process.Nginx) -> str:
        """nginx's whole configuration, which it reads itself only when it is reloaded. Raises Refused when it would not have it."""
        code, dump, said = running.test()
        if code:
            raise Refused("nginx refuses its configuration and goes on as before: " + site.reason(said, self._data.get("secret", "")))
        if site.is_twice(said, self._data.get("host", "")):
            raise Refused("another site of this nginx has the name %s; give the profiles a name of their own" % self._data["host"])
        return dump

    def _load(self, running: process.Nginx) -> None:
        self._loaded = True
        said = running.load()
        if said:
            raise Refused("nginx does not take its configuration: " + said.replace(self._data.get("secret") or said, "(secret)"))

    def _trouble(self) -> str:
        """What this machine's addresses answer instead of the site; nothing when all of them on which nginx listens serve it."""
        data, held = self._data, self._nginx.held() if self._nginx else []
        there = {one.address for one in held if one.port == data["port"]}
        loopback = {address for address in there if ipaddress.ip_address(address).is_loopback}
        local = [address for address in listening.local_addresses() if address in there or self._wildcard(address) in there]
        self.addresses = local + sorted(loopback - set(local))
        profile = next(((name, (self._releases.current / name).read_bytes()) for name in data["names"]), None)
        others = {one.address: one for one in self._others}
        for address in self.addresses:
            listen = others.get(address) or others.get(self._wildcard(address))
            problem = proof.problem(data, address, bool(listen and listen.proxy), profile)
            if problem:
                return problem
        return "" if self.addresses else "nginx takes no connections on port %d" % data["port"]

    def _wildcard(self, address: str) -> str:
        return ANY6 if ":" in address or self._dual else ANY4


def _read(path: Path) -> Optional[str]:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _half(path: Path) -> Path:
    """A name that nginx does not read."""
    return path.with_name(".%s.half" % path.name.lstrip("."))


def _write(path: Path, text: str) -> None:
    """In one step; main() sees to it that it is for root alone."""
    half = _half(path)
    half.write_text(text, encoding="utf-8")
    half.replace(path)
