-- The search box: a customer is found by any words of number, name, address, telephone, e-mail and NIP, in any order,
-- without Polish letters, and with typing errors. Each customer and each service point has its words in an index; the
-- table of all words tells which of them a mistyped one may mean.
create extension if not exists pg_trgm;

-- Small plain letters and digits, a space for everything else.
create function customers.folded(value text) returns text
    language sql immutable strict parallel safe
    return regexp_replace(translate(kernel.pl_sort(value), '~}', ''), '[^a-z0-9]+', ' ', 'g');

create function customers.words(value text) returns text[]
    language sql immutable strict parallel safe
    return array(
        select distinct word from unnest(string_to_array(customers.folded(value), ' ')) word where word <> ''
    );

create function customers.document(
    customer_no text, name text, given_name text, family_name text, street text, building text, flat text, city text,
    email text, phone text, nip text
) returns tsvector
    language sql immutable strict parallel safe
    return array_to_tsvector(customers.words(
        customer_no || ' ' || name || ' ' || given_name || ' ' || family_name || ' ' || street || ' ' || building || ' '
        || flat || ' ' || city || ' ' || email || ' ' || right(regexp_replace(phone, '[^0-9]', '', 'g'), 9) || ' '
        || regexp_replace(nip, '[^0-9]', '', 'g')
    ));

create function customers.document_of_point(code text, street text, building text, flat text, city text)
    returns tsvector
    language sql immutable strict parallel safe
    return array_to_tsvector(customers.words(
        code || ' ' || street || ' ' || building || ' ' || flat || ' ' || city
    ));

-- Written at once: a list of what is pending would be read by every search.
create index customers_document on kernel.customer using gin (
    customers.document(customer_no, name, given_name, family_name, street, building, flat, city, email, phone, nip)
) with (fastupdate = off);
create index customers_document_of_point on kernel.service_point using gin (
    customers.document_of_point(code, street, building, flat, city)
) with (fastupdate = off);

-- Every word of at least three letters that some customer or service point has had.
create table customers.word (
    word text collate "C" primary key check (word ~ '^[a-z]{3,}$')
);
create index word_near on customers.word using gist (word gist_trgm_ops (siglen = 64));

create function customers.learn(texts text[]) returns void
    language sql as
$$
    insert into customers.word (word)
    select distinct word from unnest(texts) text, unnest(string_to_array(customers.folded(text), ' ')) word
    where word ~ '^[a-z]{3,}$' and not exists (select from customers.word known where known.word = word.word)
    order by word
    on conflict do nothing
$$;

create function customers.learn_customers() returns trigger
    language plpgsql as
$$
begin
    perform customers.learn(array_agg(text)) from (
        select distinct unnest(array[name, given_name, family_name, street, city, email]) as text from fresh
    ) texts;
    return null;
end
$$;
create function customers.learn_points() returns trigger
    language plpgsql as
$$
begin
    perform customers.learn(array_agg(text)) from (
        select distinct unnest(array[code, street, city]) as text from fresh
    ) texts;
    return null;
end
$$;
create trigger learn_added after insert on kernel.customer
    referencing new table as fresh for each statement execute function customers.learn_customers();
create trigger learn_changed after update on kernel.customer
    referencing new table as fresh for each statement execute function customers.learn_customers();
create trigger learn_added after insert on kernel.service_point
    referencing new table as fresh for each statement execute function customers.learn_points();
create trigger learn_changed after update on kernel.service_point
    referencing new table as fresh for each statement execute function customers.learn_points();

select customers.learn(array_agg(text)) from (
    select distinct unnest(array[name, given_name, family_name, street, city, email]) as text from kernel.customer
    union
    select distinct unnest(array[code, street, city]) from kernel.service_point
) texts;
