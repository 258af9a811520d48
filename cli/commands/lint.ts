import { join, resolve } from 'node:path'
import type { Finding } from '../../lib/lint/finding.ts'
import { lint } from '../../lib/lint/lint.ts'
import { command, EXIT, JSON_ARG, UsageError } from '../command.ts'
import { DEPLOY_ARGS } from '../deploy-form.ts'
import type { Io } from '../io.ts'
import { shownPath } from '../schema/folder.ts'
import { packFolder, pathsOf } from '../schema/pack.ts'
import { readTests, testsHome } from '../schema/tests.ts'
import { describePlace } from '../terminal/failure.ts'
import { showWarnings, writeJson } from '../terminal/show.ts'
import { printable, styles } from '../terminal/style.ts'
import { count } from '../terminal/words.ts'

export default command({
  args: {
    folder: DEPLOY_ARGS.folder,
    since: {
      type: 'string',
      description:
        'first migration whose losses and locks are looked at, by the beginning of its name',
      valueHint: 'migration',
    },
    strict: { type: 'boolean', description: 'exit with 1 for warnings too' },
    ...JSON_ARG,
  },
  async run(args, io) {
    const { archive, root, warnings } = await packFolder(resolve(io.folder, args.folder ?? '.'))
    const { migrations } = archive.files
    if (args.since && !migrations.some(({ name }) => name.startsWith(args.since!))) {
      throw new UsageError(`No migration begins with "${args.since}"`)
    }
    const tests = await readTests(root)
    const shown = (path: string) =>
      shownPath(join(path.startsWith('tests/') ? testsHome(root) : root, path), io.folder)
    const findings = (await lint(archive, tests, args.since)).map((one) => ({
      ...one,
      file: shown(one.file),
    }))
    const ignored = warnings.filter((warning) => warning.startsWith('Ignored'))
    const errors = findings.filter(({ level }) => level === 'error').length
    const rest = findings.length - errors + ignored.length
    const files = pathsOf({ archive }).length + tests.length
    if (args.json) {
      writeJson(io, { files, errors, warnings: rest, findings, ignored })
    } else {
      show(io, findings, ignored)
      summarise(io, files, errors, rest)
    }
    return errors > 0 || (args.strict && rest > 0) ? EXIT.failed : EXIT.done
  },
})

function show(io: Io, findings: Finding[], ignored: string[]): void {
  const style = styles(io.hasColor)
  for (const { level, rule, message, advice, ...place } of findings) {
    const ink = level === 'error' ? style.red : style.yellow
    io.out(`${ink(style.bold(level))} ${rule}: ${printable(message)}\n`)
    io.out(
      describePlace(place, style)
        .map((line) => `${line}\n`)
        .join(''),
    )
    io.out(`  ${style.dim('→')} ${printable(advice)}\n\n`)
  }
  showWarnings(io, ignored)
}

function summarise(io: Io, files: number, errors: number, warnings: number): void {
  const { green, red, yellow } = styles(io.hasColor)
  const looked = count(files, 'file')
  if (errors + warnings === 0) io.out(`${green('✓')} ${looked}: nothing found\n`)
  else {
    const ink = errors > 0 ? red : yellow
    const found = `${looked}: ${count(errors, 'error')}, ${count(warnings, 'warning')}`
    io.out(`${ink(found)}\n`)
  }
}
