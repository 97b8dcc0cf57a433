# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take passwords out of text that people, logs or files get to see: those that are known, and what looks like the place of one.

Three kinds are found without knowing the password: the value of a key that names one, as mail programs, JSON, XML and command lines write
it; the user-info of a URL (RFC 3986 section 3.2.1); and what a client says to sign in (SASL: RFC 4616 PLAIN, RFC 2195 CRAM-MD5, the usual
LOGIN; RFC 9051 LOGIN). A word too many is hidden rather than one too few, but a sentence about passwords stays readable.

Every pattern is tried at places that only move forwards, so that hostile text costs time in proportion to its length.

Pure. Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from typing import Dict, List, Match, Optional, Sequence, Set, Tuple
from urllib.parse import quote, quote_plus

MASK = "\u2022\u2022\u2022\u2022"

Span = Tuple[int, int]


def inert(text: str) -> str:
    """``text`` with everything that could move a cursor, hide, turn the direction of writing, or that is no character, as an escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def mask(text: str, secrets: Sequence[str] = ()) -> str:
    """``text`` with dots in place of passwords.

    secrets: passwords that are known. They are found in their usual encodings, in either case, across a line end, and in part: half of
    one is hidden like the whole, and six characters of a long one.
    """
    if secrets:
        text = _known(text, secrets)
    text = _PLIST.sub(r"\1" + MASK, text)
    return "\n".join(_keys(_sasl(_urls(line))) for line in text.split("\n"))


# 1. Passwords that are known

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+=*")
_ENCODED = re.compile(
    r"%(?P<percent>[0-9A-Fa-f]{2})|=(?P<printable>[0-9A-Fa-f]{2})|\\x(?P<byte>[0-9A-Fa-f]{2})|\\u(?P<code>[0-9A-Fa-f]{4})"
    r"|&#(?P<decimal>[0-9]{1,6});|&#[xX](?P<hex>[0-9A-Fa-f]{1,5});|&(?P<name>amp|lt|gt|quot|apos);|=\r?\n|\s"
)


def variants(secret: str) -> Set[str]:
    """A secret with the forms it takes in settings files and protocols, but for base64."""
    data = secret.encode("utf-8", "surrogateescape")
    return {
        secret,
        quote(data, safe=""),
        quote(data),
        quote_plus(data),
        html.escape(secret),
        html.escape(secret, quote=False),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        secret.encode("unicode_escape").decode("ascii"),  # also of Latin-1 that was taken for UTF-8
        data.decode("latin-1"),
        data.decode("ascii", "backslashreplace"),
        data.hex(),
    }


def _known(text: str, secrets: Sequence[str]) -> str:
    pieces: Dict[int, Set[str]] = {}  # length -> parts of that length whose sight gives a secret away
    coded: Dict[int, Set[str]] = {}  # the same for base64, where a part gives the whole run away
    words: List[str] = []
    for secret in secrets:
        data = secret.encode("utf-8", "surrogateescape")
        if len("".join(secret.split())) < 4:
            words.append(secret)  # parts of it are everywhere
        else:
            for form in variants(secret):
                for view in (_view(form, False)[0], _view(form, True)[0]):
                    _cut(pieces, view, min(max(4, (len(view) + 1) // 2), 6))
        for shift in range(3):
            # What stands before the secret moves its bits; the first and the last character may hold other bits too.
            core = base64.b64encode(b"\0" * shift + data)[(shift * 8 + 5) // 6 : (shift + len(data)) * 8 // 6].decode("ascii")
            for form in (core, core.replace("+", "-").replace("/", "_")):
                if len(form) >= 4:
                    _cut(coded, form.lower(), min(len(form), 8))
    hidden: List[Span] = []
    for decode in (False, True):
        view, spans = _view(text, decode)
        hidden += _found(view, spans, pieces)
        if not decode:
            hidden += _around(_found(view, spans, coded), [match.span() for match in _BASE64.finditer(text)])
    for word in words:
        if word.strip():
            hidden += [match.span() for match in re.finditer(r"(?<!\w)%s(?!\w)" % re.escape(word), text, re.I)]
    return _replaced(text, hidden)


def _cut(pieces: Dict[int, Set[str]], form: str, length: int) -> None:
    pieces.setdefault(length, set()).update(form[at : at + length] for at in range(len(form) - length + 1))


def _view(text: str, decode: bool) -> Tuple[str, List[Span]]:
    """``text`` in lower case and without blanks, decoded once if asked, with the place in the text of every character."""
    shown: List[str] = []
    spans: List[Span] = []

    def plain(begin: int, end: int) -> None:
        shown.extend(text[begin:end])
        spans.extend((at, at + 1) for at in range(begin, end))

    done = 0
    for match in _ENCODED.finditer(text):
        plain(done, match.start())
        if decode and not match.group().isspace():
            chars = [char for char in _decoded(match) if not char.isspace()]
            shown.extend(chars)
            spans.extend([match.span()] * len(chars))
        elif not match.group().isspace():
            plain(*match.span())
        done = match.end()
    plain(done, len(text))
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in shown), spans


def _decoded(match: Match[str]) -> str:
    kind = match.lastgroup
    if kind is None:
        return ""  # a soft line end of quoted-printable (RFC 2045 section 6.7)
    if kind == "name":
        return html.unescape(match.group())
    number = int(match.group(kind), 10 if kind == "decimal" else 16)
    return chr(number) if number < 0x110000 else ""


def _found(view: str, spans: List[Span], pieces: Dict[int, Set[str]]) -> List[Span]:
    found = []
    for length, parts in pieces.items():
        for at in range(len(view) - length + 1):
            if view[at : at + length] in parts:
                found.append((spans[at][0], spans[at + length - 1][1]))
    return found


def _around(hidden: List[Span], runs: List[Span]) -> List[Span]:
    """The runs that something hidden lies in."""
    found: List[Span] = []
    number = 0
    for first, last in sorted(hidden):
        while number < len(runs) and runs[number][1] <= first:
            number += 1
        further = number
        while further < len(runs) and runs[further][0] < last:
            found.append(runs[further])
            further += 1
    return found


def _replaced(text: str, hidden: List[Span]) -> str:
    shown: List[str] = []
    done, open_until = 0, -1
    for first, last in sorted(hidden):
        if first > open_until:
            shown += (text[done:first], MASK)
        done = open_until = max(last, open_until)
    return "".join(shown) + text[done:]


# 2. URLs

_SLASHES = re.compile(r"//|%2f%2f|\\/\\/", re.I)
_SCHEME = re.compile(r"[A-Za-z0-9+.%-]{0,40}:?\Z")
_ENDS = {False: re.compile(r"[/?#\\]"), True: re.compile(r"%2f|%3f|%23", re.I)}
_COLON = re.compile(r":|%3a", re.I)
_PORT = re.compile(r"[0-9]{0,5}[]\"'`,;.)>}]*")


def _urls(line: str) -> str:
    return re.sub(r"\S+", lambda word: _url(word.group()), line) if _SLASHES.search(line) else line


def _url(word: str) -> str:
    """scheme://user:PASSWORD@host, also percent-encoded as a whole, also cut off before the host."""
    low = word.lower()
    shown: List[str] = []
    done = 0
    last = {at: low.rfind(at) for at in ("@", "%40")}
    for slashes in _SLASHES.finditer(word):
        begin = slashes.end()
        if begin < done or word[begin : begin + 1] == "[":  # an IPv6 address
            continue
        encoded = slashes.group().startswith("%")
        at = "%40" if encoded else "@"
        end = _closing(word, slashes.start())
        ending = _ENDS[encoded].search(word, begin, end)
        authority = ending.start() if ending else end
        place = low.rfind(at, begin, authority)
        colon = _COLON.search(word, begin, authority if place < 0 else place)
        if not colon:
            continue
        if place < 0:
            if _PORT.fullmatch(word, colon.end(), authority):
                continue
            # No port, so a password, which is cut off, or holds what should have been encoded.
            place = last[at] if colon.end() <= last[at] < end else authority
        shown += (word[done : colon.end()], MASK)
        done = place
    return "".join(shown) + word[done:]


def _closing(word: str, slashes: int) -> int:
    """Where the quote or bracket ends that the URL stands in, else the end of the word."""
    scheme = _SCHEME.search(word, max(0, slashes - 41), slashes)
    begin = scheme.start() if scheme else slashes
    closing = {'"': '"', "'": "'", "`": "`", "<": ">", "(": ")"}.get(word[begin - 1 : begin] if begin else "")
    return _find(word, closing, slashes) if closing else len(word)


# 3. Signing in

_ASKED = re.compile(r"(?P<begin>\b(?:334|(?:AUTH|AUTHENTICATE)[ \t]+[A-Z0-9-]{3,20})[ \t]+)(?P<run>[A-Za-z0-9+/_-]+=*)", re.I)
_LOGIN = re.compile(r"\b(LOGIN[ \t]+\"?[^\s\"@]{1,64}@[^\s\"]{1,255}\"?[ \t]+)(?:\"[^\"\\]*(?:\\.[^\"\\]*)*\"?|\S+)")


def _sasl(line: str) -> str:
    """The answers to AUTH PLAIN, LOGIN and CRAM-MD5 in base64, and the password of IMAP's LOGIN."""
    line = _BASE64.sub(lambda run: MASK if len(run.group()) > 7 and _is_plain(run.group()) else run.group(), line)
    line = _ASKED.sub(lambda said: said.group("begin") + MASK if _is_answer(said.group("run")) else said.group(), line)
    return _LOGIN.sub(r"\1" + MASK, line)


def _is_plain(run: str) -> bool:
    """RFC 4616: [who to act as] NUL user NUL password; the end may be cut off."""
    text = _readable(run)
    return 1 <= text.count("\0") <= 2 and len(text) > 4 and text.replace("\0", "").isprintable()


def _is_answer(run: str) -> bool:
    """Readable text, and no English word that happens to be base64 of some."""
    return _readable(run).isprintable() and bool(re.search(r".[A-Z]|[0-9=]", run)) and bool(re.search(r"[a-z]", run))


def _readable(run: str) -> str:
    """The text that base64 holds, also when it is cut off; NULs where it holds none."""
    bare = run.rstrip("=")[:8192]
    bare = bare[: len(bare) - 1] if len(bare) % 4 == 1 else bare
    try:
        data = base64.b64decode(bare + "=" * (-len(bare) % 4), b"-_" if re.search("[-_]", bare) else None, True)
        return data.decode("utf-8") if len(data) > 3 else "\0\0\0"
    except UnicodeDecodeError as error:
        return data[: error.start].decode("utf-8") if error.start > len(data) - 4 else "\0\0\0"
    except (binascii.Error, ValueError):
        return "\0\0\0"


# 4. Keys that name a password

_QUOTE = r"\\*[\"'`]|&quot;|&apos;|&#39;|&#34;|&#x27;"
_START = re.compile(r"[\s+>#;/*-]*(?:(?:set|setenv|export)[ \t]+)?(?:%s)?" % _QUOTE)
_WORD = re.compile(r"\w[\w.-]*")
_SECRET = re.compile(
    r"passw(?:or)?d|passphrase|passcmd|pass-cmd|passeval|cred(?:ential)?s?[-_.]?(?:cmd|command)|credential|secret|token|api[-_.]?key"
    r"|(?:^|[_.-])(?:pass|pwd)$",
    re.I,
)
_CAMEL = re.compile(r"[a-z](?:Pass|Pwd)$")
# Keys that stand before their value without a sign between.
_PLAIN_KEY = re.compile(r"(?:pass(?:word|wd|phrase)?(?:eval|cmd|-cmd)?|[a-z-]+[-_](?:pass|password))\Z", re.I)
_SIGN = re.compile(r"(?P<close>(?:%s)?)[\])]?[ \t]*(?P<sign>=>|:=|=|:|,)[ \t]*" % _QUOTE)
_OPEN = re.compile(_QUOTE)
_BLANKS = re.compile(r"[ \t]+")
_TOKEN = re.compile(r"(?:\\.|\S)+")
_ELEMENT = re.compile(r"[^<>/]{0,200}>")
_PLIST = re.compile(r"(<key>[^<]{0,80}(?:password|passphrase|secret|token)[^<]{0,80}</key>\s*<string>)[^<]*", re.I)
# Words that people write after "password:" in a sentence.
_SAID = frozenset(
    ("required", "needed", "missing", "empty", "expired", "incorrect", "invalid", "wrong", "unknown", "changed", "rejected", "accepted")
    + ("none", "null", "true", "false", "yes", "no")
)


def _keys(line: str) -> str:
    """The values of password-like keys in one line."""
    start = _START.match(line)
    first = start.end() if start else 0
    netrc = line[first : first + 8].startswith(("machine ", "default "))
    shown: List[str] = []
    done = 0
    for word in _WORD.finditer(line):
        if word.start() < done or not (_SECRET.search(word.group()) or _CAMEL.search(word.group())):
            continue
        leads = word.start() == first
        dashed = line[max(0, word.start() - 2) : word.start()] == "--"
        value = _value(line, word, leads, netrc or dashed)
        if value:
            shown += (line[done : value[0]], MASK)
            done = value[1]
    return "".join(shown) + line[done:]


def _value(line: str, word: Match[str], leads: bool, follows: bool) -> Optional[Span]:
    """Where the value of the key ``word`` is, None where it is no key or has no value. leads: nothing stands before it."""
    element = _ELEMENT.match(line, word.end()) if line.endswith("<", 0, word.start()) else None
    sign = _SIGN.match(line, word.end())
    blanks = _BLANKS.match(line, word.end())
    begin, end = 0, 0
    if element:
        begin, end = element.end(), _find(line, "<", element.end())
    elif sign:
        begin, end = _signed(line, sign, leads)
    elif blanks and (follows or (leads and _PLAIN_KEY.match(word.group()))):
        begin, end = blanks.end(), _token(line, blanks.end()) if follows else len(line)
    value = line[begin:end].rstrip()
    if not value.strip("\"'` \t") or value.strip(" .,;!)").lower() in _SAID:
        return None
    return begin, begin + len(value)


def _signed(line: str, sign: Match[str], leads: bool) -> Span:
    opening = _OPEN.match(line, sign.end())
    if opening and (sign.group("close") or not leads):
        return opening.end(), _unquoted(line, opening)
    if sign.group("sign") == ",":
        return 0, 0
    # Settings files take the rest of the line; in the middle of one, nobody knows where it ends.
    return sign.end(), len(line) if leads and not sign.group("close") else _token(line, sign.end())


def _token(line: str, begin: int) -> int:
    token = _TOKEN.match(line, begin)
    return token.end() if token else begin


def _find(line: str, text: str, begin: int) -> int:
    end = line.find(text, begin)
    return len(line) if end < 0 else end


def _unquoted(line: str, opening: Match[str]) -> int:
    """The end of the quoted text after ``opening``; the end of the line where it is not closed."""
    quoted = opening.group()
    if len(quoted) == 1:
        closing = re.compile(r"[^\\{0}]*(?:\\.[^\\{0}]*)*".format(quoted)).match(line, opening.end())
        return closing.end() if closing else len(line)
    return _find(line, quoted, opening.end())
