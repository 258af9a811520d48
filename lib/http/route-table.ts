/** A matching route, with the parameters from the path. */
export interface Match<T> {
  route: T
  params: Record<string, string> | undefined
}

interface Node<T> {
  children: Map<string, Node<T>>
  parameter: Node<T> | undefined
  route: { value: T; names: string[] } | undefined
  /** Whether h3 has a route for every path below. */
  isWildcard: boolean
}

/** Paths of these characters are the same encoded and decoded. */
const PLAIN = /^(?:\/[\w-]+)+$/

/**
 * Routes by method and path, for plain paths and routes without a wildcard. It avoids h3's
 * processing before the routing and follows the rule of h3's router (rou3): a fixed segment takes
 * precedence over a parameter. Other requests go to h3.
 */
export class RouteTable<T extends { method: string; path: string }> {
  /** Routes without parameters, by method, by path. */
  readonly #fixed = new Map<string, Map<string, Match<T>>>()
  /** Routes with parameters, by method. */
  readonly #trees = new Map<string, Node<T>>()

  /** `wildcards`: paths such as `/admin/**` that h3 handles for every method. */
  constructor(routes: T[], wildcards: string[]) {
    for (const method of new Set(routes.map((route) => route.method))) {
      const root = newNode<T>()
      this.#trees.set(method, root)
      this.#fixed.set(method, new Map())
      for (const path of wildcards) nodeAt(root, path)
    }
    for (const route of routes) this.#add(route)
  }

  /** Returns the route of a request; undefined if h3 must handle it. */
  find(method: string, url: string): Match<T> | undefined {
    const query = url.indexOf('?')
    const path = query < 0 ? url : url.slice(0, query)
    const fixed = this.#fixed.get(method)?.get(path)
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
      this.#fixed.get(method)!.set(path, { route, params: undefined })
    }
  }
}

function newNode<T>(): Node<T> {
  return { children: new Map(), parameter: undefined, route: undefined, isWildcard: false }
}

function segmentsOf(path: string): string[] {
  return path === '/' ? [] : path.slice(1).split('/')
}

/** Returns the node of a path and creates missing ones; a wildcard belongs to its parent folder. */
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
