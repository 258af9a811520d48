/** A route of the table, with the parameters that its path has in a request. */
export interface Match<T> {
  route: T
  params: Record<string, string> | undefined
}

interface Node<T> {
  children: Map<string, Node<T>>
  parameter: Node<T> | undefined
  route: { value: T; names: string[] } | undefined
  /** h3 has a route here for everything below. */
  isWildcard: boolean
}

/** A path with these characters alone is the same whether it is decoded or not. */
const PLAIN = /^(?:\/[\w-]+)+$/

/**
 * The routes by method and path, without what h3 makes of a request before it looks for a route. It
 * answers for plain paths of routes without a wildcard, as h3's router (rou3) does: a fixed segment
 * goes before a parameter. For all else h3 is asked.
 */
export class RouteTable<T extends { method: string; path: string }> {
  /** By method and path, those without parameters. */
  readonly #fixed = new Map<string, Match<T>>()
  /** By method, those with parameters. */
  readonly #trees = new Map<string, Node<T>>()

  /** `wildcards`: paths such as `/admin/**` that h3 answers for with every method. */
  constructor(routes: T[], wildcards: string[]) {
    for (const method of new Set(routes.map((route) => route.method))) {
      const root = newNode<T>()
      this.#trees.set(method, root)
      for (const path of wildcards) nodeAt(root, path)
    }
    for (const route of routes) this.#add(route)
  }

  /** The route of a request; undefined: h3 is to be asked. */
  find(method: string, url: string): Match<T> | undefined {
    const query = url.indexOf('?')
    const path = query < 0 ? url : url.slice(0, query)
    const fixed = this.#fixed.get(`${method} ${path}`)
    if (fixed) return fixed
    const tree = this.#trees.get(method)
    if (!tree || !PLAIN.test(path)) return undefined
    const segments = path.slice(1).split('/')
    const route = search(tree, segments, 0)
    if (!route || route === 'wildcard') return undefined
    return { route: route.value, params: parametersOf(route.names, segments) }
  }

  #add(route: T): void {
    const { method, path } = route
    const node = nodeAt(this.#trees.get(method)!, path)
    if (node.isWildcard) return
    const names = segmentsOf(path).map((segment) =>
      segment.startsWith(':') ? segment.slice(1) : '',
    )
    node.route = { value: route, names }
    if (names.every((name) => name === '')) {
      this.#fixed.set(`${method} ${path}`, { route, params: undefined })
    }
  }
}

function newNode<T>(): Node<T> {
  return { children: new Map(), parameter: undefined, route: undefined, isWildcard: false }
}

function segmentsOf(path: string): string[] {
  return path === '/' ? [] : path.slice(1).split('/')
}

/** The node of a path, with those above it. That of a wildcard is the folder above. */
function nodeAt<T>(root: Node<T>, path: string): Node<T> {
  let node = root
  for (const segment of segmentsOf(path)) {
    if (segment.startsWith('**')) {
      node.isWildcard = true
    } else if (segment.startsWith(':')) {
      node.parameter ??= newNode()
      node = node.parameter
    } else {
      const child = node.children.get(segment) ?? newNode()
      node.children.set(segment, child)
      node = child
    }
  }
  return node
}

function search<T>(
  node: Node<T>,
  segments: string[],
  index: number,
): Node<T>['route'] | 'wildcard' {
  const segment = segments[index]
  if (segment === undefined) return node.route ?? (node.isWildcard ? 'wildcard' : undefined)
  const child = node.children.get(segment)
  const found =
    (child && search(child, segments, index + 1)) ??
    (node.parameter && search(node.parameter, segments, index + 1))
  return found ?? (node.isWildcard ? 'wildcard' : undefined)
}

function parametersOf(names: string[], segments: string[]): Record<string, string> {
  const params: Record<string, string> = {}
  names.forEach((name, i) => {
    if (name !== '') params[name] = segments[i]!
  })
  return params
}
