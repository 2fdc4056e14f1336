"""Each bundled plugin off, with what requires it: the rest stands, and the product says why the others are off too."""

from __future__ import annotations

import pytest

from kernel.plugin.manager import bundled, enabled_with_requirements
from kernel.plugin.permissions import Role
from kernel.testing import Cluster, registry_of
from tests.architecture.furnished import furnished_office

EVERY = bundled()
MANIFESTS = {plugin.name: plugin.manifest for plugin in registry_of().plugins}


@pytest.mark.parametrize("off", EVERY)
async def test_every_other_page_stands(off: str, cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """The database is migrated without the plugin, each role sees each page that is left, and no part of one fails."""
    remaining, why = enabled_with_requirements(EVERY, [off])
    assert off not in remaining
    async with furnished_office(cluster, registry_of(remaining)) as left:
        wrong: list[str] = []
        for role in (None, *Role):
            visitor = await left.visitor(role, mode=role is Role.SUPERADMIN)
            for route in left.routes("GET"):
                if not left.may(role, route):
                    continue
                answers = {path: await visitor.get(path) for path in left.paths(route)}
                wrong += [
                    f"{role} {path}: {a.status}" for path, a in answers.items() if a.status not in {200, 303, 404}
                ]
                if not any(answer.status in {200, 303} for answer in answers.values()):
                    wrong.append(f"{role} {route.path} shows nothing of what is there")
    assert not wrong, "\n".join(wrong)
    assert "contribution" not in caplog.text
    assert set(why) == set(EVERY) - set(remaining)


@pytest.mark.parametrize("off", EVERY)
def test_what_requires_it_is_off_too_and_says_why(off: str) -> None:
    remaining, why = enabled_with_requirements(EVERY, [off])
    assert why.pop(off) == "switched off"
    gone = set(EVERY) - set(remaining)
    for name, reason in why.items():
        needed = gone & set(MANIFESTS[name].requires)
        assert needed
        assert reason in {f"requires {one}, which is off" for one in needed}
    assert not [name for name in remaining if gone & set(MANIFESTS[name].requires)], "nobody misses what it requires"


async def test_the_kernel_alone_is_an_office(cluster: Cluster) -> None:
    async with furnished_office(cluster, registry_of([])) as alone:
        for role in Role:
            visitor = await alone.visitor(role)
            page = await visitor.get("/", allow_redirects=True)
            assert page.status == 200
        assert (await (await alone.visitor(Role.ADMIN)).get(f"/admin/customers/{alone.own}")).status == 200
