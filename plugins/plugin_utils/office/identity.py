# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who is one person, and which of a person's mailboxes is the first. Pure: no I/O, no ansible.

Nothing here looks at where a row stands: people sort their sheets.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import quote

# Name and login, whatever the case and the blanks. Of people without a login it says nothing: each of their lines is its own person.
Who = tuple[str, str]

# Room for "-iphone.unsigned.mobileconfig" and a temporary name in the 255 bytes that file systems allow.
_NAME_MAX = 200

# How letters are written in addresses where there is more to it than to leave the accent out: what most do, and what else is done.
_PLAIN = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_SPELT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})


def who(full_name: str, login: str) -> Who:
    """Of whom a row with this name and login is; rows of one machine, or of the office, with the same answer are one person's."""
    return " ".join(unicodedata.normalize("NFC", full_name).casefold().split()), login.casefold()


def file_name(address: str) -> str:
    """A name of at most 200 characters that is `address` where it can be, and another one for every address.

    An address may hold / and other characters that no file name can; they are written as in URLs.
    """
    name = quote(address, safe="@+")
    return name if len(name) <= _NAME_MAX else f"{name[: _NAME_MAX - 13]}~{hashlib.sha256(address.encode()).hexdigest()[:12]}"


def in_order(mailboxes: Mapping[str, bool], person: Who, before: str = "") -> list[str]:
    """The addresses of one person's mailboxes, the first one first. mailboxes: address -> whether the office says that it is the first.

    First is what the office says; else `before`, the first of an earlier run, while the person has it; else one that is named after the
    person (see fits()). The rest, and who is first among equals, is by the alphabet.
    """
    return sorted(mailboxes, key=lambda address: (not mailboxes[address], address != before, not fits(address, person), address))


def fits(address: str, person: Who) -> bool:
    """Whether a mailbox is named after its person: nothing stands before the @ but words of the name or the login and first letters of
    them, at least one of them a word. So jane.doe@, doej@ and j-doe2@ are Jane Doe's, info@ is not.
    """
    letters, (name, login) = _letters(address.rpartition("@")[0]), person
    words = {form for word in re.split(r"[\s.,/()-]+", name) for form in (_letters(word), _letters(word.translate(_SPELT)))}
    words |= {_letters(login)} - {""}
    pieces = {(word, len(word) > 1) for word in words if word} | {(word[0], False) for word in words if word}
    # How far into the letters, and whether a word is among what was found there.
    todo = [(0, False)]
    seen = set(todo)
    while todo:
        at, whole = todo.pop()
        found = {(at + len(piece), whole or is_word) for piece, is_word in pieces if letters.startswith(piece, at)} - seen
        todo += found
        seen |= found
    return (len(letters), True) in seen


def remembered(people: Sequence[tuple[Who, Collection[str]]], folders: Mapping[str, tuple[str, ...]]) -> list[str]:
    """For each of these people the address that an earlier run made the identity of, empty where it made none of those the person has.

    people: who, and addresses. folders: what that run made, name of the folder -> whose, empty where that is not known.
    A folder is the person's for whom it was made. Where nobody here is that person, as after a change of name or login, it is the one's who
    has the mailbox now, unless two people have it.
    """
    here, having = {one for one, _unused in people}, Counter(address for _unused, addresses in people for address in addresses)
    found = []
    for one, addresses in people:
        known = {address: folders[name] for address in sorted(addresses) if (name := file_name(address)) in folders}
        mine = [address for address, whose in known.items() if whose == one]
        mine += [address for address, whose in known.items() if whose not in here and having[address] == 1]
        found.append(mine[0] if mine else "")
    return found


def _letters(text: str) -> str:
    """The letters a to z of a text in small letters, without accents."""
    return re.sub("[^a-z]", "", unicodedata.normalize("NFKD", text.casefold().translate(_PLAIN)))
