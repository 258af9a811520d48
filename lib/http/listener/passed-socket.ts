/** First passed descriptor, SD_LISTEN_FDS_START in sd_listen_fds(3). */
const FIRST_DESCRIPTOR = 3

/** Variables that sd_listen_fds(3) unsets, so that child processes do not use them. */
const VARIABLES = ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID']

/**
 * Returns the descriptor of the listening socket that systemd or another parent has passed to this
 * process; undefined if there is none or it is for another process. Removes the variables from
 * `env`. Node.js does not pass the descriptor on to child processes.
 * @throws {Error} with one line if several sockets are passed
 */
export function takePassedSocket(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const { LISTEN_FDS, LISTEN_PID } = env
  for (const name of VARIABLES) delete env[name]
  if (!LISTEN_FDS || LISTEN_FDS === '0' || LISTEN_PID !== String(pid)) return undefined
  if (LISTEN_FDS === '1') return FIRST_DESCRIPTOR
  throw new Error(`LISTEN_FDS: the gateway listens on one socket and was passed ${LISTEN_FDS}`)
}
