/** Whatever a peer sends, a line of the access log is one line of JSON that says the same. */
import { errorTable, type ExchangeErrorCode } from '../../lib/core/errors.ts'
import { Exchange } from '../../lib/exchange/exchange.ts'
import { formatAccessLine } from '../../lib/observe/access-log.ts'
import type { ExchangeSummary } from '../../lib/observe/exchange-summary.ts'
import { ruleTable, type RequestHead } from '../../native-free-parser/index.ts'
import type { SeededRandom } from '../../test/support/seeded-random.ts'
import { EngineLease } from '../engine-lease.ts'
import { EngineRun, realParts, type RunPlan } from '../engine-run.ts'
import { toBytes, toText } from '../octets.ts'
import { withMember } from '../sabotage.ts'
import { expect, expectSame, type Canary, type FuzzTarget } from '../target.ts'

type Format = (summary: ExchangeSummary) => string

/** Stands in fields only. */
const secret = 'pssst-8231'
const lease = new EngineLease(16)

const errors = Object.keys(errorTable) as ExchangeErrorCode[]
const rules = Object.keys(ruleTable)

function makeTarget(format: Format): FuzzTarget {
  return {
    name: 'access-log-line',
    invariants: [
      'a line is printable ASCII and one newline at its end',
      'it is JSON with no name twice',
      'it reads back as what the summary says: every text octet for octet, every number to the microsecond',
      'of an exchange through the whole engine, it holds nothing of the fields of the request, and nothing of the response but its status',
    ],
    run(data, random) {
      if (random.chance(0.3)) return judgeExchanges(data, random)
      judge(makeSummary(data, random))
    },
  }

  function judge(summary: ExchangeSummary): string {
    const line = format(summary)
    expect(/^[ -~]+\n$/.test(line), () => `not one printable line: ${JSON.stringify(line)}`)
    let parsed: Record<string, unknown>
    try {
      parsed = JSON.parse(line) as Record<string, unknown>
    } catch (error) {
      throw new Error(`not JSON: ${line}`, { cause: error })
    }
    const names = line.match(/(?<=[{,])"[a-z_]+"(?=:)/g) ?? []
    expect(new Set(names).size === names.length, () => `a name stands twice: ${names.join(' ')}`)
    expectSame(parsed, expected(summary), 'the line reads back')
    return line
  }

  /** A client that sends the input with secrets among its fields, and an origin that answers with the same. */
  function judgeExchanges(data: Uint8Array, random: SeededRandom): void {
    const fields = `Authorization: Basic ${secret}\r\nX-${secret}: 1\r\nCookie: a=${secret}\r\n`
    const text = toText(data).replace(/\r\n(?=host:)/gi, `$&${fields}`)
    const answer = `HTTP/1.1 200 ${secret}\r\nSet-Cookie: ${secret}\r\nContent-Length: ${secret.length}\r\n\r\n${secret}`
    const plan: RunPlan = {
      options: {},
      clients: [{ bytes: toBytes(text), ending: 'waits' }],
      makeOrigin: ({ socket }) => {
        let owed = 0
        socket.peer.onBytes = (piece) => void (owed += piece.includes('\r\n\r\n') ? 1 : 0)
        return {
          get canAct() {
            return socket.peer.canSend && !socket.isConnecting && (owed > 0 || socket.peer.sawEnd)
          },
          act: () => (owed-- > 0 ? socket.peer.send(answer) : socket.peer.end()),
        }
      },
    }
    lease.use((engine) => {
      const run = new EngineRun(plan, realParts, engine, random)
      run.run()
      for (const summary of run.clients[0]!.summaries) {
        const line = judge(summary)
        expect(!line.toLowerCase().includes(secret.toLowerCase()), () => `a secret is in the line: ${line}`)
      }
    })
  }
}

function makeSummary(data: Uint8Array, random: SeededRandom): ExchangeSummary {
  const text = toText(data)
  const cuts = [0, 0, 0, 0].map(() => random.integer(0, text.length)).sort((a, b) => a - b)
  const number = (): number =>
    random.pick([
      0,
      -1,
      random.integer(0, 1_000),
      random.next() * 10_000,
      random.integer(0, Number.MAX_SAFE_INTEGER),
      Number.NaN,
      Number.POSITIVE_INFINITY,
    ])
  const count = (): number => random.integer(0, Number.MAX_SAFE_INTEGER)
  return {
    id: `k3f9-${random.integer(0, 99_999).toString(36)}`,
    startedAt: random.pick([0, random.integer(0, 4_102_444_800_000), random.next() * 4_102_444_800_000]),
    client: random.chance(0.5) ? '[::1]:53211' : text.slice(0, cuts[0]),
    method: text.slice(cuts[0], cuts[1]),
    target: random.chance(0.1) ? String.fromCharCode(...data.map((octet) => octet * 257)).slice(0, 200) : text.slice(cuts[1], cuts[2]),
    version: random.pick(['', '1.0', '1.1']),
    status: random.pick([0, 200, 599]),
    bytesIn: count(),
    bytesOut: count(),
    upstream: random.chance(0.3) ? '' : text.slice(cuts[2], cuts[3]),
    upstreamConnection: count(),
    reused: random.chance(0.5),
    retries: random.pick([0, 0, 1, 15]),
    headMs: number(),
    upstreamMs: number(),
    responseMs: number(),
    totalMs: number(),
    termination: random.pick(['--', 'CD', 'sH']),
    error: random.chance(0.5) ? '' : random.pick(errors),
    rule: random.chance(0.5) ? '' : random.pick(rules),
    tunnel: random.chance(0.2),
  }
}

function expected(summary: ExchangeSummary): Record<string, unknown> {
  const ms = (value: number): number =>
    Number.isFinite(value) ? (Number.isInteger(value) ? value : Math.round(value * 1_000) / 1_000) : -1
  return {
    time: new Date(summary.startedAt).toISOString(),
    id: summary.id,
    client: summary.client,
    method: summary.method,
    target: summary.target,
    version: summary.version,
    status: summary.status,
    in: summary.bytesIn,
    out: summary.bytesOut,
    ...(summary.upstream === '' ? {} : { upstream: summary.upstream }),
    conn: summary.upstreamConnection,
    reused: summary.reused,
    ...(summary.retries > 0 ? { retries: summary.retries } : {}),
    t_head: ms(summary.headMs),
    t_upstream: ms(summary.upstreamMs),
    t_response: ms(summary.responseMs),
    t_total: ms(summary.totalMs),
    term: summary.termination,
    ...(summary.error === '' ? {} : { error: summary.error }),
    ...(summary.rule === '' ? {} : { rule: summary.rule }),
    ...(summary.tunnel ? { tunnel: true } : {}),
  }
}

export const accessLogLine = makeTarget(formatAccessLine)

/** The target ends where the head ends. */
function withLongTarget(): FuzzTarget {
  const heads = new WeakMap<Exchange, string>()
  const keeping = withMember(
    accessLogLine,
    Exchange.prototype,
    'onRequestHead',
    (onRequestHead) =>
      function (this: Exchange, head: RequestHead) {
        heads.set(this, head.raw)
        onRequestHead.apply(this, [head] as never[])
      },
  )
  return withMember(
    keeping,
    Exchange.prototype,
    'summarize',
    (summarize) =>
      function (this: Exchange) {
        const summary = summarize.apply(this) as ExchangeSummary
        const head = heads.get(this) ?? ''
        return { ...summary, target: head.slice(head.indexOf(' ') + 1) }
      },
  )
}

export const accessLogLineCanaries: readonly Canary[] = [
  { bug: 'the target goes on to the end of the head', target: withLongTarget() },
  { bug: 'DEL is not escaped', target: makeTarget((summary) => formatAccessLine(summary).replaceAll('\\u007f', '\x7f')) },
  { bug: 'a quote in a target ends the text', target: makeTarget((summary) => formatAccessLine(summary).replace('\\"', '"')) },
  {
    bug: 'the address of an upstream is cut at 40 characters',
    target: makeTarget((summary) => formatAccessLine({ ...summary, upstream: summary.upstream.slice(0, 40) })),
  },
]
