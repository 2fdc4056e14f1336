"""A right is withdrawn, or the superadministrator's mode ends, while somebody is typing: nothing is done, and what was
typed is shown once more."""

from __future__ import annotations

import pytest

from kernel import Role
from kernel.testing import Office

pytestmark = pytest.mark.ebok(plugins=["payments"])


@pytest.mark.parametrize("role", [Role.ADMIN, Role.SUPERADMIN])
async def test_what_was_typed_is_shown_when_the_right_is_gone(office: Office, role: Role) -> None:
    visitor = await office.visitor(role)
    form = {"_key": "void-it", "reason": "wpisane <dwa> razy", "password": "tajne hasło", "extra": "dodane"}
    refused = await visitor.post("/admin/entries/1/void", form)
    assert refused.status == 403
    assert "wpisane &lt;dwa&gt; razy" in refused.text
    for hidden in ("tajne hasło", "void-it", "dodane"):
        assert hidden not in refused.text


async def test_visitors_and_programs_see_nothing_of_it(office: Office) -> None:
    nobody = await office.visitor()
    answer = await nobody.post("/admin/entries/1/void", {"reason": "wpisane dwa razy", "password": "x"})
    assert (answer.status, "wpisane" in answer.text) == (303, False)
