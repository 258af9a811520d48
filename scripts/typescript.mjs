// Has Node.js run TypeScript: `node --import ./scripts/typescript.mjs server.ts`. Node.js strips types by
// itself from 22.18; an older one is given tsx.
if (!process.features.typescript) await import('tsx')
