"""One furnished office for all tests of a module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from kernel.testing import Cluster, registry_of
from tests.architecture.furnished import Furnished, furnished_office


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def furnished(cluster: Cluster) -> AsyncIterator[Furnished]:
    """The whole product with one of everything; tests that use it ask for the module's loop."""
    async with furnished_office(cluster, registry_of()) as made:
        yield made


@pytest.fixture
async def fresh(cluster: Cluster) -> AsyncIterator[Furnished]:
    """The same for one test alone, which may turn it upside down."""
    async with furnished_office(cluster, registry_of()) as made:
        yield made
