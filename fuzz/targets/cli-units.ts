/** Durations, sizes and addresses as people write them: read as naive readers read them, and written so that they read back. */
import { ProxyError } from '../../lib/core/errors.ts'
import { formatAddress, parseListenAddress, parseUpstreamAddress, type Address } from '../../lib/core/options.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../lib/core/units.ts'
import { mapOnto, toText } from '../octets.ts'
import { expect, expectSame, type Canary, type FuzzTarget } from '../target.ts'

const subject = { parseDuration, formatDuration, parseSize, formatSize, parseListenAddress, parseUpstreamAddress, formatAddress }
type Subject = typeof subject

const unitAlphabet = [
  '0',
  '1',
  '2',
  '9',
  '10',
  '60',
  '1024',
  '9007199254740991',
  'd',
  'h',
  'm',
  's',
  'ms',
  'k',
  'M',
  'g',
  '.',
  '-',
  '+',
  ' ',
  'e',
  '\n',
  '_',
]
const durationAlphabet = ['1', '2', '30', '0', 'd', 'h', 'm', 's', 'ms', '.']
const addressAlphabet = [
  '[',
  ']',
  ':',
  ':',
  '::1',
  '.',
  '0',
  '1',
  '80',
  '65535',
  '65536',
  'a',
  'F',
  '%',
  'http://',
  'HTTP://',
  'https://',
  'unix:',
  '/',
  '@',
  ' ',
  'localhost',
]

function makeTarget(units: Subject): FuzzTarget {
  return {
    name: 'cli-units',
    invariants: [
      'a duration and a size mean what a naive reader with whole numbers of any size takes them for, and what it refuses is refused',
      'what is refused is refused with ERR_EPROXY_OPTION, and nothing else is thrown',
      'every number is written as a text that reads back as the same number',
      'every address that is read is written as a text that reads back as the same address; the path of a socket stays as it is',
    ],
    run(data, random) {
      const text = random.chance(0.6)
        ? mapOnto(data.subarray(0, 24), random.pick([unitAlphabet, durationAlphabet, addressAlphabet]))
        : toText(data.subarray(0, 200))
      expectSame(
        attempt(() => units.parseDuration(text)),
        naiveDuration(text),
        `duration ${JSON.stringify(text)}`,
      )
      expectSame(
        attempt(() => units.parseSize(text)),
        naiveSize(text),
        `size ${JSON.stringify(text)}`,
      )
      for (const parse of [units.parseListenAddress, units.parseUpstreamAddress]) {
        const address = attempt<Address>(() => parse(text))
        if (address === undefined) continue
        if (address.kind === 'tcp')
          expect(Number.isInteger(address.port) && address.port >= 0 && address.port <= 65_535, () => `port of ${JSON.stringify(text)}`)
        else expect(text.endsWith(`unix:${address.path}`), () => `the path of ${JSON.stringify(text)} is ${JSON.stringify(address.path)}`)
        const written = units.formatAddress(address)
        expectSame(
          attempt(() => parse(written)),
          address,
          `address ${JSON.stringify(text)}, written ${JSON.stringify(written)}`,
        )
      }
      const number = random.pick([
        random.integer(0, 200_000),
        random.integer(0, 100) * random.pick([1_000, 1_024, 60_000, 86_400_000, 1_048_576]),
        random.integer(0, Number.MAX_SAFE_INTEGER),
      ])
      expectSame(units.parseDuration(units.formatDuration(number)), number, `duration ${number}, written ${units.formatDuration(number)}`)
      expectSame(units.parseSize(units.formatSize(number)), number, `size ${number}, written ${units.formatSize(number)}`)
    },
  }
}

/** undefined when it is refused. */
function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof ProxyError) || error.code !== 'ERR_EPROXY_OPTION') throw error
    return undefined
  }
}

function naiveDuration(text: string): number | undefined {
  if (/^0+$/.test(text)) return 0
  const sizes = new Map([
    ['d', 86_400_000n],
    ['h', 3_600_000n],
    ['m', 60_000n],
    ['s', 1_000n],
    ['ms', 1n],
  ])
  let rest = text
  let total = 0n
  let last: bigint | undefined
  while (rest !== '') {
    const [piece = '', digits = '', unit = ''] = /^([0-9]+)(ms|[a-z])/.exec(rest) ?? []
    const size = sizes.get(unit)
    if (size === undefined || (last !== undefined && size >= last)) return undefined
    total += BigInt(digits) * size
    last = size
    rest = rest.slice(piece.length)
  }
  return last === undefined || total > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(total)
}

function naiveSize(text: string): number | undefined {
  const digits = text.replace(/[kKmMgG]$/, '')
  if (digits === '' || /[^0-9]/.test(digits)) return undefined
  const power = ['k', 'm', 'g'].indexOf(text.at(-1)!.toLowerCase()) + 1
  const bytes = BigInt(digits) * 1024n ** BigInt(power)
  return bytes > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(bytes)
}

export const cliUnits = makeTarget(subject)

export const cliUnitsCanaries: readonly Canary[] = [
  {
    bug: 'units may come in any order',
    target: makeTarget({ ...subject, parseDuration: (text) => parseDuration(/^[0-9]+s[0-9]+[dhm]$/.test(text) ? '1m' : text) }),
  },
  {
    bug: 'a k is 1000',
    target: makeTarget({
      ...subject,
      parseSize: (text) => (/^[1-9][0-9]*k$/.test(text) ? Number.parseInt(text, 10) * 1_000 : parseSize(text)),
    }),
  },
  {
    bug: 'a size that is no number is 0',
    target: makeTarget({ ...subject, parseSize: (text) => (text.startsWith('-') ? 0 : parseSize(text)) }),
  },
  {
    bug: 'an IPv6 address loses its brackets',
    target: makeTarget({ ...subject, formatAddress: (address) => formatAddress(address).replace(/[[\]]/g, '') }),
  },
]
