import { command } from '../command.ts'
import { DOCUMENT_ARGS, writeDocument } from '../gateway/document.ts'
import { platformOf, readTarget, tenantOf } from '../gateway/target.ts'

export default command({
  args: {
    gateway: {
      type: 'boolean',
      description: "describe the gateway's own endpoints, in the place of a platform's functions",
    },
    ...DOCUMENT_ARGS,
  },
  async run(args, io) {
    const target = readTarget(args, io)
    const query = args.gateway ? {} : { platform: platformOf(target), tenant_id: tenantOf(target) }
    const asked = { target, path: '/openapi.json', type: 'application/json', query, out: args.out }
    return writeDocument(asked, io)
  },
})
