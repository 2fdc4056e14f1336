"""The demonstration's tenants: the buildings, flats and people of a housing co-operative, the same for a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, LiteralString

from kernel import Connection, DemoLogin, DemoPlan, Site

CITY: Final = "Poznań"

_WOMEN: Final = (
    "Anna Maria Katarzyna Małgorzata Agnieszka Barbara Ewa Krystyna Magdalena Elżbieta Joanna Aleksandra Zofia Monika "
    "Teresa Danuta Natalia Julia Karolina Marta Beata Dorota Halina Jadwiga Janina Alicja Jolanta Iwona Grażyna Hanna "
    "Łucja Żaneta Renata Urszula Wiesława Bożena Stanisława Sylwia Paulina Patrycja"
)
_MEN: Final = (
    "Piotr Krzysztof Andrzej Tomasz Jan Paweł Michał Marcin Stanisław Jakub Adam Marek Łukasz Grzegorz Mateusz "
    "Wojciech Mariusz Dariusz Zbigniew Jerzy Maciej Rafał Robert Kamil Jacek Dawid Tadeusz Szymon Kacper Bartosz "
    "Ryszard Jarosław Janusz Artur Henryk Sławomir Sebastian Damian Przemysław Edward"
)
_FAMILIES: Final = (
    "Nowak Kowalski Wiśniewski Wójcik Kowalczyk Kamiński Lewandowski Zieliński Szymański Woźniak Dąbrowski Kozłowski "
    "Jankowski Mazur Kwiatkowski Wojciechowski Krawczyk Kaczmarek Piotrowski Grabowski Pawłowski Michalski Król "
    "Wieczorek Jabłoński Wróbel Nowakowski Majewski Olszewski Stępień Malinowski Jaworski Adamczyk Dudek Nowicki "
    "Pawlak Górski Witkowski Walczak Sikora Baran Rutkowski Michalak Szewczyk Ostrowski Tomaszewski Pietrzak Zalewski "
    "Wróblewski Marciniak Jasiński Zawadzki Bąk Jakubowski Sadowski Duda Włodarczyk Chmielewski Borkowski Sokołowski "
    "Szczepański Sawicki Kucharski Lis Maciejewski Kubiak Kalinowski Mazurek Wysocki Czarnecki Żak Ćwikła Ślusarczyk "
    "Źrebiec Łuczak Śliwiński Żurawski Świątek Gołębiowski Urbański"
)
_STREETS: Final = (
    ("Lipowa", "60-702"),
    ("Wiśniowa", "61-477"),
    ("Kasztanowa", "61-422"),
    ("os. Słoneczne", "61-669"),
    ("Żeglarska", "60-461"),
    ("Świętego Wojciecha", "61-749"),
)
_COMPANIES: Final = (
    "Piekarnia «Złoty Kłos» sp. z o.o.",
    "Apteka Pod Lipami s.c.",
    "Zakład Fryzjerski Bożena",
    "Biuro Rachunkowe Saldo sp. z o.o.",
    "Przychodnia Zdrowie sp.j.",
    "Sklep Spożywczy Żabi Kąt",
    "Pracownia Krawiecka Igiełka",
    "Kancelaria Prawna Ślusarczyk i Wspólnicy",
)
_COMPANY_EVERY: Final = 29
_FLATS: Final = 40


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer of the demonstration with the flat or shop that is billed."""

    customer_no: str
    kind: str
    name: str
    given_name: str
    family_name: str
    nip: str
    email: str
    phone: str
    street: str
    building: str
    flat: str
    postal_code: str
    code: str
    place: str


def feminine(family: str) -> str:
    """A woman's form of a family name: Kowalska of Kowalski; other names stay (Nowak, Wójcik)."""
    return f"{family[:-1]}a" if family.endswith(("ski", "cki", "dzki")) else family


def make_nip(random: Random) -> str:
    """Ten digits with a right check digit, beginning with 000, which no tax office gives."""
    while True:
        digits = [0, 0, 0, *(random.randrange(10) for _ in range(6))]
        check = sum(w * d for w, d in zip((6, 5, 7, 2, 3, 4, 5, 6, 7), digits, strict=True)) % 11
        if check < 10:
            return "".join(map(str, (*digits, check)))


def tenants(plan: DemoPlan) -> Iterator[Tenant]:
    """``plan.customers`` tenants, flat after flat."""
    random = Random(plan.seed)  # noqa: S311 (believable, not secret)
    women, men, families = _WOMEN.split(), _MEN.split(), _FAMILIES.split()
    for place in range(plan.customers):
        street, postal_code = _STREETS[place // _FLATS % len(_STREETS)]
        building = str(1 + 2 * (place // (_FLATS * len(_STREETS))) + place // _FLATS % 2)
        flat = str(place % _FLATS + 1)
        number = f"{10001 + place}"
        company = place % _COMPANY_EVERY == _COMPANY_EVERY - 1
        woman = random.random() < 0.55
        given = random.choice(women if woman else men)
        family = random.choice(families)
        family = feminine(family) if woman else family
        mobile = f"{random.choice((50, 51, 53, 60, 66, 69, 72, 78, 88))}{random.randrange(10**7):07d}"
        phone = "" if random.random() < 0.1 else f"{mobile[:3]} {mobile[3:6]} {mobile[6:]}"
        nip = make_nip(random)
        yield Tenant(
            customer_no=number,
            kind="company" if company else "person",
            name=_COMPANIES[place // _COMPANY_EVERY % len(_COMPANIES)] if company else f"{given} {family}",
            given_name="" if company else given,
            family_name="" if company else family,
            nip=nip if company else "",
            email="" if random.random() < 0.3 else f"lokator{number}@example.org",
            phone=phone,
            street=street,
            building=building,
            flat=flat,
            postal_code=postal_code,
            code=f"{number}/1",
            place="lokal użytkowy" if company else "lokal",
        )


FILL_SQL: Final[LiteralString] = """
with tenant as (
    select * from jsonb_to_recordset($1::jsonb) as tenant (
        customer_no text, kind text, name text, given_name text, family_name text, nip text, email text, phone text,
        street text, building text, flat text, postal_code text, code text, place text)
), customer as (
    insert into kernel.customer (customer_no, kind, consumer, name, given_name, family_name, nip, email, phone,
                                 street, building, flat, postal_code, city)
    select customer_no, kind, kind = 'person', name, given_name, family_name, nip, email, phone,
           street, building, flat, postal_code, $2
    from tenant order by customer_no
    returning id, customer_no
)
insert into kernel.service_point (customer, code, kind, street, building, flat, postal_code, city)
select customer.id, code, place, street, building, flat, postal_code, $2
from tenant join customer using (customer_no) order by customer_no
"""


# Every twelfth flat had another owner before; the first of them died, and a garage stands empty since.
HISTORY_SQL: Final[LiteralString] = """
with flat as (
    select p.id, p.customer, row_number() over (order by p.id) as place,
           $1::date - 200 - 37 * row_number() over (order by p.id)::int as since
    from (select id, customer, row_number() over (order by id) as n from kernel.service_point) p where p.n % 12 = 5
), former as (
    insert into kernel.customer (customer_no, name, given_name, family_name, status, street, building, postal_code,
                                 city, phone)
    select (9000 + place)::text, g.given || ' ' || g.family, g.given, g.family,
           case when place = 1 then 'deceased' else 'closed' end, 'Nowa', place::text, '60-101', $2,
           case when place = 1 then '' else '61 555 0' || (100 + place) % 10 || ' 22' end
    from flat cross join lateral (
        select ($3::text[])[1 + place % cardinality($3)] as given, ($4::text[])[1 + place % cardinality($4)] as family
    ) g
    returning id, customer_no
), begun as (
    update customers.tenure t set since = flat.since from flat where t.premises = flat.id and t.customer = flat.customer
), ended as (
    insert into customers.tenure (premises, customer, role, share, since, until)
    select flat.id, former.id, 'owner', 100, flat.since - 2000, flat.since - 1
    from flat join former on former.customer_no = (9000 + flat.place)::text
), garage as (
    insert into kernel.service_point (code, kind, street, building, flat, postal_code, city)
    values ('G/1', 'garaż', 'Lipowa', '1', 'G1', '60-702', $2) returning id
)
insert into customers.death (customer, died_on, heirs, status_before)
select former.id, $1::date - 30, $5, 'active' from former where customer_no = '9001'
"""
DEATH_AND_GARAGE_SQL: Final[LiteralString] = """
insert into customers.tenure (premises, customer, role, since, until)
select p.id, c.id, 'tenant', $1::date - 900, $1::date - 31
from kernel.service_point p, kernel.customer c where p.code = 'G/1' and c.customer_no = '9001'
"""
HEIRS: Final = "Córka: Ewa Nowak, ul. Polna 2/3, 60-101 Poznań. Sprawa spadkowa w toku."


async def fill(site: Site, conn: Connection, plan: DemoPlan) -> Sequence[DemoLogin]:
    """Put the tenants into the register, each with a flat, and some who were there before them.

    Who gets a login, the plugin that knows balances says.
    """
    made = [{name: getattr(tenant, name) for name in Tenant.__slots__} for tenant in tenants(plan)]
    await conn.execute(FILL_SQL, made, CITY)
    today = site.clock.today()
    women = _WOMEN.split()
    families = [feminine(family) for family in _FAMILIES.split()]
    await conn.execute(HISTORY_SQL, today, CITY, women, families, HEIRS)
    await conn.execute(DEATH_AND_GARAGE_SQL, today)
    return ()
