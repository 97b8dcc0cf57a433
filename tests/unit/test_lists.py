"""The list as people keep it: workbooks, headers, cells, shared mailboxes."""

from __future__ import annotations

import datetime
import io
import zipfile
from typing import Any

import pytest
import xlsxwriter
import xlwt
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office import workbook
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.cells import index_of, machine_of
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.headers import COLUMNS
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.new_list import HELP, machines_of
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.new_list import workbook as workbook_of
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.problem import Problem, merged
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.staff_sheet import Sheet, read_sheet

HEADER = ["Email", "Name", "Computer", "Windows login", "Port"]
JANE = ["jane@example.org", "Jane Doe", "PC-01", "00417", 465]


def xlsx(**sheets: list[list[Any]]) -> bytes:
    stream = io.BytesIO()
    book = xlsxwriter.Workbook(stream)
    date = book.add_format({"num_format": "yyyy-mm-dd"})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for number, row in enumerate(rows):
            for column, value in enumerate(row):
                if isinstance(value, datetime.date):
                    sheet.write_datetime(number, column, datetime.datetime(value.year, value.month, value.day), date)
                elif isinstance(value, str) and value.startswith("="):
                    sheet.write_formula(number, column, value, value="of a formula")
                elif isinstance(value, str):
                    sheet.write_string(number, column, value)
                elif value is not None:
                    sheet.write(number, column, value)
    book.close()
    return stream.getvalue()


def xls(**sheets: list[list[Any]]) -> bytes:
    book = xlwt.Workbook()
    for name, rows in sheets.items():
        sheet = book.add_sheet(name)
        for number, row in enumerate(rows):
            for column, value in enumerate(row):
                sheet.write(number, column, value)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def ods(**sheets: list[list[Any]]) -> bytes:
    def cell(value: Any) -> str:
        kind = 'office:value-type="string"' if isinstance(value, str) else f'office:value-type="float" office:value="{value}"'
        return f"<table:table-cell {kind}><text:p>{value}</text:p></table:table-cell>"

    tables = "".join(
        f'<table:table table:name="{name}">'
        + "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
        + "</table:table>"
        for name, rows in sheets.items()
    )
    spaces = " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text"))
    body = f"<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>"
    content = f"<office:document-content {spaces}>{body}</office:document-content>"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
    return stream.getvalue()


def said(sheet: Sheet) -> list[str]:
    return [str(problem) for problem in sheet.problems]


@pytest.mark.parametrize(("make", "ending"), [(xlsx, "xlsx"), (ods, "ods"), (xls, "xls")])
def test_a_workbook_is_read_as_people_see_it(make: Any, ending: str) -> None:
    sheet = read_sheet(make(Cover=[["Our people"], ["as of May"]], Staff=[HEADER, JANE]), f"staff.{ending}")
    assert said(sheet) == []
    (row,) = sheet.rows
    assert row == dict.fromkeys(COLUMNS, "") | {
        **{"address": "jane@example.org", "full_name": "Jane Doe", "machines": "PC-01", "login": "00417", "smtp_port": "465"},
        "source": f"staff.{ending}, sheet Staff, row 2",
    }


def test_a_number_or_a_date_where_text_is_meant_is_said_with_its_row() -> None:
    rows = [HEADER, ["jane@example.org", "Jane", "PC-01", 417, None], ["joe@example.org", datetime.date(2026, 5, 1), "PC-02", "joe", None]]
    assert said(read_sheet(xlsx(Staff=rows), "staff.xlsx")) == [
        'staff.xlsx, sheet Staff, row 2 (jane@example.org): column login: "417" is a number in the workbook; '
        "format the column as text and type it again, as it was meant",
        'staff.xlsx, sheet Staff, row 3 (joe@example.org): column full_name: "2026-05-01" is a date or time in the workbook; '
        "format the column as text and type it again, as it was meant",
    ]


def test_a_formula_is_its_value_and_an_empty_row_is_none() -> None:
    (row,) = read_sheet(xlsx(S=[[], HEADER, [], ["jane@example.org", "=A1", "PC-01", "jane", ""]]), "staff.xlsx").rows
    assert row["full_name"] == "of a formula" and row["source"] == "staff.xlsx, sheet S, row 4"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "staff.xlsx: is no workbook that can be read"),
        (b"PK\x03\x04rubbish", "staff.xlsx: is no workbook that can be read"),
        (xlsx(One=[["only", "words"]]), 'staff.xlsx, sheet One, row 1: column "address" is missing'),
        (xlsx(One=[[]]), "staff.xlsx: has no header in any of its sheets"),
    ],
)
def test_what_is_no_list_is_one_clear_line(data: bytes, what: str) -> None:
    sheet = read_sheet(data, "staff.xlsx")
    assert sheet.rows == [] and said(sheet)[0].startswith(what), said(sheet)


def test_without_the_library_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "calamine", None)
    assert said(read_sheet(xlsx(S=[HEADER]), "staff.xlsx"))[0].startswith("staff.xlsx: cannot be read: python-calamine is not installed")


def test_exports_are_taken_as_they_come() -> None:
    """The headers of Microsoft 365 and of Google, most of which nobody needs."""
    microsoft = (
        "Block credential,City,Department,Display name,First name,Last name,Phone number,Postal code,State,Usage location,"
        "User principal name\n"
    )
    sheet = read_sheet((microsoft + "False,Austin,Sales,Jane Doe,Jane,Doe,+1 512 555 0100,78701,TX,US,jane@example.org\n").encode())
    assert said(sheet) == []
    (row,) = sheet.rows
    assert (row["address"], row["full_name"], row["state"], row["phones"]) == ("jane@example.org", "Jane Doe", "", "")
    assert sheet.notes == [
        "not needed, and not read: columns Block credential, City, Department, Phone number, Postal code, State, Usage location "
        "(staff.csv:1)"
    ]
    google = (
        "First Name [Required],Last Name [Required],Email Address [Required],Password [Required],Org Unit Path [Required],Mobile Phone\n"
    )
    sheet = read_sheet((google + "Zoë,Müller,zoe@example.org,Secret1!,/,+1 (512) 555-0101\n").encode())
    assert said(sheet) == []
    assert (sheet.rows[0]["full_name"], sheet.rows[0]["phones"]) == ("Zoë Müller", "")
    assert sheet.notes == [
        "not needed, and not read: column Org Unit Path [Required] (staff.csv:1)",
        "not read: column Password [Required]; delete it, a list is no place for passwords (staff.csv:1)",
        "a telephone number is no kind of phone; write iphone or android (staff.csv:2)",
    ]
    assert "Secret1!" not in str(sheet)


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("Email,Mail,Name", ['columns "Email" and "Mail" both mean address; leave one out']),
        ("Email,Name,Login,Username", ['column "Username" may be the address or login, and both are there already']),
        ("adress,Name", ['column "adress" is not known; did you mean address?', 'column "address" is missing']),
        ("Email,Nmae,First name", ['column "Nmae" is not known']),
    ],
)
def test_what_a_header_may_mean_twice_is_an_error_with_both_readings(header: str, what: list[str]) -> None:
    found = said(read_sheet((header + "\n").encode()))
    assert [problem.partition(": ")[2][: len(expected)] for problem, expected in zip(found, what, strict=False)] == what, found


def test_username_is_what_the_list_does_not_have_otherwise() -> None:
    assert read_sheet(b"Username,Display name\njane@example.org,Jane\n").rows[0]["address"] == "jane@example.org"
    (row,) = read_sheet(b"Email,Display name,Username\njane@example.org,Jane,ACME\\jane\n").rows
    assert (row["address"], row["login"]) == ("jane@example.org", "jane")


@pytest.mark.parametrize(
    ("column", "cell", "read"),
    [
        ("machines", "pc-1, pc-2;pc-3/pc-4\npc-5", "pc-1 pc-2 pc-3 pc-4 pc-5"),
        ("machines", "none", ""),
        ("login", r"ACME\mjones", "mjones"),
        ("login", r".\mjones", "mjones"),
        ("login", "mjones@acme.local", "mjones"),
        ("login", "m.jones", "m.jones"),
        ("phones", "iPhone, iPad", "ios"),
        ("phones", "iOS/Android", "ios android"),
        ("phones", "Samsung Galaxy", "android"),
        ("phones", "Android phone; Pixel", "android"),
        ("phones", "-", ""),
        ("phones", "Nokia", "Nokia"),
        ("programs", "Thunderbird, mutt", "thunderbird mutt"),
        ("programs", "Apple Mail", "apple_mail"),
        ("programs", "Mail / MS Outlook", "apple_mail outlook"),
        ("protocol", "POP3", "pop"),
        ("protocol", "IMAP4", "imap"),
        ("state", "Left", "absent"),
        ("state", "leaver", "absent"),
        ("state", "Active", "present"),
        ("state", "suspended", "suspended"),
    ],
)
def test_cells_are_read_as_people_write_them(column: str, cell: str, read: str) -> None:
    (row,) = read_sheet(f'address,full_name,{column}\na@example.org,A,"{cell}"\n'.encode()).rows
    assert row[column] == read


def test_machines_are_found_whatever_the_case_and_the_domain() -> None:
    index = index_of(["PC-BOSS", "lnx-01", "desk.acme.local", "desk.other.local", "192.0.2.1", "192.0.2.2"])
    assert machine_of("pc-boss", index) == ["PC-BOSS"]
    assert machine_of("PC-Boss.acme.local", index) == ["PC-BOSS"]
    assert machine_of("LNX-01", index) == ["lnx-01"]
    assert machine_of("desk.acme.local", index) == ["desk.acme.local"]
    assert machine_of("desk", index) == ["desk.acme.local", "desk.other.local"]
    assert machine_of("192.0.2.3", index) == [] and machine_of("pc-bos", index) == []


def test_a_mailbox_of_several_people_is_everybody_s_with_its_own_name() -> None:
    text = (
        "address,full_name,machines,login\n"
        "donna@x.org,Donna Green,pc,dgreen\ngeorge@x.org,George Adams,pc,gadams\n"
        "info@x.org,Acme Info,pc,dgreen\ninfo@x.org,Acme Info,pc,gadams\ninfo@x.org,Acme Info,pc,nobody-else\n"
    )
    sheet = read_sheet(text.encode())
    assert [(row["full_name"], row["sender_name"]) for row in sheet.rows] == [
        ("Donna Green", ""),
        ("George Adams", ""),
        ("Donna Green", "Acme Info"),
        ("George Adams", "Acme Info"),
        ("Acme Info", ""),
    ]
    assert sheet.notes == ["info@x.org is of several people; its name is the sender name (staff.csv, lines 4, 5)"]


def test_what_is_wrong_in_the_same_way_is_one_problem_with_its_lines() -> None:
    wrong = [Problem(f"staff.csv:{line}", f"p{line}@x.org", "column programs", '"Outlok" is not known') for line in range(2, 21)]
    other = Problem("staff.csv:7", "p7@x.org", "column login", "is empty")
    assert merged([*wrong, other, other]) == [
        'staff.csv, lines 2, 3, 4, 5 and 15 more: column programs: "Outlok" is not known',
        "staff.csv:7 (p7@x.org): column login: is empty",
    ]
    assert merged(wrong[:2]) == [str(problem) for problem in wrong[:2]]
    rows = [Problem(f"staff.xlsx, sheet S, row {line}", "", "column x", "y") for line in (3, 4, 9)]
    assert merged(rows) == ["staff.xlsx, sheet S, rows 3, 4, 9: column x: y"]


def test_the_machines_of_a_new_office_come_from_a_text_or_a_table() -> None:
    def found(data: bytes, name: str) -> dict[str, list[str]]:
        machines, problems = machines_of(data, name)
        assert problems == []
        return {platform: names for platform, names in machines.items() if names}

    text = b"lnx-01, lnx-02   Linux  # the two upstairs\nPC-BOSS\tWindows\npc-boss Windows\nmac-01\n\nwin-server\n"
    assert found(text, "list.txt") == {"linux": ["lnx-01", "lnx-02"], "windows": ["PC-BOSS"], "": ["mac-01", "win-server"]}
    table = "\ufeffDevice name;Operating system;Owner\nPC-1;Windows 11 Pro;Jane\nMB-1;macOS 15;Joe\nsrv;Ubuntu 24.04;\nnas;;\n".encode()
    wanted = {"windows": ["PC-1"], "macos": ["MB-1"], "linux": ["srv"], "": ["nas"]}
    assert found(table, "list.csv") == wanted
    rows = [["Device name", "Operating system"], ["PC-1", "Windows 11 Pro"], ["MB-1", "macOS 15"], ["srv", "Ubuntu 24.04"], ["nas", ""]]
    assert found(xlsx(List=rows), "list.xlsx") == wanted
    assert found(b"pc-1\npc-2\n", "list.csv") == {"": ["pc-1", "pc-2"]}
    assert [str(problem) for problem in machines_of(b"a_b {{ x }}\n", "list.txt")[1]] == [
        'list.txt:1: "a_b" is no name of a machine',
        'list.txt:1: "{{" is no name of a machine',
        'list.txt:1: "}}" is no name of a machine',
    ]


def test_the_workbook_of_a_new_office_is_a_list() -> None:
    row = dict.fromkeys(COLUMNS, "") | {"address": "zoe@example.org", "full_name": "=Zoë", "login": "00417", "machines": "a b"}
    (read,) = read_sheet(workbook_of([row]), "staff.xlsx").rows
    assert {name: read[name] for name in COLUMNS} == row
    assert read_sheet(workbook_of([]), "staff.xlsx") == Sheet([], [], [])
    assert {*HELP} == {*COLUMNS}
