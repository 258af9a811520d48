import { resolve } from 'node:path'
import { serverPlace } from '../../lib/config/server-place.ts'
import { command, Failure, GATEWAY_ARGS, PROGRAM, TENANT_ARG, YES_ARG } from '../command.ts'
import { DEPLOY_ARGS } from '../deploy-form.ts'
import { DeployOnSave } from '../dev/deploy-on-save.ts'
import { isOfThisMachine, isOwn, isThere, ownConfig, startOwnGateway } from '../dev/own-gateway.ts'
import { watchFolder } from '../dev/watch-folder.ts'
import { download } from '../gateway/client.ts'
import { TYPES } from '../gateway/document.ts'
import { platformOf, readTarget, type Target, tenantOf } from '../gateway/target.ts'
import type { Io } from '../io.ts'
import { shownPath } from '../schema/folder.ts'
import { packFolder } from '../schema/pack.ts'
import { writeChanged } from '../schema/write-changed.ts'
import { agree } from '../terminal/ask.ts'
import { busy } from '../terminal/busy.ts'
import { showDone } from '../terminal/show.ts'
import { printable, styles } from '../terminal/style.ts'

export default command({
  args: {
    folder: DEPLOY_ARGS.folder,
    types: {
      type: 'string',
      description: 'write the types and the client in TypeScript to a file after each deploy',
      valueHint: 'file',
    },
    allow: DEPLOY_ARGS.allow,
    repair: DEPLOY_ARGS.repair,
    ...GATEWAY_ARGS,
    ...TENANT_ARG,
    ...YES_ARG,
  },
  async run(args, io) {
    const target = readTarget(args, io)
    const platform = platformOf(target)
    const folder = resolve(io.folder, args.folder ?? '.')
    const { root } = await packFolder(folder)
    const ending = endOf(io)
    const stop = await gatewayFor({ target, platform, args }, io)
    const { bold, dim } = styles(io.hasColor)
    const deploys = new DeployOnSave(
      {
        target,
        platform,
        folder,
        args,
        onDeployed: () => writeTypes(args.types, { target, platform }, io),
      },
      io,
    )
    try {
      const end = await watchFolder(root, () => deploys.deploy())
      try {
        await deploys.deploy()
        io.out(
          `${bold(printable(shownPath(root, io.folder)))} is deployed on save; Ctrl-C ends it\n`,
        )
        await ending
      } finally {
        end()
      }
      if (stop) io.out(`${dim('Stopping the gateway')}\n`)
    } finally {
      await stop?.()
    }
    return undefined
  },
})

/** Resolves at Ctrl-C, or when the process is to end; a second Ctrl-C ends it at once. */
function endOf(io: Io): Promise<void> {
  return new Promise((end) => {
    const heard = () => {
      for (const off of offs) off()
      end()
    }
    const offs = [io.onInterrupt(heard), io.onTerminate(heard)]
  })
}

interface Asked {
  target: Target
  platform: string
  args: { yes?: boolean | undefined }
}

/**
 * Returns undefined if a gateway answers at the target's URL; else starts one in this process, and
 * returns a function that stops it. Asks before it takes a gateway or a PostgreSQL of another machine.
 */
async function gatewayFor(
  { target, platform, args }: Asked,
  io: Io,
): Promise<(() => Promise<void>) | undefined> {
  const agreeTo = (place: string) =>
    agree(
      `Deploy each save to ${platform} at ${place}?`,
      `${place} is not of this machine, and each save would be deployed there. `,
      args,
      io,
    )
  if (await isThere(target)) {
    if (!isOfThisMachine(target)) await agreeTo(target.url)
    showDone(io, `Gateway at ${target.url}`)
    return undefined
  }
  if (!isOwn(target)) {
    throw new Failure(
      `No gateway answers at ${target.url}, and one that is started here could not listen there. Start it with \`${PROGRAM} start\`, or name another with --url`,
    )
  }
  const config = configOf(target, io)
  const place = serverPlace(config.server)
  if (place?.isFar) await agreeTo(place.name)
  const stop = await busy('Starting a gateway', io, () => startOwnGateway(config, io)).catch(
    cannotStart,
  )
  showDone(io, `Gateway started at ${target.url}`)
  return stop
}

function configOf(target: Target, io: Io) {
  try {
    return ownConfig(target, io)
  } catch (error) {
    return cannotStart(error as Error)
  }
}

function cannotStart({ message }: Error): never {
  throw new Failure(`The gateway does not start: ${message}`)
}

async function writeTypes(
  path: string | undefined,
  { target, platform }: { target: Target; platform: string },
  io: Io,
): Promise<void> {
  if (path === undefined) return
  const query = { platform, tenant_id: tenantOf(target) }
  const types = await download(target, TYPES.path, TYPES.type, { query })
  const hasChanged = await writeChanged(resolve(io.folder, path), types)
  if (hasChanged) showDone(io, path)
}
