"""What all tests share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Ebok


def missing(component: str) -> None:
    """Skip for want of a component; a failure where everything must be there (``CI=true``)."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{component} is missing")
    pytest.skip(f"{component} is missing")


@pytest.fixture
def ebok() -> Iterator[Ebok]:
    """The command line on an empty data directory that the database's system user may enter."""
    directory = Path(tempfile.mkdtemp(prefix="ebok-data-", dir="/tmp"))
    directory.chmod(0o755)
    yield Ebok(directory)
    shutil.rmtree(directory, ignore_errors=True)
