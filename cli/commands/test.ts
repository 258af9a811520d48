import { writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, dirname, resolve } from 'node:path'
import { serverPlace } from '../../lib/config/server-place.ts'
import { readEnvironment } from '../../lib/config.ts'
import { testsConfig } from '../../lib/sql-tests/settings.ts'
import { command, EXIT, Failure, JSON_ARG, UsageError, YES_ARG } from '../command.ts'
import { DEPLOY_ARGS } from '../deploy-form.ts'
import { makeFolder } from '../make-folder.ts'
import { shownPath } from '../schema/folder.ts'
import { packFolder } from '../schema/pack.ts'
import { readTests, testsHome } from '../schema/tests.ts'
import { agree } from '../terminal/ask.ts'
import { busy } from '../terminal/busy.ts'
import { canRedraw } from '../terminal/redraw.ts'
import { showWarnings, writeJson } from '../terminal/show.ts'
import { printable, styles } from '../terminal/style.ts'
import { describeResult, describeSuite, jsonOf } from '../test/show.ts'
import { tapOf } from '../test/tap.ts'

export default command({
  args: {
    folder: DEPLOY_ARGS.folder,
    only: {
      type: 'string',
      description: 'run the tests whose paths contain this text',
      valueHint: 'text',
    },
    'database-url': {
      type: 'string',
      description:
        'the PostgreSQL server (GATEWAY_DATABASE_URL, DATABASE_URL); else an embedded one',
      valueHint: 'uri',
    },
    jobs: { type: 'string', description: 'tests that run at the same time', valueHint: 'number' },
    timeout: {
      type: 'string',
      default: '60',
      description: 'seconds that a statement may take',
      valueHint: 'seconds',
    },
    tap: { type: 'boolean', description: 'write the Test Anything Protocol' },
    junit: { type: 'string', description: "write JUnit's XML to a file", valueHint: 'file' },
    coverage: {
      type: 'boolean',
      default: true,
      description: 'say which functions the tests have not called',
    },
    ...YES_ARG,
    ...JSON_ARG,
  },
  async run(args, io) {
    if (args.tap && args.json) throw new UsageError('Give --tap or --json, not both')
    const jobs = numberOf('jobs', args.jobs ?? String(Math.min(4, availableParallelism())))
    const timeoutMs = numberOf('timeout', args.timeout) * 1000
    const { archive, bytes, root } = await packFolder(resolve(io.folder, args.folder ?? '.'))
    const found = await readTests(root)
    const tests = found.filter(({ path }) => path.includes(args.only ?? ''))
    if (tests.length === 0) {
      const where = shownPath(testsHome(root), io.folder)
      throw new Failure(
        found.length > 0
          ? `No test has "${args.only}" in its path: ${found.map(({ path }) => path).join(', ')}`
          : `There is no SQL file in tests/ of ${where}`,
      )
    }
    const env = readEnvironment(io.folder, io.env)
    const meant = args['database-url'] || env.GATEWAY_DATABASE_URL
    const databaseUrl = meant || env.DATABASE_URL || undefined
    const isSilent = args.json === true || args.tap === true
    const place = serverPlace(testsConfig(databaseUrl, env).server)
    if (place?.isFar && !meant) {
      const why = `${place.name} is not of this machine; tests make databases and a role there. Name it with --database-url. `
      await agree(
        `Make databases and a role for tests at ${place.name}?`,
        why,
        { yes: args.yes, json: isSilent },
        io,
      )
    }
    const style = styles(io.hasColor)
    const stopping = new AbortController()
    const stop = () => {
      // The embedded server and its folder end with the process.
      if (stopping.signal.aborted) process.exit(EXIT.failed)
      stopping.abort()
    }
    const release = [io.onInterrupt, io.onTerminate].map((on) => on(stop))
    if (place) io.err(`${style.dim(printable(`PostgreSQL of ${place.name}`))}\n`)
    let number = 0
    if (args.tap) io.out(`TAP version 14\n1..${tests.length}\n`)
    const { runSuite } = await import('../../lib/sql-tests/suite.ts')
    const { out } = io
    const run = () =>
      runSuite({
        archive,
        packed: bytes,
        tests,
        databaseUrl,
        env,
        jobs,
        timeoutMs,
        coverage: args.coverage !== false,
        signal: stopping.signal,
        onResult: (result) => {
          number++
          if (args.tap) out(tapOf(result, number))
          else if (!args.json)
            out(`${canRedraw(io) ? '\r\u001b[K' : ''}${describeResult(result, style)}\n`)
        },
      })
    const result = await busy('Making a database', isSilent ? undefined : io, run).finally(() => {
      for (const one of release) one()
    })
    if (args.json) writeJson(io, jsonOf(result))
    else if (!args.tap) {
      showWarnings(io, result.warnings)
      io.out(`\n${describeSuite(result, style)}\n`)
    } else if (result.notRun.length > 0) io.out('Bail out! Interrupted\n')
    if (args.junit !== undefined) {
      const file = resolve(io.folder, args.junit)
      const { junitOf } = await import('../test/junit.ts')
      await makeFolder(dirname(file))
      await writeFile(file, junitOf(result, basename(testsHome(root))))
    }
    const isWhole = result.notRun.length === 0
    return isWhole && result.results.every(({ failure }) => !failure) ? EXIT.done : EXIT.failed
  },
})

function numberOf(flag: string, text: string): number {
  const number = Number(text)
  if (/^\d{1,6}$/.test(text) && number > 0) return number
  throw new UsageError(`--${flag} must be a number from 1 to 999999; got "${text}"`)
}
