import { command, UsageError } from '../command.ts'
import { DOCUMENT_ARGS, writeDocument } from '../gateway/document.ts'
import { platformOf, readTarget, tenantOf } from '../gateway/target.ts'

/** Where the gateway describes a platform in a language. */
const PATHS: Record<string, string> = { typescript: '/types.ts', php: '/client.php' }

export default command({
  args: {
    language: {
      type: 'string',
      default: 'typescript',
      description: 'typescript or php',
      valueHint: 'language',
    },
    bigint: {
      type: 'boolean',
      description: 'TypeScript: numbers beyond 2^53 as bigint, in the place of strings',
    },
    ...DOCUMENT_ARGS,
  },
  async run(args, io) {
    const target = readTarget(args, io)
    const path = Object.hasOwn(PATHS, args.language) ? PATHS[args.language] : undefined
    if (path === undefined) {
      throw new UsageError(
        `Unknown language: ${args.language}; it is one of ${Object.keys(PATHS).join(', ')}`,
      )
    }
    const query = {
      platform: platformOf(target),
      tenant_id: tenantOf(target),
      bigint: args.bigint ? 'bigint' : undefined,
    }
    return writeDocument({ target, path, query, out: args.out }, io)
  },
})
