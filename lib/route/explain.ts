/** Why a route was not taken, in words: for people who ask, never for a request. Compares one by one what the router looks up. */
import type { RequestHead } from '../../native-free-parser/index.ts'
import type { Entry, EntryPath } from './router.ts'
import type { HostPattern } from './host.ts'

/** The first condition that does not hold, '' when all do. `host` and `path` are those that the router looks for. */
export function explainMismatch(
  { host, path, conditions }: Entry<unknown>,
  head: RequestHead,
  askedHost: string,
  askedPath: string,
): string {
  return explainHost(host, askedHost) || explainPath(path, askedPath) || conditions.explain(head)
}

function explainHost(own: HostPattern | undefined, asked: string): string {
  if (own === undefined) return ''
  if (asked === '') return 'the request has no host that could be compared'
  if (own.isWildcard) return asked.endsWith(`.${own.name}`) ? '' : `the host is not below ${own.name}`
  return asked === own.name ? '' : `the host is not ${own.name}`
}

function explainPath(own: EntryPath, asked: string): string {
  if (own.kind === 'any') return ''
  if (!asked.startsWith('/')) return `${asked} is no path`
  switch (own.kind) {
    case 'exact':
      return asked === own.text ? '' : `the path is not ${own.text}`
    case 'prefix':
      if (own.text.endsWith('/')) return asked.startsWith(own.text) ? '' : `the path is not below ${own.text}`
      return asked === own.text || asked.startsWith(`${own.text}/`) ? '' : `the path is not ${own.text} or below it`
    case 'pattern':
      return own.pattern.matches(asked) ? '' : `the path is not of the pattern ${own.pattern.text}`
  }
}
