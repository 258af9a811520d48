import { afterAll, beforeAll, expect, test } from 'vitest'
import { catalogOf } from '../helpers/catalog.ts'
import { type Json, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'

// What pg_dump writes of a database, sent back as a migration of a new platform.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const FILES: Files = {
  'types/mood.pssql': "create type mood as enum ('good', 'bad');",
  'migrations/001_base.pssql': `
    create table person (id serial primary key, name text not null, mood mood default 'good');
    comment on table person is 'who';
    create table visit (person_id integer references person, at date);
    create index visit_at on visit (at);
    insert into person (name) values ('Ann'), (E'B\\tob');
    insert into visit values (1, '2020-01-01');`,
  'views/visits.pssql':
    'create or replace view visits as select name, at from person join visit on person_id = id;',
  'functions/count_visits.pssql': `create or replace function count_visits(n integer) returns bigint
    language plpgsql as $$ begin return (select count(*) + n from visits); end $$;
    revoke execute on function count_visits from public;`,
  'functions/check_visit.pssql': `create or replace function check_visit() returns trigger
    language plpgsql as $$ begin return new; end $$;`,
}

/** In pg_dump's manner, and in its order. `$ROLE` owns everything. */
const DUMP = String.raw`--
-- PostgreSQL database dump
--

\restrict cQ0vHhcsvNV8aA9M8fYq

-- Dumped from database version 16.4
-- Dumped by pg_dump version 16.10

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: _db_gateway; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA _db_gateway;


ALTER SCHEMA _db_gateway OWNER TO postgres;

--
-- Name: mood; Type: TYPE; Schema: public; Owner: $ROLE
--

CREATE TYPE public.mood AS ENUM (
    'good',
    'bad'
);


ALTER TYPE public.mood OWNER TO $ROLE;

--
-- Name: check_visit(); Type: FUNCTION; Schema: public; Owner: $ROLE
--

CREATE FUNCTION public.check_visit() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ begin return new; end $$;


ALTER FUNCTION public.check_visit() OWNER TO $ROLE;

--
-- Name: count_visits(integer); Type: FUNCTION; Schema: public; Owner: $ROLE
--

CREATE FUNCTION public.count_visits(n integer) RETURNS bigint
    LANGUAGE plpgsql
    AS $$ begin return (select count(*) + n from visits); end $$;


ALTER FUNCTION public.count_visits(n integer) OWNER TO $ROLE;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: _db_gateway_migrations; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public._db_gateway_migrations (
    id integer NOT NULL,
    migration_file text NOT NULL
);


ALTER TABLE public._db_gateway_migrations OWNER TO postgres;

--
-- Name: person; Type: TABLE; Schema: public; Owner: $ROLE
--

CREATE TABLE public.person (
    id integer NOT NULL,
    name text NOT NULL,
    mood public.mood DEFAULT 'good'::public.mood
);


ALTER TABLE public.person OWNER TO $ROLE;

--
-- Name: TABLE person; Type: COMMENT; Schema: public; Owner: $ROLE
--

COMMENT ON TABLE public.person IS 'who';


--
-- Name: person_id_seq; Type: SEQUENCE; Schema: public; Owner: $ROLE
--

CREATE SEQUENCE public.person_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER SEQUENCE public.person_id_seq OWNER TO $ROLE;

--
-- Name: person_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: $ROLE
--

ALTER SEQUENCE public.person_id_seq OWNED BY public.person.id;


--
-- Name: visit; Type: TABLE; Schema: public; Owner: $ROLE
--

CREATE TABLE public.visit (
    person_id integer,
    at date
);


ALTER TABLE public.visit OWNER TO $ROLE;

--
-- Name: visits; Type: VIEW; Schema: public; Owner: $ROLE
--

CREATE VIEW public.visits AS
 SELECT person.name,
    visit.at
   FROM (public.person
     JOIN public.visit ON ((visit.person_id = person.id)));


ALTER VIEW public.visits OWNER TO $ROLE;

--
-- Name: person id; Type: DEFAULT; Schema: public; Owner: $ROLE
--

ALTER TABLE ONLY public.person ALTER COLUMN id SET DEFAULT nextval('public.person_id_seq'::regclass);


--
-- Data for Name: person; Type: TABLE DATA; Schema: public; Owner: $ROLE
--

COPY public.person (id, name, mood) FROM stdin;
1	Ann	good
2	B\tob	good
\.


--
-- Data for Name: visit; Type: TABLE DATA; Schema: public; Owner: $ROLE
--

COPY public.visit (person_id, at) FROM stdin;
1	2020-01-01
\.


--
-- Name: person_id_seq; Type: SEQUENCE SET; Schema: public; Owner: $ROLE
--

SELECT pg_catalog.setval('public.person_id_seq', 2, true);


--
-- Name: person person_pkey; Type: CONSTRAINT; Schema: public; Owner: $ROLE
--

ALTER TABLE ONLY public.person
    ADD CONSTRAINT person_pkey PRIMARY KEY (id);


--
-- Name: visit_at; Type: INDEX; Schema: public; Owner: $ROLE
--

CREATE INDEX visit_at ON public.visit USING btree (at);


--
-- Name: visit visit_person_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: $ROLE
--

ALTER TABLE ONLY public.visit
    ADD CONSTRAINT visit_person_id_fkey FOREIGN KEY (person_id) REFERENCES public.person(id);


--
-- Name: FUNCTION count_visits(n integer); Type: ACL; Schema: public; Owner: $ROLE
--

REVOKE ALL ON FUNCTION public.count_visits(n integer) FROM PUBLIC;


--
-- PostgreSQL database dump complete
--

\unrestrict cQ0vHhcsvNV8aA9M8fYq

`

/** What each hint says, done to the text. */
const STEPS: [error: string, mend: (text: string) => string][] = [
  [
    'pg_dump --inserts',
    (text) =>
      text.replace(
        /^COPY (\S+) \((.*)\) FROM stdin;\n([\s\S]*?)^\\\.$/gm,
        (_, table, columns, rows) =>
          rows
            .trimEnd()
            .split('\n')
            .map((row: string) => {
              const values = row.split('\t').map((value) => `E'${value}'`)
              return `INSERT INTO ${table} (${columns}) VALUES (${values.join(', ')});`
            })
            .join('\n'),
      ),
  ],
  [
    "--exclude-table='_db_gateway_*'",
    (text) =>
      text
        .replace(/^CREATE SCHEMA _db_gateway;$|^ALTER .* _db_gateway OWNER .*;$/gm, '')
        .replace(/^CREATE TABLE public\._db_gateway_[\s\S]*?;$|^ALTER .*_db_gateway_.*;$/gm, ''),
  ],
  ['pg_dump --no-owner', (text) => text.replace(/^ALTER .* OWNER TO .*;$/gm, '')],
  ['pg_dump --no-privileges', (text) => text.replace(/^GRANT .*;$/gm, '')],
]

test('deploys once the hints are followed, and is the same database', async () => {
  const original = uniqueName('orig')
  const { body } = await gateway.register(original, await pack(FILES))
  expect(body).toMatchObject({ status: 'ready' })
  const role = `gw_${original}`

  const platform = uniqueName('copy')
  let text = `${DUMP.replaceAll('$ROLE', role)}
GRANT ALL ON SCHEMA public TO gw_elsewhere WITH GRANT OPTION;
`
  const archive = () =>
    pack({ 'migrations/001_dump.pssql': text, 'functions/own.pssql': OWN_FUNCTION })
  for (const [hint, mend] of STEPS) {
    const answer = await gateway.register(platform, await archive())
    expect([answer.status, answer.body.error], hint).toEqual([422, 'migration_failed'])
    expect(`${answer.body.cause} ${answer.body.hint}`).toContain(hint)
    const line = text.split('\n')[answer.body.line - 1]!
    expect(line).toMatch(/^COPY public.person|^CREATE SCHEMA _db_gateway|OWNER TO gw_|^GRANT/)
    text = mend(text)
  }
  const answer = await gateway.register(platform, await archive())
  expect(answer.body).toMatchObject({ status: 'ready', migrations_applied: 1 })

  const calls = async (name: string) => (await gateway.call(name, 'count_visits', [5])).body.rows
  expect(await calls(platform)).toEqual(await calls(original))
  expect((await gateway.call(platform, 'own')).body.rows).toEqual([{ own: '2' }])
  const plain = async (name: string) =>
    (await catalogOf(`${name}_main`))
      .map((line: string) => line.replaceAll(`gw_${name}`, 'owner'))
      .filter((line: Json) => !/^routine own\(/.test(line))
  expect(await plain(platform)).toEqual(await plain(original))
})

const OWN_FUNCTION = `create or replace function own() returns text language sql
  as $$ select count(*)::text from person $$;`
