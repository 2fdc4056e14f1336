-- Polish alphabetical order without ICU: a letter with a mark sorts after its plain one, foreign letters as their base.
-- Use: order by kernel.pl_sort(name) collate "C", with an expression index on the same.
create function kernel.pl_sort(value text) returns text
    language sql immutable strict parallel safe
    return replace(replace(replace(replace(replace(replace(replace(replace(replace(
        translate(
            lower(value),
            'àáâãäåāăæçčĉċďđðèéêëēėěğģìíîïīıįķľļĺñňņòôõöøōőœŕřŗşšșßťțţùúûüūůűųýÿžÀÁÂÃÄÅĀĂÆÇČĈĊĎĐÐÈÉÊËĒĖĚĞĢÌÍÎÏĪĮĶĽĻĹÑŇŅÒÔÕÖØŌŐŒŔŘŖŞŠȘŤȚŢÙÚÛÜŪŮŰŲÝŸŽĄĆĘŁŃÓŚŹŻ',
            'aaaaaaaaaccccdddeeeeeeeggiiiiiiiklllnnnoooooooorrrsssstttuuuuuuuuyyzaaaaaaaaaccccdddeeeeeeeggiiiiiiklllnnnoooooooorrrssstttuuuuuuuuyyząćęłńóśźż'),
        'ą', 'a~'), 'ć', 'c~'), 'ę', 'e~'), 'ł', 'l~'), 'ń', 'n~'), 'ó', 'o~'), 'ś', 's~'), 'ź', 'z}'), 'ż', 'z~');

-- The application reads which migrations ran (readiness), and never writes there.
revoke all on kernel.migration from ebok_app;
grant select on kernel.migration to ebok_app;
