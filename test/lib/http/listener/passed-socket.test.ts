import { expect, it } from 'vitest'
import { takePassedSocket } from '../../../../lib/http/listener/passed-socket.ts'

const PID = 4711

it('takes the first descriptor, 3, and removes what told of it', () => {
  const env = { LISTEN_FDS: '1', LISTEN_PID: `${PID}`, LISTEN_FDNAMES: 'http', PATH: '/bin' }

  expect(takePassedSocket(env, PID)).toBe(3)
  expect(env).toEqual({ PATH: '/bin' })
})

it('leaves a socket alone that is meant for another process, and does not hand on what told of it', () => {
  const env = { LISTEN_FDS: '1', LISTEN_PID: `${PID + 1}` }

  expect(takePassedSocket(env, PID)).toBeUndefined()
  expect(env).toEqual({})
})

it.each([
  [{}],
  [{ LISTEN_FDS: '', LISTEN_PID: `${PID}` }],
  [{ LISTEN_FDS: '0', LISTEN_PID: `${PID}` }],
  [{ LISTEN_FDS: '1' }],
])('has none where none is passed: %j', (env) => {
  expect(takePassedSocket(env, PID)).toBeUndefined()
})

it.each(['2', 'x', '-1'])('wants one, not LISTEN_FDS=%s', (count) => {
  expect(() => takePassedSocket({ LISTEN_FDS: count, LISTEN_PID: `${PID}` }, PID)).toThrow(
    `LISTEN_FDS: the gateway listens on one socket and was passed ${count}`,
  )
})
