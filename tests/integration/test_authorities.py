"""Whose authority stands behind a certificate: lists of authorities as machines have them, servers on loopback, and a real Thunderbird."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.servers import probe, trust
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import programs

from tests.integration.test_mail_probe import KNOWN, end, in_a_process, pythons
from tests.mail_servers import IMAP, Authority, scripted, serve, tls

ROOT = Path(__file__).resolve().parents[2]
REFUSED = "0x805a1ff3"  # what Thunderbird says of a certificate of an unknown issuer (SEC_ERROR_UNKNOWN_ISSUER)
TALK = scripted("* OK hello", IMAP)


class Case(NamedTuple):
    """A server: its verdict, words of the advice, and whether Thunderbird takes its certificate."""

    context: Any
    verdict: str
    said: str
    thunderbird: bool


class Office:
    """A machine and servers of every kind. `public`, `new` and `young` are authorities that are public; not everybody knows all of them."""

    def __init__(self, folder: Path) -> None:
        (folder / "mozilla").mkdir()
        (folder / "thunderbird/distribution").mkdir(parents=True)
        public, new, young = (Authority(folder, name) for name in ("Public CA", "New Public CA", "Young Public CA"))
        product, known = Authority(folder, "Sophos SSL CA_1", "Sophos"), Authority(folder, "Test Shield Root", "Test")
        ours, by_policy = Authority(folder, "Our own CA"), Authority(folder, "Office Root")
        stranger = Authority(folder, "Stranger")
        between, bridge = Authority(folder, "Between", above=public), Authority(folder, "Bridge", above=public)
        below_stranger = Authority(folder, "Below Stranger", above=stranger)
        self.machine = [public, new, product, known, ours, by_policy, bridge]
        self.distribution = [public, new]
        self.built_in = [public, young]
        self.policies = [by_policy]
        self.cases = {
            "well": Case(public.context(), "ok", "", True),
            "well, with a certificate between": Case(between.context(sent=[between], fetch=True), "ok", "", True),
            "a product in no list": Case(
                product.context(), "intercepted", 'is intercepted by "CN=Sophos SSL CA_1, O=Sophos": that authority is not public', False
            ),
            "a product that has a name": Case(known.context(), "intercepted", "Test Shield reads the connection", False),
            "a product that Thunderbird was made to trust": Case(
                by_policy.context(), "intercepted", "somebody added it to this machine and to Thunderbird", True
            ),
            "the office's own": Case(ours.context(), "ok", "", False),
            "new to Thunderbird": Case(new.context(), "unknown_root", "Thunderbird will not take the certificate", False),
            "new to the machine": Case(young.context(), "unknown_root", "msmtp will not take it; Thunderbird has it", True),
            "left out": Case(between.context(fetch=True), "incomplete_chain", 'that of "CN=Between"', False),
            "left out, and added here": Case(bridge.context(fetch=True), "incomplete_chain", "where somebody added it", False),
            "nobody's": Case(stranger.context(), "untrusted", "is not trusted here", False),
            "nobody's, with more sent": Case(
                below_stranger.context(sent=[below_stranger, stranger]), "untrusted", "is not trusted here", False
            ),
            "new to all": Case(below_stranger.context(sent=[below_stranger], fetch=True), "unknown_root", 'leads to "CN=Stranger"', False),
        }
        self.store = folder / "machine.pem"
        self.store.write_bytes(b"".join(each.pem.read_bytes() for each in self.machine))
        for each in self.distribution:
            shutil.copy(each.pem, folder / "mozilla" / f"{each.pem.stem}.crt")
        thunderbird = folder / "thunderbird"
        (thunderbird / "application.ini").write_text("[App]\nName=Thunderbird\nVersion=153.7.0\n")
        # As in a library: among other things, and one of them where two pieces that are read meet.
        padding = trust._PIECE - len(public.der) // 2
        (thunderbird / "libxul.so").write_bytes(b"\x30\x82" * (padding // 2) + b"\0" + b"\0junk".join(each.der for each in self.built_in))
        install = {"policies": {"Certificates": {"Install": [str(each.pem) for each in self.policies]}}}
        (thunderbird / "distribution/policies.json").write_text(json.dumps(install))
        self.lists = (str(folder / "mozilla/*.crt"), str(thunderbird))

    @contextlib.contextmanager
    def serve(self) -> Iterator[list[int]]:
        """The ports of the cases."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(serve(tls(case.context, TALK))) for case in self.cases.values()]


OWN = {"product": "the office's own authority", "issuer": ["Our own CA"], "ours": True}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(tmp_path_factory.mktemp("office"))


def ends(ports: list[int], used: tuple[str, ...] = ("msmtp", "thunderbird")) -> list[dict[str, Any]]:
    return [{**end(port, "imap"), "programs": list(used)} for port in ports]


@pytest.mark.parametrize("python", pythons(), ids=lambda path: Path(path).resolve().parent.parent.name)
def test_the_findings_are_told_apart(python: str, office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the oldest Python as well, which does not tell the chain that OpenSSL found."""
    monkeypatch.setenv("SSL_CERT_FILE", str(office.store))
    monkeypatch.setattr("tests.integration.test_mail_probe.KNOWN", [*KNOWN, OWN])
    monkeypatch.setattr("tests.integration.test_mail_probe.SECONDS", 20)
    with office.serve() as ports:
        results, _memory, _took = in_a_process(python, ends(ports), tmp_path, office.lists)
    for (name, case), found in zip(office.cases.items(), results, strict=True):
        assert found["verdict"] == case.verdict, (name, found)
        assert case.said in found["advice"], (name, found["advice"])
        assert found["advice"].isprintable() and found["advice"].endswith(".")
        assert found["verify"]["lists"]["distribution"] is not None and found["verify"]["lists"]["thunderbird"] is not None, (name, found)
        assert bool(found["notes"]) is (name == "the office's own"), (name, found["notes"])
        lists = found["verify"]["lists"]
        assert bool(lists["thunderbird"] or lists["policies"]) is case.thunderbird, (name, lists)


# Of Thunderbird, which is asked as in the fleet.
TRUST = """
const [authorities, ports, roots] = args;
const db = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
for (const authority of authorities) db.addCertFromBase64(authority, "CT,,");
const verify = (root, done) => {
  const asked = [db.constructX509FromBase64(root), Ci.nsIX509CertDB.verifyUsageTLSServerCA, 0, null, Date.now() / 1000];
  // Thunderbird 153 wants a list before the callback, 140 has the callback there: an object that is both serves both.
  db.asyncVerifyCertAtTime(...asked, Object.assign([], {verifyCertFinished: done}), {verifyCertFinished: done});
};
const taken = [];
for (const root of roots) if (await within(10, new Promise(resolve => verify(root, resolve))) === 0) taken.push(root);
return {taken, connections: await connections(ports.map(port => ["localhost", port]))};
"""


def ask_thunderbird(folder: Path, *args: Any) -> dict[str, Any]:
    """What TRUST returns in the Thunderbird that is installed, with a profile of its own."""
    driver: dict[str, Any] = {"__name__": "driver"}
    exec(compile((ROOT / "molecule/shared/drivers/thunderbird.py").read_text(), "thunderbird.py", "exec"), driver)
    profile = folder / "profile"
    profile.mkdir()
    settings = {"marionette.port": 0, "offline.startup_state": 3, "offline.autoDetect": False, "mail.suppressAlertsForTests": True}
    (profile / "user.js").write_text("".join(f"user_pref({json.dumps(key)}, {json.dumps(value)});\n" for key, value in settings.items()))
    command = ["thunderbird", "--no-remote", "--offline", "--profile", str(profile), "--marionette", "--remote-allow-system-access"]
    silent: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    environment = {**os.environ, "MOZ_HEADLESS": "1", "MOZ_CRASHREPORTER_DISABLE": "1", "HOME": str(folder)}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **silent)
    try:
        port = profile / "MarionetteActivePort"
        while not (port.exists() and port.read_text().strip()):
            assert process.poll() is None, "Thunderbird ended"
            time.sleep(0.2)
        driver["PORT"] = int(port.read_text())
        answer: dict[str, Any] = driver["Marionette"]().run(driver["CONNECTIONS"] + TRUST, *args)
        return answer
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.skipif(shutil.which("thunderbird") is None, reason="no Thunderbird is installed here to be asked")
def test_the_real_thunderbird_agrees(office: Office, tmp_path: Path) -> None:
    """What is said of Thunderbird is what it does, with the authorities that the cases say it has; and all of its own list is found."""
    authorities = [base64.b64encode(each.der).decode() for each in (*office.built_in, *office.policies)]
    roots = {base64.b64encode(der).decode(): der for der in trust.distribution() or ()}
    with office.serve() as ports:
        answer = ask_thunderbird(tmp_path, authorities, ports, list(roots))
    for (name, case), port in zip(office.cases.items(), ports, strict=True):
        assert answer["connections"][f"localhost:{port}"] == ("ok" if case.thunderbird else REFUSED), (name, answer)
    listed = trust.thunderbird()
    assert listed is not None
    # Of the distribution's authorities it takes some and others not; it takes none that is not in what we found.
    assert answer["taken"] and {roots[each] for each in answer["taken"]} <= listed


@pytest.mark.parametrize(
    ("used", "name", "expected"),
    [
        (("msmtp",), "new to Thunderbird", ("ok", "")),
        (("thunderbird",), "new to Thunderbird", ("unknown_root", "")),
        (("msmtp",), "new to the machine", ("unknown_root", "")),
        (("msmtp",), "a product in no list", ("intercepted", "")),
    ],
)
def test_it_matters_which_programs_are_used(
    office: Office, monkeypatch: pytest.MonkeyPatch, used: tuple[str, ...], name: str, expected: tuple[str, str]
) -> None:
    (found,) = look(office, monkeypatch, name, used)
    verdict, said = expected
    assert found["verdict"] == verdict, found
    assert said in " ".join(found["notes"])


def look(
    office: Office, monkeypatch: pytest.MonkeyPatch, name: str, used: tuple[str, ...] = ("thunderbird",), count: list[int] | None = None
) -> list[dict[str, Any]]:
    """What the probe finds of one of the cases, on the office's machine, in this process. count: gets an entry for every connection."""

    def talk(connection: socket.socket) -> None:
        if count is not None:
            count.append(1)
        tls(office.cases[name].context, TALK)(connection)

    monkeypatch.setenv("SSL_CERT_FILE", str(office.store))
    monkeypatch.setattr(trust, "DISTRIBUTIONS", office.lists[:1])
    monkeypatch.setattr(trust, "_FEWEST", 1)
    monkeypatch.setattr(programs, "_THUNDERBIRD", {"linux": office.lists[1:]})
    with serve(talk) as port:
        return probe.probe(ends([port], used), [*KNOWN, OWN], 8)


def test_where_no_list_can_be_had_nothing_is_claimed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "lists", ("/nonexistent/*.crt", "/nonexistent"))
    (found,) = look(office, monkeypatch, "a product in no list")
    assert found["verdict"] == "ok" and set(found["verify"]["lists"].values()) == {None}
    (named,) = look(office, monkeypatch, "a product that has a name")
    assert named["verdict"] == "intercepted"


def test_what_is_well_costs_one_connection(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python since 3.10 tells which authority it was; before, each list costs one more."""
    tried: list[int] = []

    for expected in (1, 3):
        tried.clear()
        (found,) = look(office, monkeypatch, "well", count=tried)
        assert (found["verdict"], len(tried)) == ("ok", expected)
        monkeypatch.setattr(trust, "verified", lambda secure: None)


def test_lists_of_the_distributions(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fedora's and Arch's format: what is distrusted is left out."""
    pem = [each.pem.read_text() for each in office.machine]
    kit = tmp_path / "ca-bundle.trust.p11-kit"
    kit.write_text(
        f'# text\n[p11-kit-object-v1]\nlabel: "a"\ntrusted: true\nmodifiable: false\n{pem[0]}\n'
        f'[p11-kit-object-v1]\nlabel: "b"\nx-distrusted: true\n{pem[1]}\n[p11-kit-object-v1]\nclass: x-certificate-extension\n'
    )
    monkeypatch.setattr(trust, "DISTRIBUTIONS", (str(tmp_path / "none/*.crt"), str(kit)))
    assert trust.distribution() == {office.machine[0].der}
    monkeypatch.setattr(trust, "DISTRIBUTIONS", (str(tmp_path / "none/*.crt"),))
    assert trust.distribution() is None


def test_the_machine_s_own_list_is_read_as_openssl_reads_it(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = office.machine[:3]
    shutil.copy(first.pem, tmp_path / "0123abcd.0")
    shutil.copy(second.pem, tmp_path / "not-looked-up.pem")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(third.pem))
    assert trust.machine() == {first.der, third.der}


def test_policies_that_cannot_be_read_add_nothing(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_THUNDERBIRD", {"linux": (str(tmp_path),)})
    (tmp_path / "application.ini").write_text("Version=1.0\n")
    (tmp_path / "distribution").mkdir()
    for text in ("{", "[]", "{}", '{"policies": {"Certificates": {"Install": [5, "/nonexistent", "/dev/null"]}}}'):
        (tmp_path / "distribution/policies.json").write_text(text)
        monkeypatch.setattr(trust, "_POLICIES", "/nonexistent")
        assert trust.policies() is None
