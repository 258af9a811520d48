import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { SECTIONS } from '../../lib/config/settings.ts'
import { type Json, PROJECT } from '../helpers/gateway.ts'
import { environmentOf, execForm, readDockerfile, textsOf } from './dockerfile.ts'

const read = (path: string) => readFile(join(PROJECT, path), 'utf8')
const settings = new Set(SECTIONS.flatMap((section) => section.settings.map(({ name }) => name)))
/** Of Node.js. */
const OTHERS = new Set(['NODE_ENV'])
const unknown = (names: string[]) => names.filter((one) => !settings.has(one) && !OTHERS.has(one))
const SECRET = /PASSWORD|SECRET|TOKEN/

/** A tag that says which major version it is. */
const PINNED = /^[\w./-]+:\d+[\w.-]*$/

describe('the Dockerfile', async () => {
  const stages = await readDockerfile()
  const last = stages.at(-1)!

  test('takes images by their version', () => {
    expect(stages.map(({ image }) => image).filter((image) => !PINNED.test(image))).toEqual([])
  })

  test('runs as another user than root, who owns nothing of the code', () => {
    const names = last.instructions.map(({ name }) => name)
    expect(textsOf(last, 'USER')).toEqual(['node'])
    expect(names.lastIndexOf('RUN')).toBeLessThan(names.indexOf('USER'))
    expect(textsOf(last, 'COPY').filter((text) => text.includes('--chown'))).toEqual([])
  })

  test('starts node as process 1, which gets SIGTERM', () => {
    expect(execForm(textsOf(last, 'CMD')[0]!)[0]).toBe('node')
    expect(textsOf(last, 'ENTRYPOINT')).toEqual([])
    expect(textsOf(last, 'STOPSIGNAL')).toEqual(['SIGTERM'])
  })

  test('asks whether the gateway is ready', () => {
    expect(textsOf(last, 'HEALTHCHECK')[0]).toMatch(/--interval=\d+s .*CMD \[.*\/ready/)
  })

  test('sets variables that are settings, and no secret', () => {
    const names = Object.keys(environmentOf(last))
    expect(unknown(names)).toEqual([])
    expect(names.filter((name) => SECRET.test(name))).toEqual([])
    expect(textsOf(last, 'EXPOSE')).toEqual(['9000'])
  })

  test('is given no more than the code', async () => {
    const ignore = (await read('.dockerignore')).split('\n').filter((line) => !line.startsWith('#'))
    expect(ignore[0]).toBe('*')
    const given = ignore.slice(1).filter((line) => line !== '')
    expect(given.filter((line) => !line.startsWith('!'))).toEqual([])
    expect(given.filter((line) => /node_modules|\.env|\.git|data|test/.test(line))).toEqual([])
  })
})

describe('compose.yaml', async () => {
  const { services, volumes, networks }: Json = parse(await read('compose.yaml'))
  const { gateway, postgres } = services

  test('takes PostgreSQL 18 by its version, with a volume where that has its data', () => {
    expect(postgres.image).toMatch(/^postgres:18[\w.-]*$/)
    expect(postgres.volumes).toContain('postgres:/var/lib/postgresql')
    expect(Object.keys(volumes)).toContain('postgres')
    expect(postgres.ports).toBeUndefined()
  })

  test('gives the gateway settings that there are, and secrets from outside', async () => {
    expect(unknown(Object.keys(gateway.environment))).toEqual([])
    const all = Object.entries<string>({ ...postgres.environment, ...gateway.environment })
    for (const [name, value] of all) {
      if (SECRET.test(name))
        expect([name, value]).toEqual([name, expect.stringMatching(/^\$\{\w+:\?.+\}$/)])
    }
    // In a URI the password would have to be encoded.
    expect(gateway.environment).toMatchObject({
      DB_HOST: 'postgres',
      DB_PASSWORD: expect.stringContaining('{GATEWAY_DB_PASSWORD:?'),
    })
  })

  test('waits for PostgreSQL, and stops as long as the gateway takes', () => {
    expect(gateway.depends_on.postgres.condition).toBe('service_healthy')
    expect(postgres.healthcheck.test[1]).toBe('pg_isready')
    expect(Number.parseInt(gateway.stop_grace_period, 10)).toBeGreaterThanOrEqual(45)
  })

  test('opens the gateway to this machine alone, without rights', () => {
    expect(gateway.ports).toEqual(['127.0.0.1:9000:9000'])
    const [{ subnet }] = networks.gateway.ipam.config
    expect(gateway.environment.ALLOWED_NETWORKS).toBe(subnet)
    expect([gateway.read_only, gateway.cap_drop]).toEqual([true, ['ALL']])
    expect(gateway.security_opt).toEqual(['no-new-privileges:true'])
    expect(gateway.privileged ?? gateway.user ?? gateway.network_mode).toBeUndefined()
  })

  test('PostgreSQL has a role for the gateway that is no superuser', async () => {
    const mount = postgres.volumes.find((one: string) => one.includes('initdb.d'))
    const script = await read(mount.split(':')[0])
    expect(script).toContain('create role gateway_user login createdb createrole password')
    expect(script).not.toMatch(/superuser\s+password/)
  })
})

describe('.github/workflows/ci.yml', async () => {
  const text = await read('.github/workflows/ci.yml')
  const workflow: Json = parse(text)
  const { test: job, image } = workflow.jobs

  test('runs .ci/run with each Node.js and each PostgreSQL', async () => {
    const { matrix } = job.strategy
    expect(matrix).toEqual({ node: [20, 22, 24], postgres: [15, 16, 17, 18] })
    expect(job.env.PG_MAJOR).toBe(['$', '{{ matrix.postgres }}'].join(''))
    expect(job.env.CI_REQUIRE_BROWSER).toBe(1)
    expect(job.env.CI_REQUIRE_PROMETHEUS).toBe(1)
    expect(job.steps.at(-1).run).toBe('.ci/run')
    const { engines } = JSON.parse(await read('package.json'))
    expect(engines.node).toBe('>=20.19.0')
  })

  test('may only read, and takes actions by their version', () => {
    expect(workflow.permissions).toEqual({ contents: 'read' })
    const uses = [...job.steps, ...image.steps].flatMap(({ uses }: Json) => uses ?? [])
    expect(uses.length).toBeGreaterThan(0)
    expect(uses.filter((one: string) => !/^actions\/[\w-]+@v\d+$/.test(one))).toEqual([])
    expect(text).not.toContain('pull_request_target')
  })

  test('builds and starts the containers with what compose.yaml asks for', async () => {
    const asked = [...(await read('compose.yaml')).matchAll(/\$\{(\w+):\?/g)].map(
      ([, name]) => name!,
    )
    expect(Object.keys(image.env).sort()).toEqual([...new Set(asked)].sort())
  })
})
