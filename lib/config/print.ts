/**
 * The configuration that holds, as a file that gives the same one: every value with where it came from. Secrets that were written out are
 * masked; where only their place was written, that stands there.
 */
import { Document, isMap, isScalar, isSeq, type Node } from 'yaml'
import { z } from 'zod'
import type { Loaded } from './load.ts'
import { overrideAt, type Override } from './overrides.ts'
import { fileSchema } from './schema.ts'

/** As long as a token has to be: what is printed is a file that can be read. */
/** As long as a token has to be: what is printed is a file that can be read. */
const mask = '****************'

export function printConfiguration({ content, document }: Loaded, overrides: readonly Override[]): string {
  const output = new Document(maskSecrets(z.encode(fileSchema, content)))
  const explain = (node: Node, steps: readonly PropertyKey[]): void => {
    const origin = findOrigin(steps)
    if (isScalar(node)) node.comment = ` ${origin}`
    // An empty list or section by default says nothing.
    else if (origin === 'default') output.deleteIn(steps)
  }
  const findOrigin = (steps: readonly PropertyKey[]): string => {
    const override = overrideAt(overrides, steps)
    if (override !== undefined) return override.shown
    const written = findWritten(steps)
    if (written !== undefined) return written
    const inherited = steps[0] === 'listeners' && inheritedKeys.has(String(steps[2])) ? findWritten(steps.slice(2)) : undefined
    if (inherited !== undefined) return inherited
    const profile = steps[0] === 'listeners' && profileKeys.has(String(steps[2])) ? content.listeners[Number(steps[1])]?.profile : undefined
    return profile === 'edge' ? 'profile edge' : 'default'
  }
  const findWritten = (steps: readonly PropertyKey[]): string | undefined => {
    const { place, isWritten, skips, steps: walked } = document.locate(steps)
    if (!isWritten || walked.length === 0) return undefined
    // One value instead of a list of one is all of the list.
    const isMeant = skips.every(
      ({ steps: before, key }) => typeof key === 'number' || shortForms.get(patternOf(before))?.includes(String(key)) === true,
    )
    if (!isMeant) return undefined
    return `${place.path}:${place.line}`
  }
  walk(output.contents, [], explain)
  return output.toString({ lineWidth: 0 })
}

/** Values, and lists and sections that are empty. */
function walk(node: unknown, steps: readonly PropertyKey[], visitLeaf: (node: Node, steps: readonly PropertyKey[]) => void): void {
  if (isMap(node) && node.items.length > 0) {
    for (const { key, value } of [...node.items]) walk(value, [...steps, String(isScalar(key) ? key.value : key)], visitLeaf)
    if (node.items.length === 0) visitLeaf(node, steps)
  } else if (isSeq(node) && node.items.length > 0) {
    for (const [index, item] of node.items.entries()) walk(item, [...steps, index], visitLeaf)
  } else if (isScalar(node) || isMap(node) || isSeq(node)) visitLeaf(node, steps)
}

/** What each short form says of the section that it stands for. */
const shortForms: ReadonlyMap<string, readonly string[]> = new Map([
  ['listeners.*', ['address']],
  ['listeners.*.requestId', ['name']],
  ['listeners.*.errorPages.*', ['file']],
  ['listeners.*.errorPages.*.json', ['file']],
  ['upstreams.*', ['servers']],
  ['upstreams.*.servers.*', ['address']],
  ['upstreams.*.*', ['address']],
  ['upstreams.*.health', ['path']],
  ['routes.*.match.path', ['prefix']],
  ['routes.*.match.headers.*', ['exact']],
  ['routes.*.redirect', ['location']],
  ['routes.*.answer', ['body', 'status']],
  ['routes.*.errorPages.*', ['file']],
  ['routes.*.errorPages.*.json', ['file']],
  ['rateLimits.*', ['requests', 'per']],
  ['rateLimitStore', ['url']],
  ['admin', ['address']],
  ['accessLog', ['destination']],
])

/** Their keys are names. */
const namedSections: ReadonlySet<string> = new Set(['upstreams', 'rateLimits', 'headers', 'errorPages'])

/** With `*` for what is a name or a number of its own. */
function patternOf(walked: readonly PropertyKey[]): string {
  return walked
    .map((step, index) => {
      const before = walked[index - 1]
      return typeof step === 'number' || namedSections.has(String(before)) ? '*' : String(step)
    })
    .join('.')
}

/** Of a listener: what stands at the top of the file for all of them. */
const inheritedKeys: ReadonlySet<string> = new Set(['forwarded', 'trustedProxies', 'rules', 'profile'])
/** Of a listener: what its profile decides. */
const profileKeys: ReadonlySet<string> = new Set([
  'forwarded',
  'requestId',
  'serverField',
  'securityFields',
  'rateLimits',
  'connectionsPerClient',
  'requestBodyBytes',
])

function maskSecrets(file: z.input<typeof fileSchema>): z.input<typeof fileSchema> {
  const { admin, rateLimitStore: store, ...rest } = file
  return {
    ...rest,
    ...(store !== undefined && {
      rateLimitStore:
        typeof store === 'object'
          ? {
              ...store,
              url: typeof store.url === 'string' ? maskPassword(store.url) : store.url,
              ...(typeof store.key === 'string' && { key: mask }),
            }
          : store,
    }),
    ...(admin !== undefined && {
      admin: typeof admin === 'object' && typeof admin.token === 'string' && admin.token !== '' ? { ...admin, token: mask } : admin,
    }),
  }
}

/** Up to the last "@", as the reader of the URL takes it. */
function maskPassword(url: string): string {
  return url.replace(/^([a-z]+:\/\/[^:@/]*):.*@/, `$1:${mask}@`)
}
