import { command, UsageError } from '../command.ts'
import { DOCUMENT_ARGS, TYPES, writeDocument } from '../gateway/document.ts'
import { platformOf, readTarget, tenantOf } from '../gateway/target.ts'

/** Where the gateway describes a platform in a language, and the content type that it has. */
const DOCUMENTS: Record<string, { path: string; type: string }> = {
  typescript: TYPES,
  php: { path: '/client.php', type: 'application/x-php' },
}

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
    const { language } = args
    const document = Object.hasOwn(DOCUMENTS, language) ? DOCUMENTS[language] : undefined
    if (document === undefined) {
      throw new UsageError(
        `Unknown language: ${language}; it is one of ${Object.keys(DOCUMENTS).join(', ')}`,
      )
    }
    const query = {
      platform: platformOf(target),
      tenant_id: tenantOf(target),
      bigint: args.bigint ? 'bigint' : undefined,
    }
    return writeDocument({ target, ...document, query, out: args.out }, io)
  },
})
