import { command, GATEWAY_ARGS, JSON_ARG, SERVER_ARG } from '../../command.ts'
import { allPages } from '../../gateway/pages.ts'
import { platformOf, readTarget } from '../../gateway/target.ts'
import { labelsText, minute, showTable, writeJson } from '../../terminal/show.ts'
import { short } from '../../terminal/words.ts'

export default command({
  args: {
    label: { type: 'string', description: 'only those with it: plan:pro', valueHint: 'key:value' },
    state: {
      type: 'enum',
      options: ['active', 'suspended', 'dropping'],
      description: 'only those',
    },
    ...SERVER_ARG,
    ...GATEWAY_ARGS,
    ...JSON_ARG,
  },
  async run(args, io) {
    const target = readTarget(args, io)
    const platform = platformOf(target)
    const { label, server } = args
    const query = { platform, label, state: args.state as string | undefined, server }
    const tenants = await allPages(target, '/admin/tenants', query, 'tenants')
    if (args.json) {
      writeJson(io, { platform, tenants, count: tenants.length })
      return undefined
    }
    const hasServers = tenants.some((one) => one.server !== undefined)
    const titles = ['tenant', 'state', 'schema', 'deployed', 'labels', 'message']
    showTable(
      io,
      [...(hasServers ? ['server'] : []), ...titles].map((title) => ({ title })),
      tenants.map((one) => [
        ...(hasServers ? [one.server] : []),
        one.schema_name === undefined ? one.tenant_id : `${one.schema_name}/${one.tenant_id}`,
        one.state === 'dropping' ? `dropped ${minute(one.drop_at)}` : one.state,
        one.schema_checksum ? short(one.schema_checksum) : '–',
        minute(one.last_deployed_at),
        labelsText(one.labels),
        one.message ?? '',
      ]),
      'no tenant',
    )
    return undefined
  },
})
