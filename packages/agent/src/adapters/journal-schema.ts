// The tables of the agent's journal and the only version of them that this agent writes. What came later, and an older
// agent can do without, raises no version: that agent may be installed again.
export const journalVersion = 1

/** SQLite, STRICT: a value of the wrong type is an error, not a surprise later. JSON stands in TEXT. */
export const journalTables = `
create table meta (key text primary key, value text not null) strict;
create table commands (
  position integer primary key autoincrement,
  id text not null unique,
  environment text not null,
  service text not null,
  command text not null,
  jws text not null,
  not_after_ms integer not null,
  received_at_ms integer not null,
  ended_at_ms integer
) strict;
create table runs (command text primary key references commands (id) on delete cascade, state text not null) strict;
create table reports (
  number integer primary key,
  command text not null unique references commands (id) on delete cascade,
  report text not null
) strict;
create table fences (
  environment text not null,
  service text not null,
  fence text not null,
  release integer,
  primary key (environment, service)
) strict, without rowid;
create table releases (
  environment text not null,
  service text not null,
  release integer not null,
  record text not null,
  generation integer not null,
  primary key (environment, service, release)
) strict, without rowid;
`

/** Made at each start, unless they are there. */
export const addedTables = `
create table if not exists images (
  position integer primary key autoincrement,
  digest text not null,
  platform text not null,
  id text not null,
  unique (digest, platform)
) strict;
`
