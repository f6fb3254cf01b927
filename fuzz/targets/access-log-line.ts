/** Whatever a peer sends, a line of the access log is one line that says the same, in each of its formats, and does not say what is hidden. */
import { errorTable, type ExchangeErrorCode } from '../../lib/core/errors.ts'
import { ExchangeFacts } from '../../lib/exchange/facts.ts'
import type { ExchangeSummary } from '../../lib/observe/exchange-summary.ts'
import { formatCombinedLine, formatJsonLine, type LineContext } from '../../lib/observe/line-format.ts'
import { compileTemplate } from '../../lib/observe/line-template.ts'
import { Redaction } from '../../lib/observe/redaction.ts'
import { ruleTable } from '../../native-free-parser/index.ts'
import { textOf, type LineText } from '../../test/support/line-text.ts'
import type { SeededRandom } from '../../test/support/seeded-random.ts'
import { EngineLease } from '../engine-lease.ts'
import { EngineRun, realParts, type RunPlan } from '../engine-run.ts'
import { toBytes, toText } from '../octets.ts'
import { withMember } from '../sabotage.ts'
import { expect, expectSame, type Canary, type FuzzTarget } from '../target.ts'

interface Formats {
  readonly json: LineText
  readonly combined: LineText
  readonly plainTemplate: LineText
  readonly jsonTemplate: LineText
}

const realFormats: Formats = {
  json: textOf(formatJsonLine),
  combined: textOf(formatCombinedLine),
  plainTemplate: textOf(compileTemplate('{client} {method} "{target}" {status} "{userAgent}" {id}', 'plain')),
  jsonTemplate: textOf(compileTemplate('{"c":"{client}","m":"{method}","t":"{target}","a":"{userAgent}","s":{status}}', 'json')),
}
const hidesNothing: LineContext = { worker: 0, redaction: new Redaction() }
const hidesToken: LineContext = { worker: 0, redaction: new Redaction(['token']) }
const hidesAll: LineContext = { worker: 0, redaction: new Redaction(['*']) }
/** A value that is to be hidden. */
const hiddenValue = 'Hidd3n'

/** Stands in fields only. */
const secret = 'pssst-8231'
const lease = new EngineLease(16)

const errors = Object.keys(errorTable) as ExchangeErrorCode[]
const rules = Object.keys(ruleTable)

function makeTarget(formats: Formats): FuzzTarget {
  const format = formats.json
  return {
    name: 'access-log-line',
    invariants: [
      'a line of any format is printable ASCII and one newline at its end',
      'one of JSON is JSON with no name twice',
      'it reads back as what the summary says: every text octet for octet, every number to the microsecond',
      'one of the combined format, or of a plain template, is read by who only looks for the next blank or quote',
      'a template for JSON makes JSON that reads back',
      'values of query parameters that are hidden, and user information of a target, appear in no format',
      'of an exchange through the whole engine, it holds nothing of the fields of the request, and nothing of the response but its status',
    ],
    run(data, random) {
      if (random.chance(0.3)) return judgeExchanges(data, random)
      const summary = makeSummary(data, random)
      judge(summary)
      judgeOthers({ ...summary, userAgent: toText(data).slice(0, random.integer(0, 200)), referer: '' })
      judgeHidden(summary, data, random)
    },
  }

  function judgeOthers(summary: ExchangeSummary): void {
    const { client, status, userAgent = '', id } = summary
    const method = summary.method === '' ? 'GET' : summary.method
    const target = `/${summary.target}`
    const full = { ...summary, method, target, client: `[${client.replaceAll(']', '')}]:1`, version: '1.1' }
    const combined = formats.combined(full, hidesNothing)
    expect(isOneLine(combined), () => `not one printable line: ${JSON.stringify(combined)}`)
    const [, shownClient, , shownMethod, shownTarget, shownStatus, , shownAgent] =
      /^(\S*) - - \[([^\]]+)\] "(\S+) (\S+) HTTP\/1\.1" (\d{3}) (\d+) "-" "([^"]*)"\n$/.exec(combined) ?? []
    expect(shownAgent !== undefined, () => `does not read as combined: ${combined}`)
    expectSame(
      [shownClient, shownMethod, shownTarget, shownAgent].map((text = '') => unescapeHex(text)),
      [client.replaceAll(']', ''), method, target, userAgent === '' ? '-' : userAgent],
      'the combined line reads back',
    )
    expectSame(Number(shownStatus), status, 'the status reads back')
    const plain = formats.plainTemplate(full, hidesNothing)
    expect(isOneLine(plain), () => `not one printable line: ${JSON.stringify(plain)}`)
    const words = /^(\S+) (\S+) "([^" ]+)" (\d+) "([^"]*)" (\S+)\n$/.exec(plain) ?? []
    expect(words.length > 0, () => `does not read as the template says: ${plain}`)
    expectSame(
      words.slice(1).map(unescapeHex),
      [full.client, method, target, String(status), userAgent === '' ? '-' : userAgent, id],
      'the line of the template reads back',
    )
    const json = formats.jsonTemplate(full, hidesNothing)
    expect(isOneLine(json), () => `not one printable line: ${JSON.stringify(json)}`)
    expectSame(
      parseJson(json),
      { c: full.client, m: method, t: target, a: userAgent, s: status },
      'the line of the JSON template reads back',
    )
  }

  /** A value that has to be hidden stands among octets of the input. */
  function judgeHidden(summary: ExchangeSummary, data: Uint8Array, random: SeededRandom): void {
    const text = toText(data).slice(0, 200)
    if (toText(data).includes(hiddenValue)) return
    const cut = random.integer(0, text.length)
    const name = random.pick(['token', 'TOKEN', '%74oken', 't%6Fken[]', '+token', 'token%5Ba%5D'])
    const query = `?${text.slice(0, cut)}&${name}=${hiddenValue}${text.slice(cut).replaceAll('&', '')}&x=1`
    const userinfo = `http://me:${hiddenValue}@${text.slice(0, cut)}`
    for (const target of [`/${text.slice(cut)}${query}`, `http://${hiddenValue}@a.example/${query}`, userinfo]) {
      for (const context of [hidesToken, hidesAll]) {
        for (const one of Object.values(formats) as readonly LineText[]) {
          const line = one({ ...summary, method: 'GET', target, referer: target, userAgent: 'x' }, context)
          expect(isOneLine(line), () => `not one printable line: ${JSON.stringify(line)}`)
          expect(!line.includes(hiddenValue), () => `what is hidden is in the line: ${line}`)
        }
      }
    }
  }

  function judge(summary: ExchangeSummary): string {
    const line = format(summary, hidesNothing)
    expect(isOneLine(line), () => `not one printable line: ${JSON.stringify(line)}`)
    const parsed = parseJson(line)
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

function isOneLine(line: string): boolean {
  return /^[ -~]+\n$/.test(line)
}

function parseJson(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch (error) {
    throw new Error(`not JSON: ${line}`, { cause: error })
  }
}

/** Escapes of lines that are not JSON, as the characters that they stand for. */
function unescapeHex(text: string): string {
  return text.replace(/\\x([0-9A-F]{2})|\\u([0-9a-f]{4})/g, (_, octet?: string, unit?: string) =>
    String.fromCharCode(Number.parseInt((octet ?? unit)!, 16)),
  )
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
    target: (random.chance(0.1)
      ? String.fromCharCode(...data.map((octet) => octet * 257)).slice(0, 200)
      : text.slice(cuts[1], cuts[2])
    ).replace(/^(?!\/)[^]*@/, ''),
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
    route: random.chance(0.5) ? '' : text.slice(cuts[3]),
    listener: random.pick(['', '127.0.0.1:8080']),
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
    ...(summary.route === '' ? {} : { route: summary.route }),
    ...(summary.listener === '' ? {} : { listener: summary.listener }),
  }
}

export const accessLogLine = makeTarget(realFormats)

/** The target ends where the head ends. */
function withLongTarget(): FuzzTarget {
  return withMember(
    accessLogLine,
    ExchangeFacts.prototype,
    'summarize',
    (summarize) =>
      function (this: ExchangeFacts) {
        return { ...(summarize.apply(this) as ExchangeSummary), target: this.rawHead.slice(this.rawHead.indexOf(' ') + 1) }
      },
  )
}

function withJson(spoil: (line: string, summary: ExchangeSummary) => string): FuzzTarget {
  return makeTarget({ ...realFormats, json: (summary, context) => spoil(realFormats.json(summary, context), summary) })
}

export const accessLogLineCanaries: readonly Canary[] = [
  { bug: 'the target goes on to the end of the head', target: withLongTarget() },
  { bug: 'DEL is not escaped', target: withJson((line) => line.replaceAll('\\u007f', '\x7f')) },
  { bug: 'a quote in a target ends the text', target: withJson((line) => line.replace('\\"', '"')) },
  {
    bug: 'the address of an upstream is cut at 40 characters',
    target: makeTarget({
      ...realFormats,
      json: (summary, context) => realFormats.json({ ...summary, upstream: summary.upstream.slice(0, 40) }, context),
    }),
  },
  {
    bug: 'a quote in a user agent ends it in a combined line',
    target: makeTarget({ ...realFormats, combined: (summary, context) => realFormats.combined(summary, context).replaceAll('\\x22', '"') }),
  },
  {
    bug: 'a template for JSON escapes as a plain one does',
    target: makeTarget({
      ...realFormats,
      jsonTemplate: textOf(compileTemplate('{"c":"{client}","m":"{method}","t":"{target}","a":"{userAgent}","s":{status}}', 'plain')),
    }),
  },
  {
    bug: 'an encoded name of a query parameter is not seen',
    target: withMember(
      accessLogLine,
      Redaction.prototype,
      'apply',
      (apply) =>
        function (this: Redaction, target: string) {
          return target.includes('%74oken') ? target : apply.apply(this, [target] as never[])
        },
    ),
  },
]
