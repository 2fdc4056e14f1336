"""The payment order as a bank reads it: account numbers, the QR code's text, amounts in words, lines of 27 characters.

Sources: the form «polecenie przelewu / wpłata gotówkowa» of PN-F-01101 and the filling rules of the Polish Bank
Association (ZBP); its recommendation on 2D codes of 3 December 2013.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from kernel import Money

LINE: Final = 27
"""Boxes in a line of the form."""
LARGEST_PRINTED: Final = Money(999_999_999_99)
"""The largest amount whose digits and comma fit into the twelve boxes of «kwota»."""
LARGEST_IN_QR: Final = Money(9_999_99)

_QR_NAME: Final = 20
_QR_TITLE: Final = 32
_POLISH_LETTERS: Final = "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ"
_QR_FORBIDDEN: Final = re.compile(rf"[^A-Za-z0-9{_POLISH_LETTERS} ,.\\/\-@#&*_]")
_UNDECOMPOSABLE: Final = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "–": "-", "—": "-"}
)

# 31 signs, a prime: the weighted check sign finds every single wrong sign and every swap of two neighbours.
_SIGNS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXY"
_REFERENCES: Final = len(_SIGNS) ** 6
_SPREAD: Final = 597_399_067
_REFERENCE_PREFIX: Final = "EB"


class OrderKind(StrEnum):
    """What the form is used for: one letter of «W P» is crossed out."""

    TRANSFER = "transfer"
    CASH = "cash"


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """One order to pay: what is printed on the form, shown on the page and told to the bank's application.

    ``amount`` None leaves the figure to the payer. ``payee_account`` is an NRB of 26 digits (ValueError when it is not:
    money cannot be sent to it), or empty where the office has not said it: the payer writes it by hand. Addresses are
    one line each, as on an envelope without the name. ``payee_nip`` is empty for a payee who has none.
    """

    payee_name: str
    payee_address: str
    payee_account: str
    amount: Money | None
    kind: OrderKind
    payer_name: str
    payer_address: str
    title: str
    customer_no: str
    reference: str = ""
    payee_nip: str = ""

    def __post_init__(self) -> None:
        if self.payee_account and normalise_nrb(self.payee_account) != self.payee_account:
            raise ValueError("an account number is kept as 26 digits")

    @property
    def payee_lines(self) -> tuple[str, str]:
        return party_lines(self.payee_name, self.payee_address)

    @property
    def payer_lines(self) -> tuple[str, str]:
        return party_lines(self.payer_name, self.payer_address)

    @property
    def title_lines(self) -> tuple[str, str]:
        return _pair(_identified(self.title, self._identifiers, width=LINE, lines=2))

    @property
    def transfer_title(self) -> str:
        """The title to copy into a bank's form: the same words as on paper, in one line of at most 54 characters."""
        return " ".join(_identified(self.title, self._identifiers, width=LINE, lines=2)).strip()

    @property
    def qr_payload(self) -> str:
        """The text of the QR code: nine fields, at most 160 characters; empty without an account to pay to.

        An amount above 9 999,99 zł does not fit its six digits: the code then leaves the amount to the payer.
        """
        if not self.payee_account:
            return ""
        amount = self.amount if self.amount and self.amount <= LARGEST_IN_QR else Money(0)
        title = _identified(_qr_text(self.title), map(_qr_text, self._identifiers), width=_QR_TITLE, lines=1)
        nip = re.sub(r"[\s\-]", "", self.payee_nip)
        fields = (
            nip if re.fullmatch("[0-9]{10}", nip) else "",
            "PL",
            self.payee_account,
            f"{amount.grosze:06d}",
            shortened(_qr_text(self.payee_name), _QR_NAME),
            title[0] if title else "",
            "",
            "",
            "",
        )
        return "|".join(fields)

    @property
    def amount_in_qr(self) -> bool:
        """Whether the bank's application fills the amount in from the code."""
        return self.amount is not None and Money(0) < self.amount <= LARGEST_IN_QR

    @property
    def account(self) -> str:
        """The payee's account as people read it: ``29 1010 1010 …``; empty where it is not known."""
        return format_nrb(self.payee_account) if self.payee_account else ""

    @property
    def figure(self) -> str:
        """What stands in the boxes of «kwota», the comma in one of its own: ``1234,56``; empty for handwriting."""
        if self.amount is None:
            return ""
        return f"{self.amount.grosze // 100},{self.amount.grosze % 100:02d}"

    @property
    def words(self) -> str:
        """The amount in words, empty where the payer writes the figure."""
        return amount_in_words(self.amount) if self.amount is not None else ""

    @property
    def _identifiers(self) -> tuple[str, ...]:
        return tuple(word for word in (self.reference, self.customer_no) if word)


@dataclass(frozen=True, slots=True)
class Sheet:
    """An order as it is handed out: the day to pay by, and which of several it is («1 z 3», with the total of all)."""

    order: PaymentOrder
    pay_by: date | None = None
    number: int = 1
    count: int = 1
    total: Money | None = None


# --- account numbers ------------------------------------------------------------------------------------------------


def normalise_nrb(text: str) -> str:
    """The 26 digits of a Polish account number written with or without «PL», spaces and hyphens.

    Raises ValueError when it has another length or its check digits (mod 97 = 1) are wrong.
    """
    digits = re.sub(r"[\s\-]", "", text).upper().removeprefix("PL")
    if not re.fullmatch("[0-9]{26}", digits):
        raise ValueError("an account number has 26 digits")
    if not has_right_check_digits(digits):
        raise ValueError("the check digits of this account number are wrong")
    return digits


def has_right_check_digits(nrb: str) -> bool:
    """Whether 26 digits pass ISO 7064 mod 97-10 as «PL» IBAN («PL» is 2521)."""
    return int(f"{nrb[2:]}2521{nrb[:2]}") % 97 == 1


def format_nrb(nrb: str) -> str:
    """``29 1010 1010 0012 3456 0000 4711``: as people compare account numbers."""
    return " ".join([nrb[:2], *(nrb[at : at + 4] for at in range(2, len(nrb), 4))])


# --- amounts --------------------------------------------------------------------------------------------------------


def amount_in_words(amount: Money) -> str:
    """``jeden tysiąc dwieście trzydzieści cztery złote 56/100``.

    A thousand is «jeden tysiąc»: no word can be written before it. Raises ValueError for a negative amount.
    """
    if amount.grosze < 0:
        raise ValueError("an amount in words is never negative")
    zloty, grosze = divmod(amount.grosze, 100)
    return f"{number_in_words(zloty)} {plural(zloty, 'złoty', 'złote', 'złotych')} {grosze:02d}/100"


_UNDER_TWENTY: Final = (
    "", "jeden", "dwa", "trzy", "cztery", "pięć", "sześć", "siedem", "osiem", "dziewięć", "dziesięć", "jedenaście",
    "dwanaście", "trzynaście", "czternaście", "piętnaście", "szesnaście", "siedemnaście", "osiemnaście",
    "dziewiętnaście",
)  # fmt: skip
_TENS: Final = (
    "", "", "dwadzieścia", "trzydzieści", "czterdzieści", "pięćdziesiąt", "sześćdziesiąt", "siedemdziesiąt",
    "osiemdziesiąt", "dziewięćdziesiąt",
)  # fmt: skip
_HUNDREDS: Final = (
    "", "sto", "dwieście", "trzysta", "czterysta", "pięćset", "sześćset", "siedemset", "osiemset", "dziewięćset",
)  # fmt: skip
_SCALE: Final = (
    ("", "", ""),
    ("tysiąc", "tysiące", "tysięcy"),
    ("milion", "miliony", "milionów"),
    ("miliard", "miliardy", "miliardów"),
    ("bilion", "biliony", "bilionów"),
)


def number_in_words(number: int) -> str:
    """A whole number below 10^15 in Polish, with «jeden» before every single thousand, million and so on."""
    if number == 0:
        return "zero"
    words: list[str] = []
    for power in reversed(range(len(_SCALE))):
        group = number // 1000**power % 1000
        if group:
            words += [*_group_in_words(group), plural(group, *_SCALE[power])]
    return " ".join(filter(None, words))


def _group_in_words(group: int) -> tuple[str, str, str]:
    hundreds, rest = divmod(group, 100)
    tens, ones = divmod(rest, 10) if rest >= 20 else (0, rest)
    return _HUNDREDS[hundreds], _TENS[tens], _UNDER_TWENTY[ones]


def plural(number: int, one: str, few: str, many: str) -> str:
    """The form of a Polish noun after a number: 1 złoty, 22 złote, 12 and 21 złotych."""
    if number == 1:
        return one
    return few if 2 <= number % 10 <= 4 and not 12 <= number % 100 <= 14 else many


# --- lines ----------------------------------------------------------------------------------------------------------


def wrapped(text: str, width: int = LINE) -> list[str]:
    """Break a text into lines at spaces; a word longer than a line is cut where the line ends."""
    lines: list[str] = []
    line = ""
    for word in unicodedata.normalize("NFC", text).split():
        if line and len(line) + 1 + len(word) <= width:
            line = f"{line} {word}"
            continue
        if line:
            lines.append(line)
        *whole, line = [word[at : at + width] for at in range(0, len(word), width)]
        lines += whole
    return [*lines, line] if line else lines


def shortened(text: str, width: int = LINE) -> str:
    """As many whole words as fit into one line; a first word longer than the line is cut."""
    return next(iter(wrapped(text, width)), "")


def party_lines(name: str, address: str) -> tuple[str, str]:
    """The two lines of a payee or payer, in capitals.

    A name of one line leaves the second to the address, shortened at a word. A longer name goes on there, and the
    address gives way. Nothing leaves its line.
    """
    first, *rest = wrapped(name.upper()) or [""]
    return _pair([first, rest[0] if rest else shortened(address.upper())])


def _identified(title: str, identifiers: Iterable[str], *, width: int, lines: int) -> list[str]:
    """Lines of a title that surely carry its identifiers: they move to the front where shortening could lose them."""
    names = list(identifiers)
    words = title.split()
    whole = wrapped(" ".join([*(name for name in names if name not in words), *words]), width)
    if len(whole) <= lines:
        return whole
    return wrapped(" ".join([*names, *(word for word in words if word not in names)]), width)[:lines]


def _pair(lines: Sequence[str]) -> tuple[str, str]:
    first, second = [*lines, "", ""][:2]
    return first, second


def _qr_text(text: str) -> str:
    """Only what a code may carry: foreign accents are taken off, other signs become a space."""
    composed = unicodedata.normalize("NFC", text)
    plain = "".join(sign if sign in _POLISH_LETTERS else _without_accent(sign) for sign in composed)
    return " ".join(_QR_FORBIDDEN.sub(" ", plain).split())


def _without_accent(sign: str) -> str:
    decomposed = unicodedata.normalize("NFKD", sign.translate(_UNDECOMPOSABLE))
    return "".join(part for part in decomposed if not unicodedata.combining(part))


# --- references -----------------------------------------------------------------------------------------------------


def reference_of(number: int) -> str:
    """The reference of the order with this number: ``EB`` and seven signs, the last of which checks the others.

    Without I, L, O, U and Z nothing is misread. Neighbouring numbers look unlike each other; every number below
    887 million has a reference of its own. Raises ValueError beyond.
    """
    if not 0 <= number < _REFERENCES:
        raise ValueError("there are no more references")
    rest = number * _SPREAD % _REFERENCES
    signs = ""
    for _position in range(6):
        rest, sign = divmod(rest, len(_SIGNS))
        signs += _SIGNS[sign]
    return f"{_REFERENCE_PREFIX}{signs}{_check_sign(signs)}"


def is_reference(text: str) -> bool:
    """Whether a word of a transfer's title is a reference without a slip of the pen."""
    signs = text.removeprefix(_REFERENCE_PREFIX)
    return len(text) == 9 and len(signs) == 7 and set(signs) <= set(_SIGNS) and signs[-1] == _check_sign(signs[:6])


def _check_sign(signs: str) -> str:
    return _SIGNS[sum(weight * _SIGNS.index(sign) for weight, sign in enumerate(signs, start=2)) % len(_SIGNS)]
