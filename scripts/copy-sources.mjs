// Copies the files that /types.ts and /client.php are made of to the compiled gateway, which reads them:
// `node scripts/copy-sources.mjs dist`, the last step of `npm run build`.
import { cpSync } from 'node:fs'
import { join } from 'node:path'

const [folder] = process.argv.slice(2)
for (const client of ['lib/typescript-client/client', 'lib/php-client/client']) {
  cpSync(join(import.meta.dirname, '..', client), join(folder, client), { recursive: true })
}
