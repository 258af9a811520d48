/** sd_listen_fds(3): the first descriptor that is passed; the others follow it. */
const FIRST_DESCRIPTOR = 3

/** What sd_listen_fds(3) unsets, so that no child takes them for its own. */
const VARIABLES = ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID']

/**
 * The descriptor of the listening socket that systemd, or whoever started this process, holds for
 * it; undefined where there is none, or where it is meant for another process. The variables that
 * tell are removed from `env`. That children do not inherit the descriptor is Node.js's doing.
 * @throws {Error} with one line where several are passed
 */
export function takePassedSocket(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const { LISTEN_FDS, LISTEN_PID } = env
  for (const name of VARIABLES) delete env[name]
  if (!LISTEN_FDS || LISTEN_FDS === '0' || LISTEN_PID !== String(pid)) return undefined
  if (LISTEN_FDS === '1') return FIRST_DESCRIPTOR
  throw new Error(`LISTEN_FDS: the gateway listens on one socket and was passed ${LISTEN_FDS}`)
}
