"""Messages are compared in English, whatever catalogues other tests have loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.i18n import speaking


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    with speaking("en"):
        yield
