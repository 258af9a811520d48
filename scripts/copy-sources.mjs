// Copies the files that /types.ts, /client.php, /docs and /console are made of to the compiled gateway, which reads
// them: `node scripts/copy-sources.mjs dist`, the last step of `npm run build`.
import { cpSync } from 'node:fs'
import { join } from 'node:path'

const [folder] = process.argv.slice(2)
for (const path of [
  'console',
  'lib/typescript-client/client',
  'lib/php-client/client',
  'lib/docs-page/page',
]) {
  cpSync(join(import.meta.dirname, '..', path), join(folder, path), { recursive: true })
}
