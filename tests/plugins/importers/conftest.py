"""Messages are compared in English, whatever catalogues other tests have loaded; one MariaDB for the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.i18n import speaking
from tests.conftest import missing
from tests.mariadb import MariaDB, available, mariadb


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    with speaking("en"):
        yield


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[MariaDB]:
    """A MariaDB that many tests read: each makes a database of its own."""
    if not available():
        missing("MariaDB's server (mariadb-server-core)")
    with mariadb("--skip-innodb-doublewrite", "--innodb-flush-log-at-trx-commit=0") as server:
        yield server
