"""camt.053 (ISO 20022): a bank statement as XML, read by local names whatever the version, pure.

Seen in the wild: ``camt.053.001.02`` and ``.08``, which differ in where a party's name and a status stand. A document
that declares its own types or entities is refused unread. The file is read part by part: an entry is forgotten once it
is a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import BinaryIO, Final
from xml.parsers import expat

from kernel import Text, _
from plugins.payments import BankFileError, Statement, StatementLine, shown_number

PART: Final = 1 << 16
DEEPEST: Final = 60
LONGEST_TEXT: Final = 20_000
_AMOUNT: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,5}))?")
_OPENING: Final = ("OPBD", "PRCD")
_CLOSING: Final = ("CLBD",)


@dataclass(slots=True)
class Node:
    """An element: its local name, its text, its parts. A part or text that is not there is empty."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    text: list[str] = field(default_factory=list[str])
    parts: list[Node] = field(default_factory=list["Node"])

    def all(self, *path: str) -> list[Node]:
        """Every element at this path."""
        found: list[Node] = [self]
        for name in path:
            found = [part for node in found for part in node.parts if part.name == name]
        return found

    def at(self, *path: str) -> Node:
        """The first element at this path, or an empty one."""
        return next(iter(self.all(*path)), Node(""))

    def say(self, *path: str) -> str:
        """The text at this path in one line."""
        return " ".join("".join(self.at(*path).text).split())

    def first(self, *paths: Sequence[str]) -> str:
        """The first text that is there."""
        return next((said for said in (self.say(*path) for path in paths) if said), "")


# --- reading --------------------------------------------------------------------------------------------------------


class _Reader:
    """Elements as they come. An entry becomes lines and is forgotten at once; a statement is kept until it is taken."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.stack: list[Node] = []
        self.lines: list[StatementLine] = []
        self.problem: Text | None = None
        self.done: list[Statement] = []
        self.is_statement = False

    def _refuse(self, *_facts: object) -> None:
        raise BankFileError(_("This file defines its own entities, as no bank does. It is not read."))

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        if len(self.stack) > DEEPEST:
            raise BankFileError(_("This is no camt.053 file."))
        if local == "BkToCstmrStmt":
            self.is_statement = True
        node = Node(local, attributes)
        if self.stack:
            self.stack[-1].parts.append(node)
        self.stack.append(node)

    def _text(self, text: str) -> None:
        if self.stack and len(self.stack[-1].text) < LONGEST_TEXT:
            self.stack[-1].text.append(text)

    def _end(self, _name: str) -> None:
        node = self.stack.pop()
        if node.name == "Ntry" and self.stack and self.stack[-1].name == "Stmt":
            self.stack[-1].parts.pop()
            try:
                self.lines += lines_of(node)
            except ValueError as error:
                self.problem = self.problem or _("An entry cannot be read: «{text}».", text=str(error)[:60])
        elif node.name == "Stmt":
            self.done.append(_statement(node, self.lines, self.problem))
            self.lines, self.problem = [], None
            if self.stack:
                self.stack[-1].parts.pop()


def read(file: BinaryIO) -> Iterator[Statement]:
    """The statements of a document. Raises BankFileError for one that is damaged, cut off or something else."""
    reader = _Reader()
    try:
        while part := file.read(PART):
            reader.parser.Parse(part, False)
            yield from _taken(reader)
        reader.parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise BankFileError(_("This XML file is damaged or cut off (line {line}).", line=error.lineno)) from error
    yield from _taken(reader)
    if not reader.is_statement:
        raise BankFileError(_("This is no camt.053 file."))


def _taken(reader: _Reader) -> list[Statement]:
    taken, reader.done = reader.done, []
    return taken


# --- a statement ----------------------------------------------------------------------------------------------------


def _statement(node: Node, lines: Sequence[StatementLine], problem: Text | None) -> Statement:
    account = _account(node.at("Acct"))
    balances: dict[str, tuple[int, date | None]] = {}
    currency = node.say("Acct", "Ccy")
    for balance in node.all("Bal"):
        try:
            code = balance.first(("Tp", "CdOrPrtry", "Cd"), ("Tp", "CdOrPrtry", "Prtry"))
            balances.setdefault(code, (_signed(balance), _day(balance.at("Dt"))))
        except ValueError as error:
            problem = problem or _("A balance cannot be read: «{text}».", text=str(error)[:60])
        currency = balance.at("Amt").attributes.get("Ccy", currency)
    opening = next((balances[code] for code in _OPENING if code in balances), (None, None))
    closing = next((balances[code] for code in _CLOSING if code in balances), (None, None))
    return Statement(
        account=account,
        number=shown_number(node.first(("LglSeqNb",), ("ElctrncSeqNb",), ("Id",))),
        currency=currency,
        lines=tuple(replace(line, paid_to="") if line.paid_to == account else line for line in lines),
        opening=opening[0],
        closing=closing[0],
        opened_on=opening[1],
        closed_on=closing[1],
        problem=problem,
    )


def _account(node: Node) -> str:
    return node.first(("Id", "IBAN"), ("Id", "Othr", "Id")).replace(" ", "").replace("-", "").upper().removeprefix("PL")


def _amount(node: Node) -> int:
    """The element's ``Amt`` in hundredths. Raises ValueError."""
    text = node.say("Amt")
    found = _AMOUNT.fullmatch(text)
    decimals = (found[2] or "") if found else ""
    if found is None or decimals[2:].strip("0"):
        raise ValueError(text)
    return int(found[1]) * 100 + int(decimals[:2].ljust(2, "0"))


def _signed(node: Node) -> int:
    """``Amt`` with the sign of ``CdtDbtInd``. Raises ValueError."""
    side = node.say("CdtDbtInd")
    if side not in ("CRDT", "DBIT"):
        raise ValueError(side)
    return _amount(node) if side == "CRDT" else -_amount(node)


def _day(node: Node) -> date | None:
    text = node.first(("Dt",), ("DtTm",))
    return date.fromisoformat(text[:10]) if text else None


# --- entries --------------------------------------------------------------------------------------------------------


def lines_of(entry: Node) -> list[StatementLine]:
    """The lines of an entry: one for each transaction where it tells them all (a batch), else one for the whole.

    An entry that is not booked yet is none. Raises ValueError for what cannot be read.
    """
    if entry.first(("Sts", "Cd"), ("Sts",)) not in ("BOOK", ""):
        return []
    total = _signed(entry)
    booked, value = _day(entry.at("BookgDt")), _day(entry.at("ValDt"))
    day = booked or value
    if day is None:
        raise ValueError(entry.say("NtryRef") or entry.say("Amt"))
    told = entry.all("NtryDtls", "TxDtls")
    amounts = [_amount_of(one, entry) for one in told]
    parts: list[tuple[int, Node]] = [(total, told[0] if len(told) == 1 else Node(""))]
    if len(told) > 1 and None not in amounts and sum(filter(None, amounts)) == total:
        parts = [(amount, one) for amount, one in zip(amounts, told, strict=True) if amount is not None]
    return [
        _line(amount, one, entry, value or day, day, place if len(parts) > 1 else None)
        for place, (amount, one) in enumerate(parts, 1)
    ]


def _amount_of(one: Node, entry: Node) -> int | None:
    """A transaction's amount with its sign; None where it is not told, or in another currency than the entry."""
    side = one.say("CdtDbtInd") or entry.say("CdtDbtInd")
    for node in (one, one.at("AmtDtls", "TxAmt"), one.at("AmtDtls", "InstdAmt")):
        if node.say("Amt"):
            if node.at("Amt").attributes.get("Ccy") != entry.at("Amt").attributes.get("Ccy"):
                return None
            return _amount(node) if side == "CRDT" else -_amount(node)
    return None


def _line(amount: int, one: Node, entry: Node, value: date, booked: date, place: int | None) -> StatementLine:
    payer, payee = ("Dbtr", "Cdtr") if amount > 0 else ("Cdtr", "Dbtr")
    parties = one.at("RltdPties")
    title = " ".join(node_text for node in one.all("RmtInf", "Ustrd") if (node_text := node.say()))
    if not title:
        title = one.first(("RmtInf", "Strd", "CdtrRefInf", "Ref"), ("AddtlTxInf",)) or entry.say("AddtlNtryInf")
    end_to_end = one.say("Refs", "EndToEndId")
    return StatementLine(
        amount=amount,
        value_date=value,
        booked_on=booked,
        is_reversal=entry.say("RvslInd") == "true",
        party_name=parties.first((payer, "Nm"), (payer, "Pty", "Nm"), (f"Ultmt{payer}", "Nm")),
        party_account=_account(parties.at(f"{payer}Acct")),
        paid_to=_account(parties.at(f"{payee}Acct")) if amount > 0 else "",
        title=title,
        reference=one.say("Refs", "AcctSvcrRef")
        or (entry.first(("AcctSvcrRef",), ("NtryRef",)) + (f"/{place}" if place else "")),
        end_to_end="" if end_to_end == "NOTPROVIDED" else end_to_end,
        raw="\n".join(_shown(entry, but="NtryDtls") + _shown(one)),
    )


def _shown(node: Node, but: str = "", path: str = "") -> list[str]:
    """An element as lines of «path: text», without parts named ``but``."""
    here = f"{path}/{node.name}" if path else node.name
    text = " ".join("".join(node.text).split())
    own = [f"{here}: {text}"] if text else []
    return own + [line for part in node.parts if part.name != but for line in _shown(part, but, here)]


# --- the format -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Camt053:
    """camt.053, as an extension ``payments.bank_format``."""

    @property
    def label(self) -> Text:
        return _("camt.053 (XML)")

    def recognises(self, start: bytes) -> bool:
        plain = start.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
        return plain.startswith(b"<") and b"html" not in plain[:200].lower()

    def read(self, file: BinaryIO) -> Iterator[Statement]:
        return read(file)
