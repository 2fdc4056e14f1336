-- Premises stand by themselves: a flat stays in the register when whoever is billed for it leaves, and may be empty.
alter table kernel.service_point alter column customer drop not null;
alter table kernel.service_point drop constraint service_point_customer_fkey;
alter table kernel.service_point
    add constraint service_point_customer_fkey foreign key (customer) references kernel.customer on delete set null;
comment on column kernel.service_point.customer is 'who is billed for the premises today; null: they stand empty';

-- Invitations: a person gets a one-time link to choose a password (kernel.reset_link). Accepted: the login has one.
create table kernel.invitation (
    id bigint generated always as identity primary key,
    -- Null once the invitation was withdrawn, or the login removed.
    user_id bigint references kernel.users on delete set null,
    login text not null,
    email text not null,
    role text not null check (role in ('customer', 'admin', 'superadmin')),
    customer bigint references kernel.customer on delete set null,
    invited_by bigint references kernel.users on delete set null,
    created_at timestamptz not null,
    sent_at timestamptz not null,
    expires_at timestamptz not null,
    withdrawn_at timestamptz
);
create unique index invitation_of_user on kernel.invitation (user_id) where user_id is not null;
create index invitation_sent on kernel.invitation (sent_at desc, id);
create index invitation_customer on kernel.invitation (customer) where customer is not null;
create index invitation_invited_by on kernel.invitation (invited_by) where invited_by is not null;
