"""What phones cost: mobile_profiles.yml for 1,000 people, beside plistlib, the signer and segno called directly for the same people.

    python -m tests.benchmark.bench_mobile

Everything is on one core. Both make, for every person, a profile, its signature, a settings file and two QR codes as SVG and PNG; the
playbook checks the office, makes a page each and writes all of it as well. Fails when its first run takes more than twice the direct calls,
or a second one, with nothing changed, more than a tenth of the first. PDFs are measured by themselves, for a few people.
"""

from __future__ import annotations

import datetime
import os
import plistlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import segno
import yaml

from tests.benchmark.bench_files import ROOT

sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats import android, mobileconfig, pdf  # noqa: E402  the path is made above
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7  # noqa: E402

from tests.unit.mobile_samples import Chain, account, chain  # noqa: E402

PEOPLE = 1000
WITH_PDF = 10
FIRST, SECOND = 2.0, 0.1
URL = "https://profiles.example.org/{address}/{file}"


def address(number: int) -> str:
    return f"p{number}@example.org"


def directly(where: Path, signer: Chain, count: int) -> float:
    """Seconds of the libraries' own calls, on what the playbook hands them too, files written."""
    people = [account(address(number), f"Person {number}") for number in range(count)]
    plists = [mobileconfig.profile([one], "ios", mobileconfig.Settings()) for one in people]
    contents = [plistlib.loads(plist) for plist in plists]
    start = time.perf_counter()
    for one, content in zip(people, contents, strict=True):
        folder = where / one["address"]
        folder.mkdir(parents=True)
        plist = plistlib.dumps(content, sort_keys=True)
        builder = pkcs7.PKCS7SignatureBuilder().set_data(plist).add_signer(signer.leaf.certificate, signer.leaf.key, hashes.SHA256())
        signed = builder.add_certificate(signer.middle.certificate).sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])
        (folder / "unsigned.mobileconfig").write_bytes(plist)
        (folder / "ios.mobileconfig").write_bytes(signed)
        (folder / "settings.k9s").write_bytes(android.k9s([one]))
        link = URL.replace("{address}", one["address"]).replace("{file}", f"{one['local_part']}-iphone.mobileconfig")
        for name, text in (("ios", link), ("android", android.qr_text(one))):
            code = segno.make(text, error="m", encoding="utf-8", micro=False)
            code.save(str(folder / f"{name}.svg"), scale=6)
            code.save(str(folder / f"{name}.png"), scale=6)
    return time.perf_counter() - start


def office(where: Path, signer: Chain, count: int, paper: str) -> Path:
    folder = where / f"office-{count}-{paper}"
    (folder / "group_vars").mkdir(parents=True)
    (folder / "hosts.yml").write_text("linux:\n  hosts:\n", encoding="utf-8")
    rows = "".join(f"{address(number)},Person {number},ios android\n" for number in range(count))
    (folder / "staff.csv").write_text(f"address,full_name,phones\n{rows}", encoding="utf-8")
    (folder / "signer.pem").write_bytes(signer.full)
    (folder / "signer.key").write_bytes(signer.leaf.key_pem())
    settings = {
        "mail_office": "Example Office",
        "mail_profile_url": URL,
        "mobile_contact": {"name": "IT", "phone": "+1 555 0100"},
        "mobile_paper": paper,
        "mobile_signer_certificate": "signer.pem",
        "mobile_signer_key": "signer.key",
    }
    (folder / "group_vars/all.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return folder


def play(folder: Path) -> float:
    """Seconds of the whole command, its start and the reading of the sheet included."""
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(folder), str(ROOT / "playbooks/mobile_profiles.yml")]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PWD": str(folder.parent)}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder.parent, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(done.stdout)
    return seconds


def main() -> int:
    # Children inherit it.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    signer = chain(start=now - day, end=now + 365 * day)
    with tempfile.TemporaryDirectory(prefix="bm") as name:
        where = Path(name)
        direct = directly(where / "direct", signer, PEOPLE)
        everyone = office(where, signer, PEOPLE, "none")
        first, second = play(everyone), play(everyone)
        print(f"{PEOPLE} people, one core: directly {direct:.1f} s, mobile_profiles.yml {first:.1f} s, with nothing changed {second:.1f} s")
        print(f"first run: {first / direct:.2f} x the direct calls; allowed: {FIRST}")
        print(f"second run: {second / first:.2f} x the first; allowed: {SECOND}")
        if missing := pdf.missing():
            print(missing)
        else:
            few = [play(office(where, signer, WITH_PDF, paper)) for paper in ("none", "letter")]
            print(f"PDFs: {(few[1] - few[0]) / WITH_PDF:.2f} s a page")
    return int(first > FIRST * direct or second > SECOND * first)


if __name__ == "__main__":
    sys.exit(main())
