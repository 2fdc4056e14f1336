"""What the part declares: routes, navigation, the port, verbs."""

from collections.abc import Sequence

from kernel import CustomerGroups, Nav, Route, Service, Verb, _
from plugins.customers.groups import member_pages, pages
from plugins.customers.groups.audience import KeptGroups
from plugins.customers.groups.face import Groups

ROUTES: Sequence[Route] = (*pages.ROUTES, *member_pages.ROUTES)
NAVIGATION: Sequence[Nav] = (Nav(_("Groups"), "customers.groups", 12, "users", _("Customers")),)
SERVICES: Sequence[Service] = (Service(Groups, KeptGroups()), Service(CustomerGroups, KeptGroups()))
VERBS: Sequence[Verb] = (
    Verb("customers.group_added", _("made the group {name}")),
    Verb("customers.group_changed", _("changed the group {name}")),
    Verb("customers.group_removed", _("deleted the group {name}")),
    Verb("customers.group_filled", _("put customers into the group {name}: {count}")),
    Verb("customers.group_emptied", _("took customers out of the group {name}: {count}")),
)
