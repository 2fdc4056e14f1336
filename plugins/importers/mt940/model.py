"""MT940 and MT942 as banks really write them: a tolerant reader, pure.

Source: SWIFT's category 9 messages, and the dialects of Polish banks: what an entry is about stands in ``:86:`` either
as subfields with a mark of two digits (``~20`` ``^20`` ``<20`` ``?20``) or as free text («OD: …; TYT.: …»), sometimes
in two ``:86:`` for one entry (a code, then the text). Files come in UTF-8, cp1250, ISO 8859-2 and cp852, unmarked.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import BinaryIO, Final

from kernel import Money, Text, _
from plugins.payments import BankFileError, Statement, StatementLine, shown_number

# --- text -----------------------------------------------------------------------------------------------------------

POLISH: Final = frozenset("ąćęłńóśźżĄĆĘŁŃÓŚŹŻ")
CODE_PAGES: Final = ("cp1250", "iso8859-2", "cp852")
"""In the order in which they win when they read a file alike."""
LONGEST_LINE: Final = 10_000
_ASCII: Final = bytes(range(128))
_BOM: Final = b"\xef\xbb\xbf"


def decoded(file: BinaryIO) -> Iterator[str]:
    """The lines of a file. A line that is UTF-8 is read as that; the others in the code page whose letters look Polish.

    So a file that was put together from several keeps its letters. Raises BankFileError for what is no text.
    """
    high: Counter[int] = Counter()
    for line in file:
        if b"\x00" in line or len(line) > LONGEST_LINE:
            raise BankFileError(_("This is no MT940 file: it is no text."))
        if not _is_utf8(line):
            high.update(line.translate(None, _ASCII))
    page = max(CODE_PAGES, key=lambda name: _looks_polish(high, name))
    file.seek(0)
    for number, line in enumerate(file):
        text = line.removeprefix(_BOM) if number == 0 else line
        yield from text.decode("utf-8" if _is_utf8(text) else page, "replace").rstrip("\n").rstrip("\r").split("\r")


def _is_utf8(line: bytes) -> bool:
    if line.isascii():
        return True
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _looks_polish(high: Counter[int], page: str) -> int:
    letters = ((bytes([byte]).decode(page, "replace"), count) for byte, count in high.items())
    return sum(count * (3 if letter in POLISH else -2) for letter, count in letters)


# --- fields ---------------------------------------------------------------------------------------------------------

_TAG: Final = re.compile(r"^:(20|21|25P?|28C?|60[FM]?|61|62[FM]?|64|65|86|13D?|34F|90[CD]|NS):")
_END: Final = re.compile(r"-(\}.*|X*)?\s*")
_ENVELOPE: Final = re.compile(r"\{[1-5]:.*")


@dataclass(slots=True)
class _Field:
    """A field of a message: its tag, and its lines as they stand in the file."""

    tag: str
    lines: list[str]


def _fields(lines: Iterable[str]) -> Iterator[_Field | None]:
    """Fields one after another; None where a message ends. What stands before the first field is no part of any."""
    current: _Field | None = None
    for line in lines:
        clean = line.lstrip("\x01\x03\ufeff")
        found = _TAG.match(clean.lstrip())
        if found is not None:
            if current is not None:
                yield current
            current = _Field(found[1], [clean.lstrip()[found.end() :]])
        elif _END.fullmatch(clean) or _ENVELOPE.match(clean):
            if current is not None:
                yield current
                yield None
            current = None
        elif current is not None:
            current.lines.append(line)
    if current is not None:
        yield current


# --- amounts and days -----------------------------------------------------------------------------------------------

_AMOUNT: Final = re.compile(r"([0-9]{1,15})(?:[,.]([0-9]{0,2}))?")
_BALANCE: Final = re.compile(r"\s*([DC])([0-9]{6})([A-Z]{3})([0-9][0-9.,]*)\s*")
_TURNOVER: Final = re.compile(r"\s*([0-9]{1,6})([A-Z]{3})([0-9][0-9.,]*)\s*")
_ENTRY: Final = re.compile(
    r"(?P<value>[0-9]{6})(?P<entry>[0-9]{4})?(?P<mark>[RE]?[DC])(?P<funds>[A-Z])?(?P<amount>[0-9][0-9.,]*)"
    r"(?:(?P<kind>[A-Z][A-Z0-9 ]{3})(?P<rest>.*))?"
)


def amount_of(text: str) -> int:
    """``300,`` ``0,5`` ``000000012,34`` in hundredths. Raises ValueError."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))


def day_of(text: str) -> date:
    """``YYMMDD``; a day that its month does not have (30 February) is the month's last. Raises ValueError."""
    year, month, day = 2000 + int(text[:2]), int(text[2:4]), int(text[4:6])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        raise ValueError(text)
    return date(year, month, min(day, monthrange(year, month)[1]))


def entry_day(text: str, value: date) -> date:
    """``MMDD`` in the year that brings it nearest to the value date. Raises ValueError."""
    days = [day_of(f"{year % 100:02d}{text}") for year in (value.year - 1, value.year, value.year + 1)]
    return min(days, key=lambda day: abs((day - value).days))


# --- what an entry is about -----------------------------------------------------------------------------------------

WIDTH: Final = 65
"""Characters of a line of ``:86:``: a shorter one has lost the blank at its end."""
FULL: Final = (27, 35)
"""Characters of a subfield: in a full one a word may go on in the next."""
_MARKED: Final = re.compile(r"\s*(?:[0-9A-Z]{1,4}\s*)?([~^<?])[0-9]{2}")
_SEPA: Final = re.compile(r"(EREF|KREF|MREF|CRED|DEBT|SVWZ|ABWA|ABWE|IBAN|BIC|COAM|OAMT|PURP)[+]")
_ACCOUNT: Final = re.compile(r"(?:PL)?\s?([0-9]{2}(?:\s?[0-9]{4}){6})(?![0-9])")
_TITLE: Final = range(20, 30)
_MORE: Final = range(60, 64)
_NAME_TOO: Final = range(27, 30)


@dataclass(slots=True)
class _About:
    """What the text of an entry says."""

    title: str = ""
    name: str = ""
    account: str = ""
    paid_to: str = ""
    end_to_end: str = ""


def _joined(lines: Sequence[str]) -> str:
    return "".join(line if len(line) >= WIDTH or line.endswith(" ") else f"{line} " for line in lines).strip()


def about(texts: Sequence[Sequence[str]]) -> _About:
    """What the ``:86:`` of one entry say (each a list of its lines), in whatever dialect they are written."""
    whole = [_joined(lines) for lines in texts]
    for text in whole:
        marked = _MARKED.match(text)
        if marked:
            return _structured(text[marked.start(1) :], marked[1])
    return _free(" ".join(filter(None, whole)))


def _structured(text: str, mark: str) -> _About:
    parts: dict[int, str] = {}
    pieces = re.split(rf"{re.escape(mark)}([0-9]{{2}})", text)
    for number, value in zip(pieces[1::2], pieces[2::2], strict=True):
        parts[int(number)] = parts.get(int(number), "") + value
    name = _spaced(parts, (32, 33))
    of_title = list(_TITLE)
    if mark == "<" and not name:  # the name stands at the end of the title's subfields
        name, of_title = _spaced(parts, _NAME_TOO), of_title[: _NAME_TOO.start - _TITLE.start]
    if mark == "?":  # what others use for an address goes on with the title
        of_title += _MORE
    title = _glued([parts[number] for number in of_title if number in parts])
    keyed = _keyed(title)
    account = _account(parts)
    if mark == "?" and "IBAN" in keyed and not account:
        account = _plain(keyed["IBAN"].split(" ")[0])
    known = {*_TITLE, *_MORE, 30, 31, 32, 33, 38}
    return _About(
        title=keyed.get("SVWZ", title) if keyed else title,
        name=name,
        account=account,
        paid_to=_first_account(value for number, value in sorted(parts.items()) if number not in known),
        end_to_end=keyed.get("EREF", ""),
    )


def _spaced(parts: Mapping[int, str], numbers: Iterable[int]) -> str:
    return _glued([parts[number] for number in numbers if number in parts])


def _glued(values: Sequence[str]) -> str:
    text = "".join(value if len(value) in FULL and not value.endswith(" ") else f"{value} " for value in values)
    return " ".join(text.split())


def _keyed(title: str) -> dict[str, str]:
    """Values of SEPA's keys (``EREF+…SVWZ+…``); empty where there are none."""
    pieces = _SEPA.split(title)
    return {key: value.strip() for key, value in zip(pieces[1::2], pieces[2::2], strict=True)}


def _account(parts: Mapping[int, str]) -> str:
    """The other party's account: whole in 38 or 31, or a bank's number in 30 and the rest of the account in 31."""
    whole, sort, rest = (_plain(parts.get(number, "")) for number in (38, 30, 31))
    if len(whole) >= len(rest):
        return whole
    return f"{sort}{rest}" if sort.isdecimal() and len(sort) == 8 and len(rest) == 16 and rest.isdecimal() else rest


def _plain(text: str) -> str:
    return re.sub(r"[\s-]", "", text).upper().removeprefix("PL")


def _first_account(values: Iterable[str]) -> str:
    for value in values:
        found = _ACCOUNT.search(value)
        if found:
            return _plain(found[1])
    return ""


_FREE: Final[Mapping[str, re.Pattern[str]]] = {
    "paid_to": re.compile(r"ID IPH: ?X*([0-9]{6,26})"),
    "account": re.compile(r"(?:Z|NA) RACH\.?: ?([0-9 ]{26,40})"),
    "name": re.compile(r"(?:OD|DLA): ?([^;]*)"),
    "title": re.compile(r"TYT\.?: ?(.*?)(?:;\s*TNR:|;\s*$|$)"),
    "end_to_end": re.compile(r"TNR: ?([0-9. ]+)"),
}


def _free(text: str) -> _About:
    found = {name: pattern.search(text) for name, pattern in _FREE.items()}
    if not (found["title"] or found["name"]):
        return _About(title=" ".join(text.split()))
    values = {name: " ".join(match[1].split()) if match else "" for name, match in found.items()}
    values["account"] = _plain(values["account"])
    values["end_to_end"] = ""  # «TNR» is the bank's number of the transaction, not the payer's reference
    return _About(**values)


# --- statements -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Open:
    """A message while it is being read."""

    account: str = ""
    number: str = ""
    currency: str = ""
    opening: int | None = None
    closing: int | None = None
    opened_on: date | None = None
    closed_on: date | None = None
    goes_on: bool = False
    continues: bool = False
    is_closed: bool = False
    turnover: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    entries: list[tuple[_Field, list[_Field]]] = field(default_factory=list[tuple[_Field, list[_Field]]])
    problem: Text | None = None
    fields: int = 0

    def wrong(self, problem: Text) -> None:
        self.problem = self.problem or problem


def read(file: BinaryIO) -> Iterator[Statement]:
    """The statements of a file. Pages of one statement are put together. Raises BankFileError where there is none."""
    waiting: Statement | None = None
    found = False
    for message in _messages(decoded(file)):
        found = True
        statement = _statement(message)
        if waiting is not None and message.continues and _is_next(waiting, statement):
            waiting = _together(waiting, statement)
            continue
        if waiting is not None:
            yield waiting
        waiting = statement
    if waiting is not None:
        yield waiting
    if not found:
        raise BankFileError(_("There is no statement in this file."))


def _messages(lines: Iterable[str]) -> Iterator[_Open]:
    message = _Open()
    for one in _fields(lines):
        begins = one is None or (one.tag == "20" and message.fields) or (one.tag[:2] == "60" and message.is_closed)
        if begins:
            if message.opening is not None or message.entries or message.closing is not None:
                yield message
            message = _Open()
        if one is not None:
            _take(message, one)
    if message.opening is not None or message.entries or message.closing is not None:
        yield message


def _take(message: _Open, one: _Field) -> None:
    message.fields += 1
    first = one.lines[0].strip()
    match one.tag:
        case "25" | "25P":
            message.account = _own_account(first)
        case "28" | "28C":
            message.number = shown_number(first)
        case "60" | "60F" | "60M":
            message.continues = one.tag == "60M"
            message.opening, message.opened_on = _balance(message, first, message.opening, message.opened_on)
        case "62" | "62F" | "62M":
            message.is_closed, message.goes_on = True, one.tag == "62M"
            message.closing, message.closed_on = _balance(message, first, message.closing, message.closed_on)
        case "61":
            message.entries.append((one, []))
        case "86":
            if message.entries and not message.is_closed:
                message.entries[-1][1].append(one)
        case "90C" | "90D":
            found = _TURNOVER.fullmatch(first)
            if found:
                message.currency = message.currency or found[2]
                message.turnover[1 if one.tag == "90C" else -1] = (int(found[1]), _or_none(found[3]) or 0)
        case "34F":
            message.currency = message.currency or first[:3]
        case _:
            pass


def _own_account(text: str) -> str:
    """``PL29 1140…``; a currency at the end (``…PLN``) is no part of the number."""
    plain = _plain(text)
    return re.sub(r"(?<=[0-9])[A-Z]{3}$", "", plain)


def _or_none(text: str) -> int | None:
    try:
        return amount_of(text)
    except ValueError:
        return None


def _balance(message: _Open, text: str, before: int | None, day: date | None) -> tuple[int | None, date | None]:
    found = _BALANCE.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        amount = amount_of(found[4])
        on = day_of(found[2])
    except ValueError:
        message.wrong(_("The file is damaged or cut off: «{text}» is no balance.", text=text[:60]))
        return before, day
    message.currency = found[3]
    return (amount if found[1] == "C" else -amount), on


def _statement(message: _Open) -> Statement:
    lines: list[StatementLine] = []
    for entry, texts in message.entries:
        try:
            lines.append(_line(entry, texts))
        except ValueError:
            message.wrong(_("The file is damaged or cut off: «{text}» is no entry.", text=entry.lines[0].strip()[:60]))
    _check_turnover(message, lines)
    return Statement(
        account=message.account,
        number=message.number,
        currency=message.currency,
        lines=tuple(replace(line, paid_to="") if line.paid_to == message.account else line for line in lines),
        opening=message.opening,
        closing=message.closing,
        opened_on=message.opened_on,
        closed_on=message.closed_on,
        problem=message.problem,
    )


def _check_turnover(message: _Open, lines: Sequence[StatementLine]) -> None:
    """MT942 has no balances but the number and sum of its debits and credits (``90D`` ``90C``)."""
    for sign, (count, total) in message.turnover.items():
        amounts = [abs(line.amount) for line in lines if line.amount * sign > 0]
        if (len(amounts), sum(amounts)) != (count, total):
            message.wrong(
                _(
                    "The file says that it has {count} lines over {total}, but it has {found}, over {made}.",
                    count=count,
                    total=Money(total),
                    found=len(amounts),
                    made=Money(sum(amounts)),
                )
            )


def _line(entry: _Field, texts: Sequence[_Field]) -> StatementLine:
    """One entry. Its sign: debits and reversals of credits take away. Raises ValueError for what is no entry."""
    first = entry.lines[0].strip()
    found = _ENTRY.fullmatch(first)
    if found is None:
        raise ValueError(first)
    value = day_of(found["value"])
    amount = amount_of(found["amount"])
    mark = found["mark"]
    takes = mark[-1] == "D" if mark[0] != "R" else mark == "RC"
    own, _slashes, banks = (found["rest"] or "").partition("//")
    said = about([text.lines for text in texts])
    references = [one.strip() for one in (banks, own)]
    more = " ".join(" ".join(line.split()) for line in entry.lines[1:])
    return StatementLine(
        amount=-amount if takes else amount,
        value_date=value,
        booked_on=entry_day(found["entry"], value) if found["entry"] else value,
        is_reversal=mark[0] == "R",
        party_name=said.name,
        party_account=said.account,
        paid_to=said.paid_to,
        title=said.title or more.strip(),
        reference=next((one for one in references if one and one != "NONREF"), ""),
        end_to_end=said.end_to_end,
        raw="\n".join([":61:" + "\n".join(entry.lines), *(":86:" + "\n".join(text.lines) for text in texts)]).rstrip(),
    )


def _is_next(before: Statement, page: Statement) -> bool:
    return (before.account, before.number, before.currency) == (page.account, page.number, page.currency) and (
        before.closing is None or before.closing == page.opening
    )


def _together(before: Statement, page: Statement) -> Statement:
    return replace(
        before,
        lines=before.lines + page.lines,
        closing=page.closing,
        closed_on=page.closed_on,
        problem=before.problem or page.problem,
    )


# --- the format -----------------------------------------------------------------------------------------------------

_LOOKS: Final = re.compile(rb"(^|[\r\n])\s*[\x01]?:(20|25|28C|60F|61):")


@dataclass(frozen=True, slots=True)
class Mt940:
    """MT940 and MT942, as an extension ``payments.bank_format``."""

    @property
    def label(self) -> Text:
        return _("MT940 or MT942")

    def recognises(self, start: bytes) -> bool:
        return _LOOKS.search(start) is not None

    def read(self, file: BinaryIO) -> Iterator[Statement]:
        return read(file)
