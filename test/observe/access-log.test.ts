import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { AccessLog, formatAccessLine } from '../../lib/observe/access-log.ts'
import type { ExchangeSummary } from '../../lib/observe/exchange-summary.ts'

test('writes one exchange as one line of JSON with the fields in a fixed order', () => {
  const line = formatAccessLine(summaryOf({}))
  assert.equal(
    line,
    '{"time":"2024-02-29T12:34:56.007Z","id":"k3f9-1a2b","client":"192.0.2.7:53211","method":"GET","target":"/a?b=c","version":"1.1",' +
      '"status":200,"in":83,"out":1500,"upstream":"127.0.0.1:3000","conn":17,"reused":true,"t_head":0.123,"t_upstream":0.035,' +
      '"t_response":1.25,"t_total":2,"term":"--"}\n',
  )
})

test('leaves out optional fields that say nothing and keeps those that do', () => {
  const refused = JSON.parse(
    formatAccessLine(
      summaryOf({
        method: '',
        target: '',
        version: '',
        upstream: '',
        upstreamConnection: 0,
        reused: false,
        upstreamMs: -1,
        responseMs: -1,
        status: 400,
        termination: 'PR',
        error: 'ERR_EPROXY_REQUEST_REFUSED',
        rule: 'H1-HOST-MISSING',
      }),
    ),
  )
  assert.equal('upstream' in refused, false)
  assert.equal(refused.error, 'ERR_EPROXY_REQUEST_REFUSED')
  assert.equal(refused.rule, 'H1-HOST-MISSING')
  assert.equal(refused.t_upstream, -1)
  const tunnel = JSON.parse(formatAccessLine(summaryOf({ tunnel: true, retries: 2 })))
  assert.equal(tunnel.tunnel, true)
  assert.equal(tunnel.retries, 2)
  assert.equal('error' in tunnel || 'rule' in tunnel, false)
})

test('turns any target into printable ASCII on one line that reads back as the same target', () => {
  const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 300 })
  const hostile = fc.oneof(
    latin1,
    fc.string({ unit: 'binary' }),
    fc.constantFrom('"}\n{"id":"forged"', '\\', '\\"', '\u001b[2J', '\u007f\u0080', '\u2028\u2029', ''),
  )
  fc.assert(
    fc.property(hostile, hostile, hostile, (target, method, upstream) => {
      const line = formatAccessLine(summaryOf({ target, method, upstream }))
      assert.match(line, /^[ -~]+\n$/)
      const parsed = JSON.parse(line)
      assert.equal(parsed.target, target)
      assert.equal(parsed.method, method)
      assert.equal(parsed.upstream ?? '', upstream)
    }),
    { numRuns: 500 },
  )
})

test('writes every time of day as ISO 8601 with milliseconds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), fc.boolean(), (startedAt, again) => {
      const times = again ? [startedAt, startedAt + 1, startedAt + 999] : [startedAt]
      for (const time of times)
        assert.equal(JSON.parse(formatAccessLine(summaryOf({ startedAt: time }))).time, new Date(time).toISOString())
    }),
  )
})

test('writes durations that are not numbers as -1, so that the line stays JSON', () => {
  const parsed = JSON.parse(formatAccessLine(summaryOf({ totalMs: NaN, headMs: Infinity })))
  assert.equal(parsed.t_total, -1)
  assert.equal(parsed.t_head, -1)
})

describe('the file', () => {
  test('holds every line in order after close(), and appends to what was there', async () => {
    using place = makePlace()
    fs.writeFileSync(place.file, 'before\n')
    const log = new AccessLog({ destination: place.file, onError: assert.ifError })
    for (let index = 0; index < 3_000; index += 1) log.write(summaryOf({ id: String(index) }))
    // Longer than the whole buffer, between short ones.
    log.write(summaryOf({ id: '3000', target: '\u0000'.repeat(65_536) }))
    log.write(summaryOf({ id: '3001' }))
    await log.close()
    const lines = fs.readFileSync(place.file, 'utf8').split('\n')
    assert.equal(lines.shift(), 'before')
    assert.equal(lines.pop(), '')
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).id),
      Array.from({ length: 3_002 }, (_, index) => String(index)),
    )
    assert.equal(log.dropped, 0)
  })

  test('gets lines without close() within the flush interval', async () => {
    using place = makePlace()
    const log = new AccessLog({ destination: place.file, onError: assert.ifError })
    for (const id of ['first', 'second']) {
      log.write(summaryOf({ id }))
      await fileHolds(place.file, id)
    }
    await log.close()
  })

  test('is changed by reopen() between two lines, and nothing is lost', async () => {
    using place = makePlace()
    const log = new AccessLog({ destination: place.file, onError: assert.ifError })
    const old = `${place.file}.1`
    for (let index = 0; index < 1_000; index += 1) log.write(summaryOf({ id: String(index) }))
    fs.renameSync(place.file, old)
    const reopened = log.reopen()
    for (let index = 1_000; index < 2_000; index += 1) log.write(summaryOf({ id: String(index) }))
    assert.equal(await reopened, true)
    log.write(summaryOf({ id: '2000' }))
    await log.close()
    const [before, after] = [idsIn(old), idsIn(place.file)]
    assert.deepEqual(
      [...before, ...after],
      Array.from({ length: 2_001 }, (_, index) => String(index)),
    )
    assert.ok(before.length >= 1_000)
    assert.equal(after.at(-1), '2000')
  })

  test('stays in use when reopen() fails', async () => {
    using place = makePlace()
    const log = new AccessLog({ destination: place.file, onError: (error) => errors.push(error) })
    const errors: Error[] = []
    fs.renameSync(place.folder, `${place.folder}-moved`)
    assert.equal(await log.reopen(), false)
    log.write(summaryOf({ id: 'kept' }))
    await log.close()
    fs.renameSync(`${place.folder}-moved`, place.folder)
    assert.equal((errors[0] as NodeJS.ErrnoException).code, 'ENOENT')
    assert.deepEqual(idsIn(place.file), ['kept'])
  })

  test('that cannot be opened stops the start', () => {
    using place = makePlace()
    assert.throws(() => new AccessLog({ destination: path.join(place.folder, 'none', 'access.log') }), { code: 'ENOENT' })
  })

  test('takes nothing after close(), and close() may be called again', async () => {
    using place = makePlace()
    const log = new AccessLog({ destination: place.file, onError: assert.ifError })
    await Promise.all([log.close(), log.close()])
    log.write(summaryOf({}))
    await log.reopen()
    assert.equal(log.dropped, 1)
    assert.equal(fs.readFileSync(place.file, 'utf8'), '')
  })
})

describe('a destination in trouble', () => {
  test('costs lines beyond 8 MiB, which are counted, and the rest arrives whole', async () => {
    using place = makePlace()
    const errors: Error[] = []
    const log = new AccessLog({ destination: place.file, onError: (error) => errors.push(error) })
    // Within one turn of the loop no write can complete, so this is more than may wait.
    const lineBytes = formatAccessLine(summaryOf({ target: '/'.repeat(8_000) })).length
    const count = Math.ceil((9 * 1024 * 1024) / lineBytes)
    for (let index = 0; index < count; index += 1) log.write(summaryOf({ target: '/'.repeat(8_000) }))
    assert.ok(log.dropped > 0)
    assert.equal(errors.length, 1)
    assert.match(errors[0]?.message ?? '', /dropped/)
    const { dropped } = log
    await log.close()
    assert.equal(idsIn(place.file).length, count - dropped)
    assert.ok((count - dropped) * lineBytes <= 8 * 1024 * 1024)
  })

  test('such as a full disk is reported once and never thrown', { skip: !fs.existsSync('/dev/full') }, async () => {
    const errors: NodeJS.ErrnoException[] = []
    const { promise: reported, resolve } = withResolvers()
    const log = new AccessLog({
      destination: '/dev/full',
      onError: (error) => {
        errors.push(error)
        resolve()
      },
    })
    for (let index = 0; index < 2_000; index += 1) log.write(summaryOf({}))
    await reported
    for (let index = 0; index < 2_000; index += 1) log.write(summaryOf({}))
    await log.close()
    assert.deepEqual(
      errors.map((error) => error.code),
      ['ENOSPC'],
    )
    assert.equal(log.dropped, 4_000)
  })

  test('such as a full disk is left behind by reopen()', { skip: !fs.existsSync('/dev/full') }, async () => {
    using place = makePlace()
    fs.symlinkSync('/dev/full', place.file)
    const { promise: reported, resolve } = withResolvers()
    const log = new AccessLog({ destination: place.file, onError: resolve })
    log.write(summaryOf({ id: 'kept' }))
    await reported
    fs.rmSync(place.file)
    await log.reopen()
    log.write(summaryOf({ id: 'next' }))
    await log.close()
    assert.deepEqual(idsIn(place.file), ['kept', 'next'])
    assert.equal(log.dropped, 0)
  })

  test('such as a reader that stands still gets whole lines when it goes on', { skip: process.platform === 'win32' }, async () => {
    using place = makePlace()
    await makeFifo(place.file)
    const reader = fs.openSync(place.file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
    const log = new AccessLog({ destination: place.file, onError: assert.ifError })
    for (let index = 0; index < 2_000; index += 1) log.write(summaryOf({ id: String(index) }))
    const closed = log.close()
    const received = await readUntil(reader, closed)
    fs.closeSync(reader)
    assert.deepEqual(
      received
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).id),
      Array.from({ length: 2_000 }, (_, index) => String(index)),
    )
    assert.equal(log.dropped, 0)
  })

  test('such as a reader that has gone costs the lines until reopen()', { skip: process.platform === 'win32' }, async () => {
    using place = makePlace()
    await makeFifo(place.file)
    const reader = fs.openSync(place.file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
    const errors: NodeJS.ErrnoException[] = []
    const { promise: reported, resolve } = withResolvers()
    const log = new AccessLog({
      destination: place.file,
      onError: (error) => {
        errors.push(error)
        resolve()
      },
    })
    fs.closeSync(reader)
    log.write(summaryOf({ id: 'lost' }))
    await reported
    log.write(summaryOf({ id: 'lost too' }))
    fs.rmSync(place.file)
    await log.reopen()
    log.write(summaryOf({ id: 'kept' }))
    await log.close()
    assert.deepEqual(
      errors.map((error) => error.code),
      ['EPIPE'],
    )
    assert.equal(log.dropped, 2)
    assert.deepEqual(idsIn(place.file), ['kept'])
  })
})

describe('the end of the process', () => {
  const count = 5_000
  const endings = {
    'process.exit()': 'process.exit(0)',
    'an uncaught exception': 'throw new Error("fatal")',
    'an empty event loop': '',
    'process.exit() while a write is in flight': 'setImmediate(() => { write(5000); process.exit(0) })',
  }
  for (const [name, code] of Object.entries(endings)) {
    test(`by ${name} loses no line in a file`, async () => {
      using place = makePlace()
      await runChild(place.file, code)
      const ids = idsIn(place.file)
      assert.deepEqual(
        ids.slice(0, count),
        Array.from({ length: count }, (_, index) => String(index)),
      )
      if (ids.length > count) assert.equal(ids.at(-1), '5000')
    })
  }

  test('by process.exit() loses no line on standard output', async () => {
    const text = await runChild('-', 'process.exit(0)')
    assert.deepEqual(
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).id),
      Array.from({ length: count }, (_, index) => String(index)),
    )
  })

  /** Writes `count` lines in a process of its own, ends it as told, and returns what it had on standard output. */
  async function runChild(destination: string, ending: string): Promise<string> {
    const module = new URL('../../lib/observe/access-log.js', import.meta.url).href
    const script = `
      const { AccessLog } = await import(${JSON.stringify(module)})
      const log = new AccessLog({ destination: ${JSON.stringify(destination)} })
      const summary = ${JSON.stringify(summaryOf({}))}
      const write = (id) => log.write({ ...summary, id: String(id) })
      for (let index = 0; index < ${count}; index += 1) write(index)
      ${ending}`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'ignore'] })
    let text = ''
    for await (const chunk of child.stdout.setEncoding('latin1')) text += chunk
    return text
  }
})

function summaryOf(given: Partial<ExchangeSummary>): ExchangeSummary {
  return {
    id: 'k3f9-1a2b',
    startedAt: Date.UTC(2024, 1, 29, 12, 34, 56, 7),
    client: '192.0.2.7:53211',
    method: 'GET',
    target: '/a?b=c',
    version: '1.1',
    status: 200,
    bytesIn: 83,
    bytesOut: 1_500,
    upstream: '127.0.0.1:3000',
    upstreamConnection: 17,
    reused: true,
    retries: 0,
    headMs: 0.1234,
    upstreamMs: 0.0345678,
    responseMs: 1.25,
    totalMs: 2,
    termination: '--',
    error: '',
    rule: '',
    tunnel: false,
    ...given,
  }
}

function idsIn(file: string): string[] {
  const text = fs.readFileSync(file, 'latin1')
  assert.ok(text === '' || text.endsWith('\n'))
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line).id)
}

function makePlace(): Disposable & { readonly folder: string; readonly file: string } {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'eproxy-access-log-'))
  return {
    folder,
    file: path.join(folder, 'access.log'),
    [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }),
  }
}

async function makeFifo(file: string): Promise<void> {
  const child = spawn('mkfifo', [file], { stdio: 'ignore' })
  const [code] = await new Promise<[number | null]>((resolve, reject) =>
    child.on('error', reject).on('exit', (status) => resolve([status])),
  )
  assert.equal(code, 0)
}

/** Resolves when the text is in the file. */
async function fileHolds(file: string, text: string): Promise<void> {
  await using watch = watchFolder(path.dirname(file))
  while (!fs.readFileSync(file, 'latin1').includes(text)) await watch.next()
}

function watchFolder(folder: string): AsyncDisposable & { next(): Promise<unknown> } {
  const events = fs.promises.watch(folder)[Symbol.asyncIterator]()
  return { next: () => events.next(), [Symbol.asyncDispose]: async () => void (await events.return?.()) }
}

/** Everything a non-blocking descriptor gives until the promise is settled and no more comes. */
async function readUntil(fd: number, done: Promise<void>): Promise<string> {
  let isDone = false
  void done.then(() => (isDone = true))
  const chunk = Buffer.alloc(65_536)
  let text = ''
  for (;;) {
    const wasDone = isDone
    let bytes = 0
    try {
      bytes = fs.readSync(fd, chunk)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
    text += chunk.toString('latin1', 0, bytes)
    if (bytes === 0 && wasDone) return text
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Keeps the event loop alive until it is resolved: the timers of the log do not. */
function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  const alive = setInterval(() => {}, 60_000)
  let resolve = (): void => {}
  const promise = new Promise<void>((settle) => (resolve = settle))
  return {
    promise,
    resolve: () => {
      clearInterval(alive)
      resolve()
    },
  }
}
