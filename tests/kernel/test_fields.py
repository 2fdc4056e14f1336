"""Kinds of text: one line that reads as it is written, and a tax number."""

import pytest
from pydantic import TypeAdapter, ValidationError

from kernel.fields import Line, Nip

LINE, NIP = TypeAdapter(Line), TypeAdapter(Nip)


def test_a_line_is_kept_as_it_is() -> None:
    assert LINE.validate_python("  Opłaty za lokal – lipiec „2026” ") == "Opłaty za lokal – lipiec „2026”"


@pytest.mark.parametrize(
    "text", ["a\nb", "a\x00b", "a\x1bb", "dwa\u2028wiersze", "\u202e00,1 atałpw", "a\u2066b", "x" * 201]
)
def test_what_is_not_one_readable_line_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        LINE.validate_python(text)


@pytest.mark.parametrize("text", ["1234563218", "123-456-32-18", "PL 123 456 32 18"])
def test_a_tax_number_however_it_is_written(text: str) -> None:
    assert NIP.validate_python(text) == "1234563218"


@pytest.mark.parametrize("text", ["1234563219", "12345", "١٢٣٤٥٦٣٢١٨", "1" * 21])
def test_a_wrong_tax_number_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        NIP.validate_python(text)
