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


# Each part reads at most a hundred rows of its index, however many customers live in a street.
HITS_SQL: Final[LiteralString] = """
with hit (id, rank) as (
    (select id, 0 from kernel.customer where customer_no = $1)
    union all
    (select id, 1 from kernel.customer
     where customers.document(customer_no, name, given_name, family_name, street, building, flat, city, email, phone,
                              nip) @@ $2::tsquery limit 100)
    union all
    (select customer, 1 from kernel.service_point
     where customers.document_of_point(code, street, building, flat, city) @@ $2::tsquery limit 100)
    union all
    (select id, 2 from kernel.customer
     where customers.document(customer_no, name, given_name, family_name, street, building, flat, city, email, phone,
                              nip) @@ $3::tsquery limit 100)
    union all
    (select customer, 2 from kernel.service_point
     where customers.document_of_point(code, street, building, flat, city) @@ $3::tsquery limit 100)
    union all
    (select id, 3 from kernel.customer
     where $4 <> '' and customers.document(customer_no, name, given_name, family_name, street, building, flat, city,
                                           email, phone, nip) @@ $4::tsquery limit 100)
    union all
    (select customer, 3 from kernel.service_point
     where $4 <> '' and customers.document_of_point(code, street, building, flat, city) @@ $4::tsquery limit 100)
), best as (
    select id, min(rank) as rank from hit group by id
)
select id, customer_no, name, street, building, flat, city, status, rank
from best join kernel.customer using (id)
order by rank, status <> 'active', customers.sorting(name, given_name, family_name) collate "C", id
limit $5
"""


async def hits(conn: Connection, text: str, asked: Queries) -> Sequence[Row]:
    """Customers by number, by these words, by words that begin so, by words that may be meant: the best first."""
    return await conn.fetch(HITS_SQL, text, asked.whole, asked.begun, asked.mistyped, MOST_HITS)
