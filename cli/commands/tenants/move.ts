import { command, UsageError } from '../../command.ts'
import { changeTenant, numberOf, ONE_TENANT } from './change.ts'

export default command({
  args: {
    ...ONE_TENANT,
    to: {
      type: 'string',
      description: 'name of the server in SERVERS, or main',
      valueHint: 'server',
    },
    how: {
      type: 'string',
      description: 'dump, replicate (calls go on while it is copied) or auto, the default',
      valueHint: 'way',
    },
    hold: {
      type: 'boolean',
      description: 'answer calls with 503 meanwhile, however long it takes; else they wait',
    },
    'max-wait': { type: 'string', description: 'how long calls may wait', valueHint: 's' },
    tries: {
      type: 'string',
      description: 'how often replication tries to hold calls; 10 by default',
      valueHint: 'n',
    },
    stop: { type: 'boolean', description: 'give up the move that runs' },
  },
  async run(args, io) {
    if (args.stop) {
      await changeTenant(args, io, {
        path: '/admin/move-tenant',
        members: { stop: true },
        describe: ({ tenant_id: id }) => `the move of ${id} is given up`,
      })
      return undefined
    }
    if (args.to === undefined) throw new UsageError('--to is missing: the name of the server')
    const { tries, 'max-wait': wait } = args
    const members = {
      to: args.to,
      ...(args.how !== undefined && { how: args.how }),
      ...(args.hold && { hold: true }),
      ...(wait !== undefined && { max_wait_s: numberOf(wait) }),
      ...(tries !== undefined && { tries: numberOf(tries) }),
    }
    await changeTenant(args, io, {
      path: '/admin/move-tenant',
      members,
      describe: ({ database, from, to, held_ms: ms }) =>
        `${database} is moved from ${from} to ${to}; its calls waited ${ms} ms. Its former database stays on ${from} until "tenants drop --server ${from}"`,
      doing: 'Moving',
    })
    return undefined
  },
})
