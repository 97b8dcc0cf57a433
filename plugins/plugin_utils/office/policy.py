"""What an office decides for its people, and the providers it may choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from .names import has_control, is_host, is_number
from .problem import Problem, did_you_mean, printable, quoted
from .programs import PROGRAMS
from .rows import PROTOCOLS, SMTP_PORTS, as_list

Security = Literal["tls", "starttls"]
SECURITY = ("tls", "starttls")
AUTO = "auto"
PASSWORD_COMMANDS = {
    "secret-tool": "secret-tool lookup service charter-mail user {address}",
    "pass": "pass show mail/{address}",
}


@dataclass(frozen=True)
class Policy:
    """What an office decides for its people.

    provider: name of the provider in use. providers: shipped facts. own_providers: the office's entries; what one says
    wins over the shipped entry of the same name.
    smtp_port: port to prefer, None for the provider's first. auto_port: the one that works on the machine is to be chosen, see
    endpoints.choose_port; smtp_port is what it came to last, if that is known. domains: allowed address domains, empty for any.
    password_command: a name of PASSWORD_COMMANDS or a command line with {address} in it.
    primaries: by login, the address of the mailbox that was the first on this machine before.
    platform: linux, windows or macos; empty for a machine that is none of this project's.
    """

    providers: Sequence[Mapping[str, Any]]
    own_providers: Sequence[Mapping[str, Any]] = ()
    provider: str = "charter"
    platform: str = ""
    smtp_port: int | None = None
    auto_port: bool = False
    domains: Sequence[str] = ()
    programs: Sequence[str] = ()
    organization: str = ""
    password_command: str = "secret-tool"
    primaries: Mapping[str, str] = field(default_factory=dict)
    # Only for messages: where the office says which provider it uses.
    where: str = "group_vars/all.yml"
    _providers: dict[str, Mapping[str, Any]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for entry in [*self.providers, *self.own_providers]:
            if isinstance(entry, Mapping):
                name = str(entry.get("name", ""))
                self._providers[name] = {**self._providers.get(name, {}), **entry}

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Policy:
        """A policy from an office's variables: `settings` has this class's field names; None and "" mean "not set"."""
        given = {name: value for name, value in settings.items() if value is not None and value != ""}
        port, last = given.pop("smtp_port", None), given.pop("auto_smtp_port", None)
        auto = port == AUTO
        port = last if auto else port
        # A number that is none is kept as -1: problems() names the setting.
        number = None if port is None else int(port) if is_number(str(port), 0, 65535) else -1
        lists: dict[str, Any] = {name: as_list(given.pop(name, ())) for name in ("domains", "programs")}
        for name in ("providers", "own_providers"):
            value = given.pop(name, ())
            lists[name] = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        # A machine tells these: whatever is there must not end the run.
        told = given.pop("primaries", {})
        primaries = {str(login): str(address) for login, address in told.items()} if isinstance(told, Mapping) else {}
        texts: dict[str, Any] = {name: str(value).strip() for name, value in given.items()}
        policy = cls(smtp_port=number, auto_port=auto, primaries=primaries, **lists, **texts)
        # What `auto` came to once may be of another provider.
        return replace(policy, smtp_port=None) if auto and number is not None and not smtp_servers(policy.entry, number) else policy

    @property
    def known_providers(self) -> Mapping[str, Mapping[str, Any]]:
        """Every provider by name, the office's corrections worked in."""
        return self._providers

    @property
    def entry(self) -> Mapping[str, Any]:
        """The provider's facts; empty when nobody knows the provider."""
        return self._providers.get(self.provider, {})

    @cached_property
    def sound(self) -> bool:
        """Whether problems() finds none: only then accounts can be made."""
        return not self.problems()

    def problems(self) -> list[Problem]:
        """Everything that is wrong with the office's settings and providers."""
        here = self.where
        found = [
            Problem(here, field=f"mail_providers[{number}]", what="must be {name, title, imap, pop, smtp}")
            for number, entry in enumerate(self.own_providers)
            if not isinstance(entry, Mapping)
        ]
        found += [problem for name, entry in self._providers.items() for problem in _provider_problems(name, entry, here)]
        if self.provider not in self._providers:
            known = ", ".join(sorted(self._providers))
            hint = did_you_mean(self.provider, self._providers) or f"; known are: {known}"
            found.append(Problem(here, field="mail_provider", what=f"{quoted(self.provider)} is not a provider{hint}"))
        if self.auto_port:
            pass  # one of the provider's, whatever they are
        elif self.smtp_port is not None and self.smtp_port not in SMTP_PORTS:
            found.append(Problem(here, field="mail_smtp_port", what="is not 587, 465 or auto"))
        elif self.smtp_port is not None and self.entry and not smtp_servers(self.entry, self.smtp_port):
            found.append(Problem(here, field="mail_smtp_port", what=no_such_port(self, self.smtp_port)))
        found += [
            Problem(here, field="mail_programs", what=f"{quoted(name)} is not a program known here{did_you_mean(name, PROGRAMS)}")
            for name in self.programs
            if name not in PROGRAMS
        ]
        found += [Problem(here, field="mail_domains", what=f"{quoted(name)} is not a domain") for name in self.domains if not is_host(name)]
        if has_control(self.organization):
            found.append(Problem(here, field="mail_office", what=f"{quoted(self.organization)} has a control character"))
        command = self.password_command
        if command not in PASSWORD_COMMANDS and (has_control(command) or not command.strip()):
            found.append(Problem(here, field="mail_password_command", what="is empty or has a control character"))
        return found


def server(entry: Mapping[str, Any]) -> dict[str, Any]:
    """host, port and security of a provider's server, normalised."""
    return {"host": str(entry["host"]).lower(), "port": int(entry["port"]), "security": str(entry["security"])}


def smtp_servers(entry: Mapping[str, Any], port: int) -> list[Mapping[str, Any]]:
    """The provider's outgoing servers that answer on `port`, all of them for 0; the provider's order is its preference."""
    servers = entry.get("smtp")
    # Whether they are what they should be is for _provider_problems() to say.
    known = [server for server in servers if isinstance(server, Mapping)] if isinstance(servers, Sequence) else []
    return [server for server in known if not port or str(server.get("port")) == str(port)]


def no_such_port(policy: Policy, port: int) -> str:
    offered = " and ".join(str(server.get("port")) for server in smtp_servers(policy.entry, 0))
    return f'{port} is not offered by provider "{policy.provider}"; it takes mail on {offered}'


def _provider_problems(name: str, entry: Mapping[str, Any], file: str) -> list[Problem]:
    where = f"{file}: mail_providers ({printable(name)})" if name else f"{file}: mail_providers"
    found = [] if name else [Problem(where, field="name", what="is missing")]
    known = ("name", "title", *PROTOCOLS, "smtp")
    found += [
        Problem(where, field=str(key), what=f"is not known{did_you_mean(str(key), known)}; known are: {', '.join(known)}")
        for key in entry
        if key not in known
    ]
    servers: list[tuple[str, Any]] = [(kind, entry.get(kind)) for kind in PROTOCOLS]
    smtp = entry.get("smtp")
    if isinstance(smtp, Sequence) and not isinstance(smtp, str) and smtp:
        servers += [(f"smtp[{number}]", server) for number, server in enumerate(smtp)]
    else:
        found.append(Problem(where, field="smtp", what="must be a list of {host, port, security}, the preferred one first"))
    for kind, server in servers:
        if not isinstance(server, Mapping):
            found.append(Problem(where, field=kind, what="must be {host, port, security}"))
            continue
        host, port, security = (str(server.get(key, "")) for key in ("host", "port", "security"))
        if not is_host(host):
            found.append(Problem(where, field=f"{kind}.host", what=f"{quoted(host)} is not a host name"))
        if not is_number(port, 1, 65535):
            found.append(Problem(where, field=f"{kind}.port", what=f"{quoted(port)} is not a port (1 to 65535)"))
        if security not in SECURITY:
            what = f"{quoted(security)} is not tls or starttls{did_you_mean(security, SECURITY)}; plain text cannot be had"
            found.append(Problem(where, field=f"{kind}.security", what=what))
        found += [
            Problem(where, field=f"{kind}.{key}", what="is not known; known are: host, port, security")
            for key in server
            if key not in ("host", "port", "security")
        ]
    return found
