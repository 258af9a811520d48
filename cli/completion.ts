import { isPositional } from './args.ts'
import { type Entry, PROGRAM } from './command.ts'
import { shellQuote } from './terminal/shell.ts'

/** A command as a shell completes it. */
interface Completed {
  /** Words before it, `tenants/list`; '' stands for the program. */
  path: string
  /** Names of the commands in it, with what they do. */
  commands: [name: string, description: string][]
  /** Its flags with what they do, and whether a value follows. */
  flags: [name: string, description: string, hasValue: boolean][]
}

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** Returns the completion script of a shell for these commands. */
export async function completionOf(shell: Shell, commands: Record<string, Entry>): Promise<string> {
  const all = await collect('', { description: '', commands })
  return { bash, zsh, fish }[shell](all)
}

async function collect(path: string, entry: Entry): Promise<Completed[]> {
  if (!('commands' in entry)) {
    const { args } = (await entry.load()).default
    const flags = Object.entries(args)
      .filter(([, arg]) => !isPositional(arg))
      .map(([name, { type, description = '' }]): Completed['flags'][number] => [
        `--${name}`,
        description,
        type !== 'boolean',
      ])
    return [{ path, commands: [], flags: [...flags, HELP] }]
  }
  const inside = await Promise.all(
    Object.entries(entry.commands).map(([name, one]) =>
      collect(path === '' ? name : `${path}/${name}`, one),
    ),
  )
  const own = Object.entries(entry.commands).map(([name, { description }]): [string, string] => [
    name,
    description,
  ])
  return [{ path, commands: own, flags: [HELP] }, ...inside.flat()]
}

const HELP: Completed['flags'][number] = ['--help', 'show what the command takes', false]

const wordsOf = ({ commands, flags }: Completed) =>
  [...commands.map(([name]) => name), ...flags.map(([name]) => name)].join(' ')

const pathsOf = (all: Completed[]) =>
  all
    .map(({ path }) => path)
    .filter((path) => path !== '')
    .join(' ')

/** The words of the command so far, without flags; a word that is no command ends them. */
const BASH_PATH = `  local path="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " $commands " in *" \${path:+$path/}$word "*) path="\${path:+$path/}$word" ;; esac
  done`

function bash(all: Completed[]): string {
  const cases = all.map((one) => `    "${one.path}") words="${wordsOf(one)}" ;;`)
  return `# bash completion: source <(${PROGRAM} completion bash)
_database_gateway() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words="" commands="${pathsOf(all)}"
${BASH_PATH}
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _database_gateway ${PROGRAM}
`
}

function zsh(all: Completed[]): string {
  const cases = all.map((one) => {
    const options = [...one.commands, ...one.flags]
    const items = options.map(([name, text]) => shellQuote(`${name}:${text}`))
    return `    '${one.path}') options=(${items.join(' ')}) ;;`
  })
  return `#compdef ${PROGRAM}
# zsh completion: source <(${PROGRAM} completion zsh)
_database_gateway() {
  # \`words\` and \`path\` are zsh's own.
  local -a before options commands
  local at="" word
  commands=(${pathsOf(all)})
  before=("\${(@)words[2,CURRENT-1]}")
  for word in $before; do
    if (( \${commands[(Ie)\${at:+$at/}$word]} )); then at="\${at:+$at/}$word"; fi
  done
  options=()
  case "$at" in
${cases.join('\n')}
  esac
  _describe '${PROGRAM}' options
  _files
}
compdef _database_gateway ${PROGRAM}
`
}

function fish(all: Completed[]): string {
  const lines = all.flatMap(({ path, commands, flags }) => {
    const names = path === '' ? [] : path.split('/')
    const seen = names.map((name) => `__fish_seen_subcommand_from ${name}`)
    const others = commands.map(([name]) => name).join(' ')
    const conditions = [
      ...(path === '' ? ['__fish_use_subcommand'] : seen),
      ...(path !== '' && others ? [`not __fish_seen_subcommand_from ${others}`] : []),
    ]
    const start = `complete -c ${PROGRAM} -n '${conditions.join('; and ')}'`
    return [
      ...commands.map(([name, text]) => `${start} -f -a ${name} -d ${fishQuote(text)}`),
      ...flags.map(
        ([name, text, hasValue]) =>
          `${start} -l ${name.slice(2)}${hasValue ? ' -r' : ''} -d ${fishQuote(text)}`,
      ),
    ]
  })
  return `# fish completion: ${PROGRAM} completion fish | source\n${lines.join('\n')}\n`
}

function fishQuote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
