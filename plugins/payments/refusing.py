"""What the database refuses, told in words: constraint names of the ledger's schema become messages for people."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from kernel import Refused, Text

NO_FIELDS: Final[Mapping[str, str]] = MappingProxyType({})


@contextmanager
def refusing(words: Mapping[str, Text], fields: Mapping[str, str] = NO_FIELDS) -> Generator[None]:
    """Turn the error of a constraint named in ``words`` into ``Refused``, at its field of ``fields`` if it has one.

    Any other error goes on.
    """
    try:
        yield
    except Exception as error:
        name = getattr(error, "constraint_name", None) or ""
        if name not in words:
            raise
        raise Refused(words[name], field=fields.get(name)) from error
