import { join } from 'node:path'
import { afterTest } from './after-test.ts'
import { startProgram, temporaryFolder } from './process.ts'

/** Receives datagrams as systemd does, and writes each as a line of JSON. */
const RECEIVER = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
    print(json.dumps(s.recv(65536).decode()), flush=True)
`

/** What a process has told the service manager, one object of variables a message. */
export interface NotifySocket {
  path: string
  messages(): Record<string, string>[]
}

/** Opens a socket for NOTIFY_SOCKET, which is closed after the test. */
export async function notifySocket(): Promise<NotifySocket> {
  const folder = await temporaryFolder()
  const path = join(folder, 'notify')
  const { PATH = '' } = process.env
  const program = startProgram('python3', ['-c', RECEIVER, path], { cwd: folder, env: { PATH } })
  afterTest(() => program.kill('SIGKILL'))
  await program.line('bound')
  const messages = () =>
    program
      .lines()
      .filter((line) => line.startsWith('"'))
      .map((line) => JSON.parse(line) as string)
      // systemd-notify waits until its message was received.
      .filter((text) => text !== 'BARRIER=1')
      .map((text) => Object.fromEntries(text.split('\n').map((one) => one.split(/=(.*)/s))))
  return { path, messages }
}
