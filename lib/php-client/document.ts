import { readFileSync } from 'node:fs'
import { type BigintShape, bigintsOf } from '../description/bigints.ts'
import { type Description, overloadsByName, readsOnly } from '../description/description.ts'
import { methods } from './methods.ts'
import { commentText, literal, PhpTypes, pascalCase } from './types.ts'

export interface PhpOptions {
  /** Members that name the database, beside that of the tenant. */
  owner: { platform: string; schema_name?: string | undefined }
  /** Namespace of the classes; undefined: the name of the platform. */
  namespace: string | undefined
}

const FILES = ['errors', 'transport', 'connection']

/** Where PHP refuses a name as a namespace, it has `Db` at its end. */
function namespaceOf(platform: string): string {
  const name = pascalCase(platform)
  return name === 'Namespace' ? `${name}Db` : name
}

let client: string | undefined

/** Returns the classes of the client. */
function clientText(): string {
  client ??= FILES.map((name) => {
    const text = readFileSync(new URL(`./client/${name}.php`, import.meta.url), 'utf8')
    return text.replace(/^<\?php\s+/, '').trim()
  }).join('\n\n')
  return client
}

/** Returns a file of PHP 8.1: a class with a method for each function of a database. */
export function phpDocument({ owner, namespace }: PhpOptions, description: Description): string {
  const types = new PhpTypes(description.types)
  const { platform, schema_name } = owner
  const names = Object.entries(owner).filter(([, value]) => value !== undefined)
  const members = names.map(([name, value]) => `${literal(name)} => ${literal(value)}`)
  const aliases = types.aliases().map((line) => ` * ${commentText(line)}\n`)
  return `<?php

// Functions of the platform ${platform}. Do not edit: the Database Gateway writes this file,
// GET /client.php?platform=${platform}.
// Schema ${description.digest.slice(0, 12)}

declare(strict_types=1);

namespace ${namespace ?? namespaceOf(platform)};

/**
 * The functions of the platform ${platform}, bound to a tenant.
 *
${aliases.join('')} */
final class Database
{
    /** Calls by the name of the function, batches and streams. */
    public readonly Connection $connection;

    /**
     * @param string $url address of the gateway: http://localhost:9000
     * @param string|null $tenant the tenant whose database is called; null is the main database
     * @param array<string, string> $headers headers of each request
     */
    public function __construct(
        string $url,
        ?string $tenant,
        Options $options = new Options(),
        array $headers = [],
        ?Transport $transport = null,
    ) {
        $this->connection = new Connection(
            rtrim($url, '/'),
            [${members.join(', ')}],
            ${literal(schema_name === undefined ? 'tenant_id' : 'uuid')},
            self::FUNCTIONS,
            $tenant,
            $options,
            $headers,
            $transport,
        );
    }

${methods(description.functions, types)}

    private const FUNCTIONS = [
${table(description)}
    ];
}

${clientText()}
`
}

/** What the client knows of each function, a line for each. */
function table({ functions, types }: Description): string {
  return [...overloadsByName(functions)]
    .map(([name, overloads]) => {
      const bigints = bigintsOf(overloads, types)
      const more = bigints === undefined ? '' : `, 'bigints' => ${shapeText(bigints)}`
      return `        ${literal(name)} => ['reads' => ${readsOnly(overloads)}${more}],`
    })
    .join('\n')
}

function shapeText(shape: BigintShape): string {
  if (shape === 1) return '1'
  if (Array.isArray(shape)) return `[${shapeText(shape[0])}]`
  const members = Object.entries(shape).map(
    ([name, one]) => `${literal(name)} => ${shapeText(one)}`,
  )
  return `[${members.join(', ')}]`
}
