import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { answering, answeringRaw } from '../../helpers/answering.ts'
import { startTestGateway, type TestGateway, uniqueName } from '../../helpers/gateway.ts'
import { losing } from '../../helpers/losing-proxy.ts'
import { clinicFiles, ODD_NAMES, pack } from '../../helpers/platforms.ts'

/** In CI `.ci/php` installs it where it can be had. */
const hasPhp = spawnSync('php', ['--version']).status === 0
if (!hasPhp)
  console.warn(
    'php is not installed: the tests of /client.php are skipped (apt-get install php-cli)',
  )

const platform = uniqueName('php')
const MORE = {
  'functions/more.pssql': `
    create or replace function big(p_id bigint default 9007199254740993) returns table (
      o_id bigint, o_ids bigint[], o_total numeric)
    language sql stable as $$ select p_id, array[p_id, null], 12.30 $$;
    comment on function big is 'Digits. */ exit; ?> <?php exit; /*
@param p_id What comes back */ exit;
@error PT402 Nothing';
    create or replace function late(p_to int) returns setof int language sql stable
    as $$ select 10 / (p_to - i) from generate_series(1, p_to) i $$;
    create or replace function unnamed(int, text default 'z') returns text language sql immutable
    as $$ select $2 || $1 $$;
    create or replace function three(int, text default 'y', text default 'z') returns text
    language sql immutable as $$ select $1 || $2 || $3 $$;
    create or replace function each_float(p float8[]) returns setof float8 language sql immutable
    as $$ select unnest(p) $$;
    create sequence if not exists counter;
    create or replace function counted() returns bigint language sql as $$ select nextval('counter') $$;
    create or replace function list(class int, this int) returns int language sql immutable
    as $$ select $1 + $2 $$;`,
}

let gateway: TestGateway
let folder: string
beforeAll(async () => {
  gateway = await startTestGateway()
  const archive = await pack({ ...(await clinicFiles()), ...ODD_NAMES, ...MORE })
  expect((await gateway.register(platform, archive)).status).toBe(200)
  folder = await mkdtemp(join(tmpdir(), 'gateway-php-'))
  const { body, status } = await gateway.get(
    `/client.php?platform=${platform}&namespace=App%5CClinic`,
  )
  expect(status, body.message).toBe(200)
  await writeFile(join(folder, 'client.php'), body)
})
afterAll(async () => {
  await rm(folder, { recursive: true })
  await gateway.stop()
})

/** Writes a program that has the client, and makes exceptions of warnings. */
async function writeRun(code: string): Promise<string> {
  const file = join(folder, `${uniqueName('run')}.php`)
  const head = `<?php
    declare(strict_types=1);
    error_reporting(E_ALL);
    set_error_handler(fn ($n, $text) => throw new ErrorException($text));
    require __DIR__ . '/client.php';
    use App\\Clinic\\{Call, Connection, Database, GatewayError, Omitted, Options, Transport, UniqueViolation};
  `
  await writeFile(file, head + code)
  return file
}

/** Runs PHP with the client, once for each transport, and returns what it prints as JSON. */
async function run(code: string) {
  const file = await writeRun(`
    $results = [];
    foreach ([true, false] as $withCurl) {
      $connect = fn (?string $tenant = null, ?Options $options = null, ?string $url = null) => new Database(
        $url ?? '${gateway.url}', $tenant, $options ?? new Options(), [], new Transport(10, $withCurl));
      $db = $connect();
      $failure = function (callable $work) {
        try { $work(); } catch (GatewayError $e) { return $e; }
        throw new Exception('It was done');
      };
      $results[] = (function () use ($db, $connect, $failure, $withCurl) { ${code} })();
    }
    echo json_encode($results);`)
  const { stdout } = await promisify(execFile)('php', [file])
  const [byCurl, byStreams] = JSON.parse(stdout)
  expect(byStreams).toEqual(byCurl)
  return byCurl
}

describe.skipIf(!hasPhp)('the client of PHP', () => {
  test('is PHP without faults', async () => {
    const { stdout } = await promisify(execFile)('php', ['-l', join(folder, 'client.php')])
    expect(stdout).toContain('No syntax errors')
  })

  test('calls functions by name and by position', async () => {
    expect(
      await run(`return [
        $db->get_patient_by_id(1) == $db->get_patient_by_id(p_patient_id: 1),
        $db->ping(),
        count($db->list_patients(p_offset: 0, p_limit: 2)),
        $db->unnamed(7), $db->unnamed(7, 'x'), $db->list(1, 2),
        $db->invoice_total(p_invoice_id: 1) == $db->invoice_total(1),
        $db->connection->call('unnamed', [1, 'a']),
      ];`),
    ).toEqual([
      true,
      [{ ping: 'pong' }],
      2,
      [{ unnamed: 'z7' }],
      [{ unnamed: 'x7' }],
      [{ list: 3 }],
      true,
      [{ unnamed: 'a1' }],
    ])
  })

  test('keeps every digit, and takes dates, bytes and composites', async () => {
    expect(
      await run(`$when = new DateTimeImmutable('2026-02-28 09:30', new DateTimeZone('+01:00'));
      $id = $db->create_patient('Jo' . (int) $withCurl, '2000-01-01', p_address: ['city' => 'Kiel'])[0]['create_patient'];
      $file = $db->attach_document($id, 'a.bin', Connection::bytes("\\0\\xff"))[0]['attach_document'];
      return [
        $db->big(), $db->big(PHP_INT_MAX)[0]['o_id'],
        $db->is_slot_free(1, $when)[0]['is_slot_free'],
        $db->document_content($file),
        $db->get_patient_by_id($id)[0]['o_address'],
      ];`),
    ).toEqual([
      // JSON.parse of the test cuts what PHP had whole.
      [
        {
          o_id: Number('9007199254740993'),
          o_ids: [Number('9007199254740993'), null],
          o_total: '12.30',
        },
      ],
      Number('9223372036854775807'),
      expect.any(Boolean),
      [{ document_content: '\\x00ff' }],
      { street: null, postcode: null, city: 'Kiel' },
    ])
    const text = await run(`return json_encode($db->big());`)
    expect(text).toContain('"o_id":9007199254740993,')
  })

  test('has odd names', async () => {
    const type = { 'a b': 1, "x'y": "it's", '*/': Number('9007199254740993'), '\\': ['\\'] }
    const row = { 1: 1, class: '*/ ?> <?php', 'q"t': type }
    expect(
      await run(`return [$db->odd_rows(), $db->class(1), $db->constructor(),
      $db->connection->call('__proto__')];`),
    ).toEqual([[row], [{ class: 3 }], [{ constructor: 2 }], [{ ['__proto__']: 1 }]])
  })

  test('tells errors apart', async () => {
    expect(
      await run(`$patient = ['A', '2000-01-01', 'a@example.org'];
      try { $db->create_patient(...$patient); } catch (UniqueViolation) {}
      $twice = $failure(fn () => $db->create_patient(...$patient));
      $gone = $failure(fn () => $connect('no-such')->ping());
      $none = $failure(fn () => $connect(null, new Options(attempts: 1), 'http://127.0.0.1:9')->ping());
      return [$twice::class, $twice->constraint, $twice->getCode(), $gone->error, $none->status, $none->mayHaveRun];`),
    ).toEqual([
      'App\\Clinic\\UniqueViolation',
      'patients_email_key',
      409,
      'database_not_found',
      0,
      true,
    ])
  })

  test('sends batches, transactions and streams', async () => {
    expect(
      await run(`$calls = [new Call('ping'), new Call('late', [1])];
      [$one, $two] = $db->connection->batch($calls);
      $refused = $failure(fn () => $db->connection->transaction($calls));
      $count = 0;
      $cut = $failure(function () use ($db, &$count) {
        foreach ($db->connection->stream('late', [30000]) as $row) $count++;
      });
      foreach ($db->connection->stream('late', ['p_to' => 30000]) as $first) break;
      $whole = iterator_to_array($db->connection->stream('big'));
      $all = iterator_to_array($db->connection->stream('each_float', [[INF, -INF, NAN]]));
      $wrong = $failure(fn () => iterator_to_array($db->connection->stream('late', ['x'])));
      return [$one, $two->sqlstate, $refused->sqlstate, $cut->sqlstate, $count > 0, $first, count($whole), $wrong->status, array_column($all, 'each_float')];`),
    ).toEqual([
      [{ ping: 'pong' }],
      '22012',
      '22012',
      '22012',
      true,
      { late: 0 },
      1,
      400,
      ['Infinity', '-Infinity', 'NaN'],
    ])
  })

  test('sends a call again where that is safe', async () => {
    const tries = async (code: string, lost: number) => {
      await using proxy = await losing(gateway.url, lost)
      const file =
        await writeRun(`$db = fn (bool|string $key = false, int $attempts = 3) => new Database(
        '${proxy.url}', null, new Options(idempotencyKey: $key, attempts: $attempts));
        try { echo json_encode(${code}); } catch (GatewayError $e) { echo json_encode($e->error); }`)
      const { stdout } = await promisify(execFile)('php', [file])
      return [JSON.parse(stdout), proxy.keys]
    }
    const none = undefined
    expect(await tries(`$db()->unnamed(1, 'a')`, 2)).toEqual([
      [{ unnamed: 'a1' }],
      [none, none, none],
    ])
    expect(await tries(`$db()->unnamed(1, 'a')`, 3)).toEqual(['no_answer', [none, none, none]])
    expect(await tries(`$db()->counted()`, 1)).toEqual(['no_answer', [none]])
    const key = expect.stringMatching(/^[\da-f]{32}$/)
    expect(await tries(`$db(true)->counted()`, 1)).toEqual([[{ counted: 2 }], [key, key]])
  })

  test('gives a write a key, which it keeps', async () => {
    const [one, two] = await run(`
      $key = new Options(idempotencyKey: 'k' . (int) $withCurl . '${platform}');
      $make = fn () => $db->connection->call('create_patient', ['Key' . (int) $withCurl, '2000-01-01'], $key)[0];
      $one = $make();
      return [$one === $make(), $connect(null, new Options(idempotencyKey: true))->ping()];`)
    expect([one, two]).toEqual([true, [{ ping: 'pong' }]])
  })

  test('refuses what would be sent otherwise than it is meant', async () => {
    expect(
      await run(`$refused = function (callable $work) {
        try { $work(); } catch (InvalidArgumentException $e) { return $e->getMessage(); }
      };
      $with = fn (array $headers) => new Database(
        '${gateway.url}', null, new Options(), $headers, new Transport(10, $withCurl));
      $key = new Options(idempotencyKey: "a\r\nx-b: c");
      return [
        $db->unnamed(1, Omitted::Value),
        $refused(fn () => $db->three(1, Omitted::Value, 'c')),
        $refused(fn () => $with(['x-a' => "a\nx-b: c"])->ping()),
        $refused(fn () => $db->connection->call('counted', [], $key)),
        $refused(fn () => $connect(null, new Options(idempotencyKey: 'one'))),
      ];`),
    ).toEqual([
      [{ unnamed: 'z1' }],
      'three: a parameter by position is left out, and one behind it is not',
      'A header has a line break: "x-a"',
      'A header has a line break: "idempotency-key"',
      'A text idempotencyKey is of one call: give it to call, batch or transaction',
    ])
  })

  test('follows no redirect, and waits no hour', async () => {
    await using busy = await answering(503, { 'retry-after': '3600' }, 'pool_exhausted')
    await using moved = await answering(302, { location: gateway.url }, 'moved')
    expect(
      await run(`$there = fn (string $url) => $connect(null, null, $url);
      $stream = fn () => iterator_to_array($there('${moved.url}')->connection->stream('ping'));
      return [
        $failure(fn () => $there('${busy.url}')->ping())->error,
        $failure(fn () => $there('${moved.url}')->ping())->status,
        $failure($stream)->status,
      ];`),
    ).toEqual(['pool_exhausted', 302, 302])
  })

  test('a stream that is cut does not pass for a whole one', async () => {
    const [row, other] = ['{"a":1}\n', '{"a":2}\n']
    const error = '{"error":"query_failed","message":"Cut","sqlstate":"22012"}\n'
    const chunk = (text: string, more = '') => `${text.length.toString(16)}${more}\r\n${text}\r\n`
    const chunked = 'Transfer-Encoding: Chunked\r\n\r\n'
    const rows = chunk(row) + chunk(other)
    const both = row.length + other.length
    const answers = {
      '/whole': `${chunked}${rows}0\r\n\r\n`,
      '/extended': `${chunked}${chunk(row, ';a="b"')}${chunk(other)}0\r\n\r\n`,
      '/long': `Content-Length: ${both}\r\n\r\n${row}${other}`,
      '/between': `${chunked}${rows}`,
      '/in-size': `${chunked}${rows}8`,
      '/behind-size': `${chunked}${rows}8\r\n`,
      '/in-chunk': `${chunked}${rows}8\r\n{"a"`,
      '/behind-chunk': `${chunked}${rows}8\r\n${row}`,
      '/short': `Content-Length: ${both + 1}\r\n\r\n${row}${other}`,
      '/error': `${chunked}${rows}${chunk(error)}`,
    }
    await using server = await answeringRaw((path) => {
      const answer = answers[path.replace(/\/call$/, '') as keyof typeof answers]
      return `HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n${answer}`
    })
    const all = Object.keys(answers).map((path) => `'${path}'`)
    const results = await run(`$results = [];
      foreach ([${all}] as $path) {
        $rows = 0;
        try {
          foreach ($connect(null, null, '${server.url}' . $path)->connection->stream('ping') as $row) $rows++;
          $results[$path] = $rows;
        } catch (GatewayError $e) {
          $results[$path] = "$rows, $e->error";
        }
      }
      return $results;`)
    expect(results).toEqual({
      '/whole': 2,
      '/extended': 2,
      '/long': 2,
      '/between': '2, no_answer',
      '/in-size': '2, no_answer',
      '/behind-size': '2, no_answer',
      '/in-chunk': '2, no_answer',
      '/behind-chunk': '3, no_answer',
      '/short': '2, no_answer',
      '/error': '2, query_failed',
    })
  })

  test('an answer that is cut is none, by curl and by streams', async () => {
    await using server = await answeringRaw(
      () => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n{"rows":[]}\r\n',
    )
    expect(
      await run(`$there = $connect(null, new Options(attempts: 1), '${server.url}');
      return [$failure(fn () => $there->ping())->status];`),
    ).toEqual([0])
  })
})

test('a docblock has labels of enums on one line, as they are', async () => {
  const { body } = await gateway.get(`/client.php?platform=${platform}`)
  const type = /@phpstan-type Odd .*/.exec(body)![0]
  expect(type).toContain(`'a"b'|string|`)
  expect(type).not.toContain('* /')
})

test('the namespace is checked', async () => {
  const asked = (query: string) => gateway.get(`/client.php?${query}`)
  for (const namespace of ['1', 'a b', 'A;exit', 'A\\', '', 'Namespace', 'namespace\\A']) {
    const query = `platform=${platform}&namespace=${encodeURIComponent(namespace)}`
    expect((await asked(query)).body, namespace).toMatchObject({ error: 'invalid_request' })
  }
  expect((await asked(`platform=${platform}`)).body).toMatch(/\nnamespace Php[0-9a-f]+;\n/)
})
