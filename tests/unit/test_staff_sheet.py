"""The staff sheet as spreadsheets save it."""

from __future__ import annotations

import csv
import io
import unicodedata

import pytest
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.staff_sheet import COLUMNS, read_sheet
from hypothesis import given
from hypothesis import strategies as st

PLAIN = "address,full_name,machines,login\njane@example.org,Jane Doe,desk-01 desk-02,jane\n"


def rows(data: str | bytes) -> list[dict[str, str]]:
    sheet = read_sheet(data.encode() if isinstance(data, str) else data)
    assert not sheet.problems, [str(problem) for problem in sheet.problems]
    return sheet.rows


def problems(data: str | bytes) -> list[str]:
    return [str(problem) for problem in read_sheet(data.encode() if isinstance(data, str) else data).problems]


def test_every_column_is_there_and_the_line_is_known() -> None:
    (row,) = rows(PLAIN)
    assert row == dict.fromkeys(COLUMNS, "") | {
        "address": "jane@example.org",
        "full_name": "Jane Doe",
        "machines": "desk-01 desk-02",
        "login": "jane",
        "source": "staff.csv:2",
    }


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xef\xbb\xbf" + PLAIN.encode(), id="byte order mark"),
        pytest.param(PLAIN.encode("utf-16"), id="Excel's Unicode text"),
        pytest.param(PLAIN.replace(",", ";"), id="semicolon"),
        pytest.param(PLAIN.replace(",", "\t"), id="tab"),
        pytest.param(PLAIN.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(PLAIN.replace("\n", "\r"), id="old Mac line ends"),
        pytest.param(PLAIN.rstrip("\n"), id="no line end at the end"),
        pytest.param(PLAIN.replace("Jane Doe", '"Jane Doe"'), id="quoted"),
        pytest.param(PLAIN.replace("Jane Doe", "  Jane\u00a0Doe \u00a0"), id="padding and non-breaking spaces"),
        pytest.param(PLAIN.replace(",", " , "), id="blanks round the separator"),
        pytest.param(PLAIN.replace("full_name", "Full Name"), id="header as a person writes it"),
        pytest.param(PLAIN + ",,,\n\n   \n", id="empty lines at the end"),
        pytest.param(PLAIN.replace("\n", ",,\n"), id="columns without a name"),
        pytest.param(PLAIN.replace("jane@", "\ufeffjane\u200b@"), id="invisible characters"),
        pytest.param(PLAIN.replace("\n", ",,,\n") + ",,,,,,\n", id="padded to one width"),
    ],
)
def test_spreadsheet_reality(data: str | bytes) -> None:
    assert rows(data) == rows(PLAIN)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_hint_that_excel_writes_for_itself(separator: str) -> None:
    for hint in (f"sep={separator}\n", f"SEP={separator};;;\r\n", f"\n# a remark\nsep={separator}\n"):
        (row,) = rows(hint + PLAIN.replace(",", separator))
        lines = hint.count("\n") + 2
        assert row == rows(PLAIN)[0] | {"source": f"staff.csv:{lines}"}


def test_remarks_as_a_spreadsheet_saves_them() -> None:
    """In quotes where there is a separator or a quote in them, and padded to the width of the sheet."""
    remarks = '"# The staff; one line each, say ""hello"";";;;\n# with an odd "quote;;;\n  "# again; and again";;;\n'
    sheet = remarks + PLAIN.replace(",", ";") + '"# jane left; ""really""";;;\n;;;\n'
    (row,) = rows(sheet)
    assert row == rows(PLAIN)[0] | {"source": "staff.csv:5"}


def test_two_ways_to_write_an_accent_are_one_text() -> None:
    one, other = (rows(f"address,full_name,machines,login\nz@example.org,Zo{e},büro,zo{e}\n") for e in ("\u00eb", "e\u0308"))
    assert one == other and other[0]["login"] == "zo\u00eb"


def test_lines_keep_their_numbers() -> None:
    sheet = '# a remark with an odd "quote\naddress,full_name\n\n# jane@example.org,"\njohn@example.org,John\n\nzoe@example.org,"Zoë, M."\n'
    assert [(row["source"], row["full_name"]) for row in rows(sheet)] == [("staff.csv:5", "John"), ("staff.csv:7", "Zoë, M.")]


def test_columns_in_any_order() -> None:
    assert rows("login,full_name,address\njane,Jane,jane@example.org\n")[0]["address"] == "jane@example.org"


def test_a_header_alone_is_an_empty_sheet_without_a_problem() -> None:
    assert rows("address,full_name\n") == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("", ["staff.csv:1: has no header; the first line must name the columns: " + ", ".join(COLUMNS)]),
        ("\n # only a remark\n,,,\n", ["staff.csv:1: has no header; the first line must name the columns: " + ", ".join(COLUMNS)]),
        (
            "address,fullname,phone\n",
            [
                'staff.csv:1: column "fullname" is not known; did you mean full_name?; known are: ' + ", ".join(COLUMNS),
                'staff.csv:1: column "full_name" is missing',
            ],
        ),
        ("address,full_name,address\n", ['staff.csv:1: column "address" is there twice']),
        (
            "address,full_name\njane@example.org,Doe, Jane\n",
            ['staff.csv:2 (jane@example.org): has more cells than the header; a cell with "," in it needs quotes'],
        ),
        (b"address,full_name\nx@example.org,Zo\xeb\n", ['staff.csv:2: is not UTF-8 text (byte 0xEB); save the sheet as "CSV UTF-8"']),
        (
            b"\xef\xbb\xbfaddress,full_name\rx@example.org,Zo\xeb\r",
            ['staff.csv:2: is not UTF-8 text (byte 0xEB); save the sheet as "CSV UTF-8"'],
        ),
        (
            # Half a pair of surrogates, on the third line.
            "address,full_name\njane@example.org,Jane\nx@example.org,Zo".encode("utf-16") + b"\x3d\xd8" + "\n".encode("utf-16-le"),
            ['staff.csv:3: is not UTF-16 text (byte 0x3D); save the sheet as "CSV UTF-8"'],
        ),
        ("address,full_name\n".encode("utf-16-be"), ['staff.csv:1: has a zero byte, which no text has; save the sheet as "CSV UTF-8"']),
        (
            b"PK\x03\x04\x14\x00\x06\x00",
            ['staff.csv:1: is a workbook (xlsx, ods) under another name, no text; save the sheet as "CSV UTF-8"'],
        ),
        (
            f"address,full_name\njane@example.org,Jane\njohn@example.org,{'x' * 200_000}\n",
            ['staff.csv:3: has a cell of more than 131072 characters; shorten it, or close the quote (") that it begins with'],
        ),
        (
            "address,full_name,\x1b[2Jstate\u202e\n",
            [r'staff.csv:1: column "\x1b[2Jstate\u202e" is not known; did you mean state?; known are: ' + ", ".join(COLUMNS)],
        ),
    ],
)
def test_what_is_wrong_is_said(data: str | bytes, expected: list[str]) -> None:
    assert problems(data) == expected


def test_a_quote_that_is_never_closed_is_said_and_nothing_is_acted_on() -> None:
    (problem,) = problems('address,full_name\njane@example.org,"Jane\njohn@example.org,John\n')
    assert problem.startswith('staff.csv:2: has a quote (") that is not closed')


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs", "Cf")), min_size=1, max_size=20)


@given(names=st.lists(TEXT, max_size=5), separator=st.sampled_from(",;\t"), end=st.sampled_from(["\n", "\r\n"]))
def test_what_a_csv_writer_writes_comes_back(names: list[str], separator: str, end: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    writer.writerow(["address", "full_name"])
    writer.writerows((f"p{number}@example.org", name) for number, name in enumerate(names))
    assert [row["full_name"] for row in rows(text.getvalue())] == [unicodedata.normalize("NFC", name) for name in names]


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    read_sheet(data)
