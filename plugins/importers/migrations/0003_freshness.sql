-- How fresh each profile's data are, and which rows of a run were the same, without reading whole histories.

create index run_applied_of_profile on importers.run (profile, id) where state = 'applied';
-- What a run did not find as it was. New rows are not in it: a first import shall not pay for an index that it never needs.
create index difference_of_row on importers.difference (run, record, external_id) where change <> 'new';
