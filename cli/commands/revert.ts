import { command, DATABASE_ARGS, Failure, PROGRAM, UsageError, YES_ARG } from '../command.ts'
import { commandAgain } from '../fleet/again.ts'
import { describeChosen, FLEET_ARGS, fleetFields } from '../fleet/fields.ts'
import { runFleet } from '../fleet/run-fleet.ts'
import type { Line } from '../fleet/state.ts'
import { send } from '../gateway/client.ts'
import { platformOf, readTarget, type Target } from '../gateway/target.ts'
import type { Io } from '../io.ts'
import { agree } from '../terminal/ask.ts'
import { minute, showTable, writeText } from '../terminal/show.ts'
import { short } from '../terminal/words.ts'

export default command({
  args: {
    checksum: {
      type: 'positional',
      required: false,
      description:
        'the archive to go back to, or its beginning; without it the archives are listed',
    },
    ...FLEET_ARGS,
    'dry-run': { type: 'boolean', description: 'run everything and roll it back' },
    ...YES_ARG,
    ...DATABASE_ARGS,
  },
  async run(args, io) {
    const target = readTarget(args, io)
    const platform = platformOf(target)
    const fields = fleetFields(args, target)
    const { checksum: beginning } = args
    if (beginning === undefined) return listArchives(target, platform, args.json === true, io)

    const checksum = await findChecksum(target, platform, beginning)
    if (!args['dry-run']) {
      const what = `the code of ${platform} (${describeChosen(fields)})`
      await agree(`Take ${what} back to ${short(checksum)}?`, '', args, io)
    }
    const { skip, ...rest } = fields
    const body = JSON.stringify({
      platform,
      checksum,
      ...rest,
      ...(skip !== undefined && { skip: skip.split(',').map((name) => name.trim()) }),
      ...(args['dry-run'] && { dry_run: true }),
      progress: true,
    })
    return runFleet(
      {
        target,
        platform,
        path: '/admin/revert',
        request: { body },
        again: commandAgain(['revert', short(checksum)], args),
        json: args.json === true,
      },
      io,
    )
  },
})

async function readArchives(target: Target, platform: string) {
  const answer = await send(target, '/admin/archives', { query: { platform } })
  return { answer, archives: answer.json().archives as Line[] }
}

async function listArchives(target: Target, platform: string, isJson: boolean, io: Io) {
  const { answer, archives } = await readArchives(target, platform)
  if (isJson) {
    writeText(io, `${answer.text}\n`)
    return undefined
  }
  showTable(
    io,
    [
      { title: 'archive' },
      { title: 'first deployed' },
      { title: 'last deployed' },
      { title: 'databases', align: 'right' },
      { title: 'kept' },
    ],
    archives.map((one) => [
      short(one.checksum),
      minute(one.first_deployed_at),
      minute(one.last_deployed_at),
      String(one.databases),
      one.size_bytes === null ? 'no' : 'yes',
    ]),
    'no archive yet',
  )
  return undefined
}

/** Returns the one archive whose checksum begins so. */
async function findChecksum(target: Target, platform: string, beginning: string): Promise<string> {
  if (/^[0-9a-f]{64}$/.test(beginning)) return beginning
  if (!/^[0-9a-f]{4,}$/.test(beginning)) {
    throw new UsageError('A checksum has hexadecimal digits; give at least the first four')
  }
  const { archives } = await readArchives(target, platform)
  const found = archives.filter(({ checksum }) => checksum.startsWith(beginning))
  if (found.length === 1) return found[0]!.checksum
  const many = found.length > 1 ? `${found.length} archives begin` : 'No archive begins'
  throw new Failure(`${many} with ${beginning}: see \`${PROGRAM} revert\``)
}
