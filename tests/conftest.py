"""What all tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from kernel.testing import memory_directory
from tests.processes import Ebok


def missing(component: str) -> None:
    """Skip for want of a component; a failure where everything must be there (``CI=true``)."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{component} is missing")
    pytest.skip(f"{component} is missing")


@pytest.fixture
def ebok() -> Iterator[Ebok]:
    """The command line on an empty data directory that the database's system user may enter."""
    directory = memory_directory("ebok-data-")
    yield Ebok(directory)
    shutil.rmtree(directory, ignore_errors=True)
