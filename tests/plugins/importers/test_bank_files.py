# ruff: noqa: E501
"""Bank files: fifty real ones read with their balances held against their lines, or refused with the reason; dialects;
camt.053; what is no bank file."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.importers.camt053.model import Camt053
from plugins.importers.mt940.model import Mt940, amount_of, day_of, entry_day
from plugins.payments import BankFileError, Statement, StatementLine
from plugins.payments.bank.reading import statements_of
from plugins.payments.bank.statement import line_keys, missing_between, refusal, sequence_of, shown_number

FILES = Path(__file__).parents[2] / "data" / "bank-files" / "mt940_tests"
ALL = sorted([*FILES.rglob("*.sta"), *FILES.rglob("*.940.txt")])
FRAGMENTS = {
    "betterplace/currency_in_25.sta", "betterplace/empty_86.sta", "betterplace/empty_line.sta",
    "cmxl/account_identification_iban.sta", "cmxl/account_identification_legacy.sta", "cmxl/available_balance.sta",
    "cmxl/reference.sta", "cmxl/statement_number.sta", "self-provided/empty_non_swift.sta",
    "self-provided/invalid_statement.sta", "self-provided/long_statement_number.sta",
}  # fmt: skip
"""No entry and no balance in them: there is nothing to read."""
ADD_UP = {
    "betterplace/sepa_mt9401.sta", "betterplace/with_binary_character.sta", "cmxl/mt940.sta", "jejik/generic.sta",
    "jejik/rabobank-iban.sta", "jejik/sns.sta", "mBank/mt940.sta", "self-provided/february_30.sta",
    "self-provided/transaction_details_wrapped.sta", "self-provided/wrapped_timestamp.sta",
    "ASNB/0708271685_09022020_164516.940.txt",
}  # fmt: skip


def name(path: Path) -> str:
    return path.relative_to(FILES).as_posix()


def read(content: bytes) -> list[Statement]:
    return list(Mt940().read(io.BytesIO(content)))


def test_there_are_fifty() -> None:
    assert len(ALL) == 50


@pytest.mark.parametrize("path", ALL, ids=name)
def test_real_files(path: Path) -> None:
    """Each is read with every balance held against its lines, or it says why it is not."""
    if name(path) in FRAGMENTS:
        with pytest.raises(BankFileError, match="no statement"):
            read(path.read_bytes())
        return
    for statement in read(path.read_bytes()):
        if statement.problem is None and statement.is_checked and statement.opening is not None:
            assert (statement.opening + statement.total == statement.closing) is (statement.difference == 0)
        if statement.currency != "PLN" or statement.difference or statement.problem:
            assert refusal(statement) is not None
    if name(path) in ADD_UP:
        assert all(one.is_checked and not one.difference and one.problem is None for one in read(path.read_bytes()))


@pytest.mark.parametrize("path", [path for path in ALL if path.with_suffix(".yml").exists()], ids=name)
def test_amounts_are_the_expected_ones(path: Path) -> None:
    """The amounts beside the files; but for the reversal of a credit, which is booked there with the wrong sign."""
    wanted = expected(path.with_suffix(".yml").read_text())
    if not wanted or name(path) in FRAGMENTS:
        return
    lines = [line for statement in read(path.read_bytes()) for line in statement.lines]
    if any(line.is_reversal for line in lines) or len(lines) != len(wanted):
        return
    assert [abs(line.amount) for line in lines] == [abs(amount) for amount in wanted]


def expected(text: str) -> list[int]:
    part = text.partition("transactions:")[2]
    found = re.findall(
        r"\n    amount: !!python/object:mt940.models.Amount\n      amount: !!python/object/apply:decimal.Decimal \['(-?[\d.]+)'\]",
        part,
    )
    return [round(float(one) * 100) for one in found]


def test_reversals_have_the_right_sign() -> None:
    statement = read((FILES / "betterplace/sepa_mt9401.sta").read_bytes())[0]
    reversal = next(line for line in statement.lines if line.is_reversal)
    assert reversal.amount == -20488
    assert statement.difference == 0


@pytest.mark.parametrize(("mark", "sign"), [("C", 1), ("D", -1), ("RC", -1), ("RD", 1), ("CN", 1), ("RCR", -1)])
def test_marks(mark: str, sign: int) -> None:
    (statement,) = read(f":20:X\n:61:261123{mark}12,5NTRFNONREF//B1\n:86:x\n".encode())
    assert statement.lines[0].amount == sign * 1250
    assert statement.lines[0].is_reversal is mark.startswith("R")


def test_mbank() -> None:
    (statement,) = read((FILES / "mBank/mt940.sta").read_bytes())
    line = statement.lines[0]
    assert (statement.account, statement.number, statement.currency) == ("29114010810000267002001002", "1", "PLN")
    assert (line.amount, line.paid_to, line.party_account) == (1, "000000000001", "56114010810000267002001001")
    assert line.party_name.startswith("JAN NOWAK")
    assert line.title == "PRZELEW SRODKOW"
    assert line.reference == "MB170119012058"


# --- dialects ---------------------------------------------------------------------------------------------------------

LINE = StatementLine(
    12345,
    date(2026, 11, 23),
    date(2026, 11, 23),
    party_name="Żółkiewski Łukasz",
    party_account="56114010810000267002001001",
    title="czynsz 4711 za listopad",
    reference="B7",
)


def written(lines: Sequence[StatementLine], mark: str, *, twice: bool = False, opening: int = 1000) -> str:
    closing = opening + sum(line.amount for line in lines)
    parts = [":20:X", ":25:PL29101010100012345600004711", ":28C:41/2026", f":60F:{_balance(opening)}"]
    for line in lines:
        sign = ("RD" if line.is_reversal else "C") if line.amount > 0 else ("RC" if line.is_reversal else "D")
        figure = f"{abs(line.amount) // 100},{abs(line.amount) % 100:02d}"
        parts.append(f":61:{line.value_date:%y%m%d}{line.booked_on:%m%d}{sign}{figure}NTRFNONREF//{line.reference}")
        if not mark:
            parts.append(
                f":86:020 PRZELEW; Z RACH.: {line.party_account}; OD: {line.party_name}; TYT.: {line.title}; TNR: 1"
            )
            continue
        body = (
            f"{mark}00PRZELEW{mark}20{line.title}{mark}31{line.party_account}{mark}32{line.party_name}"
            f"{mark}38PL{line.party_account}"
        )
        parts += [":86:020", f":86:020{body}"] if twice else [f":86:020{body}"]
    return "\r\n".join([*parts, f":62F:{_balance(closing)}", "-", ""])


def _balance(amount: int) -> str:
    return f"{'C' if amount >= 0 else 'D'}261123PLN{abs(amount) // 100},{abs(amount) % 100:02d}"


@pytest.mark.parametrize("mark", ["~", "^", "<", "?", ""])
@pytest.mark.parametrize("coding", ["utf-8", "cp1250", "iso8859-2", "cp852"])
def test_every_dialect_in_every_encoding(mark: str, coding: str) -> None:
    for twice in (False, True):
        (statement,) = read(written([LINE], mark, twice=twice).encode(coding))
        found = statement.lines[0]
        assert (found.amount, found.party_name, found.party_account, found.title, found.reference) == (
            LINE.amount, LINE.party_name, LINE.party_account, LINE.title, LINE.reference,
        )  # fmt: skip
        assert refusal(statement) is None


def test_two_encodings_in_one_file() -> None:
    content = written([LINE], "~").encode("cp1250") + written([LINE], "~").encode("utf-8")
    assert {statement.lines[0].party_name for statement in read(content)} == {"Żółkiewski Łukasz"}


_LINES = st.builds(
    StatementLine,
    amount=st.integers(-(10**10), 10**10).filter(bool),
    value_date=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    booked_on=st.just(date(2026, 1, 1)),
    is_reversal=st.booleans(),
    party_name=st.sampled_from(["Żak", "Nowak Jan", "Ćma Ósma"]),
    party_account=st.just("56114010810000267002001001"),
    title=st.from_regex(r"[a-z]{1,8}( [0-9a-ząęł]{1,8}){0,2}", fullmatch=True).filter(lambda text: len(text) < 25),
    reference=st.from_regex(r"[A-Z0-9]{1,12}", fullmatch=True),
)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(_LINES, max_size=6),
    mark=st.sampled_from(["~", "^", "<", "?", ""]),
    opening=st.integers(-(10**10), 10**10),
)
def test_what_is_written_is_read_back(lines: list[StatementLine], mark: str, opening: int) -> None:
    lines = [replace(line, booked_on=line.value_date) for line in lines]
    (statement,) = read(written(lines, mark, opening=opening).encode())
    assert [replace(line, raw="") for line in statement.lines] == lines
    assert refusal(statement) is None
    assert len(set(line_keys(statement))) == len(lines)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=400) | st.text(max_size=400).map(lambda text: (":20:" + text).encode()))
def test_nonsense_is_refused_or_read(content: bytes) -> None:
    for one in (Mt940(), Camt053()):
        with suppress(BankFileError):
            list(one.read(io.BytesIO(content)))


# --- cut off, damaged ---------------------------------------------------------------------------------------------------


def test_a_file_cut_off_anywhere_is_never_taken_for_whole() -> None:
    text = written([LINE, replace(LINE, amount=-500)], "~")
    for end in range(text.index(":61:") + 5, text.index(":62F:")):
        for statement in read(text[:end].encode()):
            assert statement.problem is not None or not statement.is_checked


def test_a_wrong_total_is_refused_with_the_reason() -> None:
    (statement,) = read(written([LINE], "~").replace("C123,45", "C123,46").encode())
    assert "123,46" in str(refusal(statement))


def test_another_currency_is_read_and_not_booked() -> None:
    (statement,) = read(written([LINE], "~").replace("PLN", "EUR").encode())
    assert len(statement.lines) == 1
    assert "EUR" in str(refusal(statement))


def test_pages_of_one_statement_are_put_together() -> None:
    first = written([LINE], "~").replace(":62F:", ":62M:").replace("41/2026", "7/1")
    second = written([LINE], "~", opening=1000 + LINE.amount).replace(":60F:", ":60M:").replace("41/2026", "7/2")
    (statement,) = read((first + second).encode())
    assert (statement.number, len(statement.lines), statement.difference) == ("7", 2, 0)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(900), b"%PDF-1.7", b"a;b;c\n1;2;3", b"PK\x03\x04" + bytes(50)],
)
def test_what_is_no_bank_file_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(BankFileError):
        statements_of(content, [Mt940(), Camt053()])


# --- small rules --------------------------------------------------------------------------------------------------------


def test_small_rules() -> None:
    assert [amount_of(text) for text in ("300,", "0,5", "000000012,34", "15000")] == [30000, 50, 1234, 1500000]
    assert day_of("160230") == date(2016, 2, 29)
    assert entry_day("0102", date(2026, 12, 31)) == date(2027, 1, 2)
    assert [shown_number(text) for text in ("00004/00001", "41/2026", "01/2023/M", "1/1")] == [
        "4",
        "41/2026",
        "01/2023/M",
        "1",
    ]
    assert [sequence_of(text) for text in ("041/2026", "7", "M/7", "0")] == [41, 7, None, None]
    assert list(missing_between(40, 43)) == [41, 42]
    assert not missing_between(40, 41)
    assert not missing_between(365, 1)
    assert not missing_between(None, 9)


# --- camt.053 ---------------------------------------------------------------------------------------------------------

CAMT = """<?xml version="1.0" encoding="{coding}"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt><GrpHdr><MsgId>1</MsgId></GrpHdr>
<Stmt><Id>X</Id><LglSeqNb>41</LglSeqNb><Acct><Id><IBAN>PL29101010100012345600004711</IBAN></Id><Ccy>PLN</Ccy></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="PLN">10.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-23</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="PLN">110.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-23</Dt></Dt></Bal>
<Ntry><Amt Ccy="PLN">120.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>{status}</Sts><BookgDt><Dt>2026-11-23</Dt></BookgDt>
<ValDt><Dt>2026-11-23</Dt></ValDt><AcctSvcrRef>B1</AcctSvcrRef><NtryDtls>
<TxDtls><Refs><EndToEndId>E1</EndToEndId></Refs><Amt Ccy="PLN">{first}</Amt><RltdPties><Dbtr>{name}</Dbtr>
<DbtrAcct><Id><Othr><Id>56114010810000267002001001</Id></Othr></Id></DbtrAcct>
<CdtrAcct><Id><IBAN>PL61109010140000071219812874</IBAN></Id></CdtrAcct></RltdPties>
<RmtInf><Ustrd>czynsz</Ustrd><Ustrd>4711</Ustrd></RmtInf></TxDtls>
<TxDtls><Amt Ccy="PLN">20.00</Amt><RmtInf><Ustrd>woda</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
<Ntry><Amt Ccy="PLN">20.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><RvslInd>true</RvslInd><Sts>{status}</Sts>
<BookgDt><Dt>2026-11-23</Dt></BookgDt><AddtlNtryInf>zwrot</AddtlNtryInf></Ntry>
<Ntry><Amt Ccy="PLN">99.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>PDNG</Sts></Ntry>
</Stmt></BkToCstmrStmt></Document>"""


def camt(version: str = "02", first: str = "100.00", coding: str = "UTF-8") -> bytes:
    old = version == "02"
    text = CAMT.format(
        version=version,
        coding=coding,
        first=first,
        status="BOOK" if old else "<Cd>BOOK</Cd>",
        name="<Nm>Żak Łucja</Nm>" if old else "<Pty><Nm>Żak Łucja</Nm></Pty>",
    )
    return text.encode(coding)


@pytest.mark.parametrize("version", ["02", "08"])
@pytest.mark.parametrize("coding", ["UTF-8", "ISO-8859-2", "UTF-16"])
def test_camt_of_both_versions(version: str, coding: str) -> None:
    (statement,) = statements_of(camt(version, coding=coding), [Mt940(), Camt053()])
    assert refusal(statement) is None
    assert (statement.number, [line.amount for line in statement.lines]) == ("41", [10000, 2000, -2000])
    first = statement.lines[0]
    assert (first.party_name, first.party_account, first.paid_to, first.title, first.end_to_end) == (
        "Żak Łucja", "56114010810000267002001001", "61109010140000071219812874", "czynsz 4711", "E1",
    )  # fmt: skip
    assert [line.is_reversal for line in statement.lines] == [False, False, True]


def test_a_batch_whose_parts_do_not_make_it_stays_one_line() -> None:
    (statement,) = statements_of(camt(first="99.00"), [Camt053()])
    assert [line.amount for line in statement.lines] == [12000, -2000]
    assert refusal(statement) is None


def test_entities_and_cut_off_xml_are_refused() -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'
    outside = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'
    for content in (bomb, outside, camt()[:900], b"<html></html>", b"<Document/>"):
        with pytest.raises(BankFileError):
            statements_of(content, [Camt053()])
