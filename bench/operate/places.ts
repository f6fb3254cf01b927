/**
 * The example's configuration with ports and paths of its own, so that two may run at a time, and beside anything else. The file is taken as text: what runs
 * is what it says, but for its addresses.
 */
import { readFileSync } from 'node:fs'

export const examplePath = new URL('../../../bench/operate/example.yaml', import.meta.url)

/** The addresses in the file, by what is there. */
export const exampleAddresses = {
  proxy: '127.0.0.1:8080',
  servers: ['127.0.0.1:9001', '127.0.0.1:9002', '127.0.0.1:9003'],
  redis: '127.0.0.1:6390',
  admin: '127.0.0.1:9900',
  accessLog: 'access.log',
} as const

export interface Places {
  readonly proxy: string
  readonly servers: readonly string[]
  readonly redis: string
  readonly admin: string
  /** Where the access log goes: a path, or `unix:path`. */
  readonly accessLog: string
}

/** Throws when the file does not name each of its addresses: then this and the file do not belong together. */
export function configurationFor(places: Places, text = readFileSync(examplePath, 'utf8')): string {
  const pairs: readonly (readonly [string, string])[] = [
    [exampleAddresses.proxy, places.proxy],
    ...exampleAddresses.servers.map((address, index) => [address, places.servers[index]!] as const),
    [exampleAddresses.redis, places.redis],
    [exampleAddresses.admin, places.admin],
    [`destination: ${exampleAddresses.accessLog}`, `destination: ${JSON.stringify(places.accessLog)}`],
  ]
  // All in one pass: an address that was put in is not one to be replaced.
  const table = new Map(pairs)
  for (const [from] of pairs) if (!text.includes(from)) throw new Error(`example.yaml does not name ${from}`)
  const pattern = new RegExp(pairs.map(([from]) => from.replaceAll('.', '\\.')).join('|'), 'g')
  return text.replace(pattern, (from) => table.get(from)!)
}
