"""The statements of the search: which words are near, and whom they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, LiteralString

from kernel import Connection, Row
from plugins.customers.finding.model import Queries

NEAR: Final = 40
"""Words of the register that are weighed for one that was typed."""
MOST_HITS: Final = 20

WORDS_SQL: Final[LiteralString] = """
select typed.word, near.words
from unnest(string_to_array(customers.folded($1), ' ')) with ordinality typed (word, place)
left join lateral (
    select array_agg(word) as words from (
        select word from customers.word known order by known.word <-> typed.word limit $2
    ) nearest
) near on typed.word ~ '^[a-z]{3,}$'
where typed.word <> ''
order by typed.place
limit 12
"""


async def words(conn: Connection, text: str) -> tuple[list[str], Mapping[str, Sequence[str]]]:
    """The folded words of ``text`` in their order, and for each of letters the nearest words of the register."""
    rows = await conn.fetch(WORDS_SQL, text, NEAR)
    return list(dict.fromkeys(row["word"] for row in rows)), {row["word"]: row["words"] or () for row in rows}


# Each part reads at most a hundred rows of its index, however many customers live in a street. Premises that nobody has
# are found themselves; others lead to whoever is billed.
HITS_SQL: Final[LiteralString] = """
with hit (id, premises, rank) as (
    (select id, null::bigint, 0 from kernel.customer where customer_no = $1)
    union all
    (select id, null, 1 from kernel.customer
     where customers.document(customer_no, name, given_name, family_name, street, building, flat, city, email, phone,
                              nip) @@ $2::tsquery limit 100)
    union all
    (select customer, case when customer is null then id end, 1 from kernel.service_point
     where customers.document_of_point(code, street, building, flat, city) @@ $2::tsquery limit 100)
    union all
    (select id, null, 2 from kernel.customer
     where customers.document(customer_no, name, given_name, family_name, street, building, flat, city, email, phone,
                              nip) @@ $3::tsquery limit 100)
    union all
    (select customer, case when customer is null then id end, 2 from kernel.service_point
     where customers.document_of_point(code, street, building, flat, city) @@ $3::tsquery limit 100)
    union all
    (select id, null, 3 from kernel.customer
     where $4 <> '' and customers.document(customer_no, name, given_name, family_name, street, building, flat, city,
                                           email, phone, nip) @@ $4::tsquery limit 100)
    union all
    (select customer, case when customer is null then id end, 3 from kernel.service_point
     where $4 <> '' and customers.document_of_point(code, street, building, flat, city) @@ $4::tsquery limit 100)
), best as (
    select id, premises, min(rank) as rank from hit group by id, premises
)
select c.id, best.premises, c.customer_no, c.name, coalesce(p.street, c.street) as street,
       coalesce(p.building, c.building) as building, coalesce(p.flat, c.flat) as flat, coalesce(p.city, c.city) as city,
       coalesce(p.code, '') as code, c.status, best.rank
from best left join kernel.customer c on c.id = best.id left join kernel.service_point p on p.id = best.premises
order by best.rank, c.id is null, c.status <> 'active',
         customers.sorting(c.name, c.given_name, c.family_name) collate "C", c.id,
         customers.place(p.street, p.building, p.flat, p.code) collate "C", best.premises
limit $5
"""


async def hits(conn: Connection, text: str, asked: Queries) -> Sequence[Row]:
    """Customers by number, by these words, by words that begin so, by words that may be meant: the best first.

    Rows with ``premises`` instead of an ``id`` are premises that nobody has.
    """
    return await conn.fetch(HITS_SQL, text, asked.whole, asked.begun, asked.mistyped, MOST_HITS)
