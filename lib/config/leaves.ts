/**
 * The kinds of values that stand in a configuration file, each read strictly and written back as people write it: durations, sizes,
 * shares, addresses, networks, names. Every leaf says what it expected in words. The sections that are made of them are in schema.ts.
 */
import { z } from 'zod'
import { formatAddress, parseListenAddress, parseUpstreamAddress, type NumberRow } from '../core/options.ts'
import { formatQuantity, parseQuantity, type Unit } from '../core/units.ts'
import { NetworkSet } from '../route/networks.ts'
import { Pattern } from '../route/pattern.ts'

type Row = Pick<NumberRow, 'default' | 'min' | 'max' | 'doc'> & Partial<Pick<NumberRow, 'unit'>>

const kinds = {
  ms: {
    short: 'duration',
    name: 'a duration, such as 10s or 1h30m',
    pattern: '^(0+|(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$',
  },
  bytes: { short: 'size', name: 'a size, such as 512, 64k or 1m', pattern: '^[0-9]+[kmgKMG]?$' },
  'bytes/s': { short: 'rate', name: 'a rate in bytes, such as 240 or 64k/s', pattern: '^[0-9]+[kmgKMG]?(/s)?$' },
  count: { short: 'number', name: 'a whole number', pattern: '^[0-9]+$' },
} as const satisfies Record<Unit, object>

const sharePattern = '^(0+([.][0-9]+)?|0*1([.]0+)?|(0*[0-9]{1,2}([.][0-9]+)?|0*100([.]0+)?)%)$'

/** What a value with this pattern is called in a table. */
export const nameOfPattern: ReadonlyMap<string, string> = new Map([
  ...Object.values(kinds).map(({ pattern, short }): [string, string] => [pattern, short]),
  [sharePattern, 'share'],
])

/** A number in its unit, as a flag takes it; the default is not applied here. */
export function quantity(unit: Unit, { min, max }: { readonly min: number; readonly max: number }, doc: string) {
  const { name, pattern } = kinds[unit]
  // A bare number is a count or a number of bytes; of a duration only 0 is clear without a unit, where it is not too short.
  const bounds = unit === 'ms' ? { minimum: min, maximum: 0 } : { minimum: min, maximum: max }
  return z
    .codec(z.union([z.string(), z.number()], { error: `expected ${name}` }), z.number(), {
      decode: (given, context) => {
        const problem = (message: string): never => {
          context.issues.push({ code: 'custom', message, input: given })
          return z.NEVER
        }
        let value: number
        try {
          value = parseQuantity(unit, String(given))
        } catch (error) {
          return problem((error as Error).message)
        }
        if (value >= min && value <= max) return value
        return problem(`must be from ${formatQuantity(unit, min)} to ${formatQuantity(unit, max)}, not ${formatQuantity(unit, value)}`)
      },
      encode: (value) => {
        const text = formatQuantity(unit, value)
        return /^[0-9]+$/.test(text) ? value : text
      },
    })
    .meta({ description: doc, pattern, ...bounds, multipleOf: 1 })
}

/** The rows of an option table, all of them optional: what is not given is decided where all sources of options meet. */
export function numbers<K extends string>(table: Readonly<Record<K, Row>>, doc: string, only?: readonly K[]) {
  const names = only ?? (Object.keys(table) as K[])
  const leaf = (name: K) => quantity(table[name].unit ?? 'ms', table[name], table[name].doc).exactOptional()
  const shape = Object.fromEntries(names.map((name) => [name, leaf(name)])) as Record<K, ReturnType<typeof leaf>>
  return z.strictObject(shape).describe(doc)
}

/** From 0 to 1, or with %. */
export function share(doc: string) {
  return z
    .codec(z.union([z.number(), z.string()], { error: 'expected a share, such as 0.1 or 10%' }), z.number(), {
      decode: (given, context) => {
        const [, digits, percent] = /^([0-9]+(?:\.[0-9]+)?)(%?)$/.exec(String(given)) ?? []
        const value = typeof given === 'number' ? given : digits === undefined ? Number.NaN : Number(digits) / (percent === '%' ? 100 : 1)
        if (value >= 0 && value <= 1) return value
        context.issues.push({ code: 'custom', message: `must be from 0 to 1, or from 0% to 100%, not ${show(given)}`, input: given })
        return z.NEVER
      },
      encode: (value) => value,
    })
    .meta({ description: doc, minimum: 0, maximum: 1, pattern: sharePattern })
}

/** A status, a class or a range of them, as the first and the last one. `first`: the least class that is of use. */
export function statusRange(first: 1 | 4, expected: string) {
  const one = `[${first}-5][0-9]{2}`
  const pattern = `^([${first}-5]xx|${one}(-${one})?)$`
  return z
    .codec(z.union([z.number(), z.string()], { error: `expected ${expected}` }), z.tuple([z.number(), z.number()]), {
      decode: (given, context): [number, number] => {
        const [from = '', to = from] = new RegExp(pattern).test(String(given)) ? String(given).split('-') : []
        const range: [number, number] = [Number(from.replace('xx', '00')), Number(to.replace('xx', '99'))]
        if (from !== '' && range[0] <= range[1]) return range
        context.issues.push({ code: 'custom', message: `expected ${expected}, not ${show(given)}`, input: given })
        return z.NEVER
      },
      encode: ([from, to]) => (from === to ? from : `${from}-${to}`),
    })
    .meta({ pattern, minimum: first * 100, maximum: 599, multipleOf: 1 })
}

/** Text that a function can object to, by an Error whose message is shown. `pattern`: as much of it as an editor can be told. */
export function checkedText(doc: string, check: (text: string) => unknown, pattern?: RegExp) {
  return z
    .string()
    .superRefine((text, context) => {
      try {
        check(text)
      } catch (error) {
        context.addIssue({ code: 'custom', message: (error as Error).message, input: text })
      }
    })
    .meta({ description: doc, ...(pattern !== undefined && { pattern: pattern.source }) })
}

/** Text of which a pattern is all that there is to say; editors are told it. */
export function matchingText(doc: string, pattern: RegExp, explain: (text: string) => string) {
  return checkedText(
    doc,
    (text) => {
      if (!pattern.test(text)) throw new Error(explain(text))
    },
    pattern,
  )
}

export function listenAddress(doc: string) {
  return checkedText(doc, parseListenAddress)
}

/** `host:port`, `unix:path`, or `srv:_service._proto.name`. */
export function serverAddress(doc: string) {
  return checkedText(doc, (text) => {
    if (!text.startsWith('srv:')) return parseUpstreamAddress(text)
    if (!/^srv:_[a-z0-9-]+\._[a-z]+(?:\.[a-z0-9_-]+)+\.?$/i.test(text))
      throw new Error(`${show(text)} is not a service; write srv:_service._proto.name, such as srv:_http._tcp.app.internal`)
  })
}

/** The address of a listener as one text, so that two ways of writing it are found equal. */
export function canonicalAddress(text: string): string {
  return formatAddress(parseListenAddress(text))
}

/** RFC 9110 section 5.6.2. */
const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

export function isToken(text: string): boolean {
  return tokenPattern.test(text)
}

export function token(doc: string, what = 'a token') {
  return matchingText(doc, tokenPattern, (text) => `${show(text)} is not ${what}`)
}

/** RFC 9110 section 5.5; what is outside of latin-1 has no octet. */
const fieldValuePattern = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/

export function fieldValue(doc: string) {
  return matchingText(
    doc,
    fieldValuePattern,
    (text) => `${show(text)} cannot be the value of a field: no control characters, no space at its ends, no character above U+00FF`,
  )
}

export function regularExpression(doc: string) {
  return checkedText(doc, (text) => new Pattern(text))
}

/** CIDR notation; a bare address is a network of one. */
export function network(doc: string) {
  return checkedText(doc, (text) => new NetworkSet([text]))
}

/** What was written, short and on one line. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 64 ? `${text.slice(0, 63)}…` : text
}
