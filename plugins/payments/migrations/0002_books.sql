-- Books with rules of their own, designations, limitation, kept interest of months that are closed, and the chain that
-- proves that nothing was changed behind the ledger's back.

alter table payments.book
    -- Within one debt: interest and costs before the principal (art. 451 §1 of the Civil Code), booked when they are paid.
    add interest_first boolean not null default false,
    -- Whether a credit pays charges that are not yet due.
    add prepay boolean not null default true,
    add interest_regime text not null default 'statutory_delay',
    -- Percent a year, for the regime «contractual» alone.
    add contract_rate numeric(7, 4) check (contract_rate between 0 and 100),
    -- Years after which a claim is time-barred (art. 118 of the Civil Code); 0: never.
    add limitation_years integer not null default 3 check (limitation_years between 0 and 20),
    -- How turnover shows a reversal: red as a negative amount on the original's side, black on the other side.
    add storno text not null default 'black' check (storno in ('red', 'black')),
    -- Somebody else's ledger is shown here: only the importer writes it.
    add is_mirror boolean not null default false,
    -- Whom its customers pay; empty: the organisation's own.
    add payee_name text not null default '' check (length(payee_name) <= 200),
    add payee_account text not null default '' check (payee_account ~ '^([0-9]{26})?$'),
    -- The digits of a customer's own account number that come after the check digits and before the account's number.
    add virtual_prefix text not null default '' check (virtual_prefix ~ '^([0-9]{8,20})?$'),
    -- The last day of the last closed month: nothing is booked on it or before.
    add closed_through date,
    add constraint book_contract_rate check ((interest_regime = 'contractual') <= (contract_rate is not null));

alter table payments.account
    add virtual_account text unique check (virtual_account ~ '^[0-9]{26}$');

alter table payments.entry
    -- The first day on which a charge is time-barred, set when it is approved; null: never.
    add time_barred_on date,
    drop constraint entry_amount_check,
    add constraint entry_amount check (amount between 1 and 1000000000000);

-- What the payer wished: the charges that a credit shall pay, in this order, before anything else.
create table payments.designation (
    account_id bigint not null references payments.account,
    credit bigint not null,
    place integer not null check (place > 0),
    charge bigint not null,
    primary key (account_id, credit, place),
    unique (account_id, credit, charge),
    foreign key (account_id, credit) references payments.entry (account_id, id) on delete cascade,
    foreign key (account_id, charge) references payments.entry (account_id, id)
);
create index designation_charge on payments.designation (account_id, charge);
