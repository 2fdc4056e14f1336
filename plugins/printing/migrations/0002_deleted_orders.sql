-- A superadministrator may delete a payment order: it is shown no more, its reference stays taken, and money that still
-- comes under it finds it.
alter table printing.payment_order
    add column deleted_at timestamptz,
    add column deleted_by text,
    add column delete_reason text,
    add constraint payment_order_deleted check (num_nonnulls(deleted_at, deleted_by, delete_reason) in (0, 3));

-- The same order may be made again on the day on which it was deleted.
do $$
begin
    execute (
        select format('alter table printing.payment_order drop constraint %I', c.conname) from pg_constraint c
        where c.conrelid = 'printing.payment_order'::regclass and c.contype = 'u' and cardinality(c.conkey) > 1
    );
end
$$;
create unique index payment_order_once on printing.payment_order (customer, made_on, payee_account, kind, amount, title)
    nulls not distinct where deleted_at is null;
create index payment_order_newest on printing.payment_order (id desc);

create function printing.delete_order(reference text, reason text) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    deleted printing.payment_order;
begin
    perform kernel.only_in_mode('a payment order');
    update printing.payment_order o
    set deleted_at = now(), deleted_by = current_setting('ebok.actor', true), delete_reason = delete_order.reason
    where o.reference = delete_order.reference and o.deleted_at is null
    returning * into deleted;
    if deleted.id is null then
        return;
    end if;
    perform kernel.bury('printing.order_deleted', 'payment-order ' || deleted.id, deleted.reference, deleted.customer,
        delete_order.reason, jsonb_build_object('reference', deleted.reference, 'amount', case when deleted.amount is not null
            then deleted.amount / 100 || '.' || lpad((deleted.amount % 100)::text, 2, '0') end));
end
$$;
revoke execute on function printing.delete_order from public;
