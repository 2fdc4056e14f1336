-- Take customers out of the register again that an import added by mistake. Whoever has a login, or on whom something
-- hangs (an account of the ledger, say), stays. Returns those that are gone.
create or replace function customers.withdraw_imported(customers bigint[]) returns bigint[]
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
declare
    one bigint;
    gone bigint[] := '{}';
begin
    foreach one in array customers loop
        begin
            delete from kernel.customer c
            where c.id = one and not exists (select from kernel.access_grant g where g.customer = one);
            if found then
                gone := gone || one;
            end if;
        exception when foreign_key_violation then
            null;
        end;
    end loop;
    return gone;
end
$$;
