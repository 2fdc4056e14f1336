create table probe.note (
    id bigint generated always as identity primary key,
    text text not null,
    grosze bigint not null
);
