import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, test } from 'node:test'
import { accessLogDefaults, AccessLog, checkAccessLog } from '../../lib/observe/access-log.ts'
import { formatJsonLine } from '../../lib/observe/line-format.ts'
import { textOf } from '../support/line-text.ts'
import { summaryOf } from '../support/exchange-summary.ts'
import { LineCollector } from '../support/line-collector.ts'

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
    const lineBytes = textOf(formatJsonLine)(summaryOf({ target: '/'.repeat(8_000) })).length
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

describe('a unix socket', { skip: process.platform === 'win32' }, () => {
  test('gets every line in order, and the last ones at close()', async () => {
    using place = makePlace()
    await using collector = await LineCollector.listen(place.file)
    const log = new AccessLog({ destination: `unix:${place.file}`, onError: assert.ifError })
    for (let index = 0; index < 3_000; index += 1) log.write(summaryOf({ id: String(index) }))
    await log.close()
    assert.deepEqual((await collector.lines(3_000)).map(idOf), idsUpTo(3_000))
    assert.equal(log.dropped, 0)
  })

  test('that nobody listens on is no error of the start; lines wait for who comes', async () => {
    using place = makePlace()
    const { promise: reported, resolve } = withResolvers()
    const errors: NodeJS.ErrnoException[] = []
    const log = new AccessLog({
      destination: `unix:${place.file}`,
      onError: (error) => {
        errors.push(error)
        resolve()
      },
    })
    for (let index = 0; index < 100; index += 1) log.write(summaryOf({ id: String(index) }))
    await reported
    await using collector = await LineCollector.listen(place.file)
    assert.deepEqual((await collector.lines(100)).map(idOf), idsUpTo(100))
    await log.close()
    assert.deepEqual(
      errors.map(({ code }) => code),
      ['ENOENT'],
    )
    assert.equal(log.dropped, 0)
  })

  test('that is closed over there is connected to again, and no line is torn', async () => {
    using place = makePlace()
    const first = await LineCollector.listen(place.file)
    const log = new AccessLog({ destination: `unix:${place.file}` })
    log.write(summaryOf({ id: '0' }))
    assert.deepEqual((await first.lines(1)).map(idOf), ['0'])
    await first[Symbol.asyncDispose]()
    await using second = await LineCollector.listen(place.file)
    for (let index = 1; index < 50; index += 1) log.write(summaryOf({ id: String(index) }))
    assert.deepEqual((await second.lines(49)).map(idOf), idsUpTo(50).slice(1))
    await log.close()
    assert.equal(log.dropped, 0)
  })

  test('whose reader goes in the middle of a line gives that line whole to the next one', async () => {
    using place = makePlace()
    const first = await LineCollector.listen(place.file, false)
    const log = new AccessLog({ destination: `unix:${place.file}` })
    // More than the buffers between two sockets hold.
    const target = `/${'x'.repeat(6 * 1024 * 1024)}`
    for (const id of ['0', '1', '2']) log.write(summaryOf({ id, target: id === '1' ? target : '/' }))
    const text = await first.takeAndGo()
    assert.deepEqual(text.split('\n').slice(0, -1).map(idOf), ['0'])
    assert.ok(!text.endsWith('\n'))
    await using second = await LineCollector.listen(place.file)
    assert.deepEqual((await second.lines(2)).map(idOf), ['1', '2'])
    await log.close()
    assert.equal(log.dropped, 0)
  })

  test('that takes nothing costs lines beyond 8 MiB, which are counted', async () => {
    using place = makePlace()
    const errors: Error[] = []
    const log = new AccessLog({ destination: `unix:${place.file}`, onError: (error) => errors.push(error) })
    const lineBytes = textOf(formatJsonLine)(summaryOf({ target: '/'.repeat(8_000) })).length
    const count = Math.ceil((9 * 1024 * 1024) / lineBytes)
    for (let index = 0; index < count; index += 1) log.write(summaryOf({ target: '/'.repeat(8_000) }))
    assert.ok(log.dropped > 0)
    // Nobody is there, and at the end there is nobody to wait for.
    await log.close()
    assert.equal(log.dropped, count)
    assert.equal(errors.length, 1)
  })

  test('is connected to anew by reopen(), which is how a collector that moved is found', async () => {
    using place = makePlace()
    await using first = await LineCollector.listen(place.file)
    const log = new AccessLog({ destination: `unix:${place.file}`, onError: assert.ifError })
    log.write(summaryOf({ id: '0' }))
    assert.deepEqual((await first.lines(1)).map(idOf), ['0'])
    fs.renameSync(place.file, `${place.file}.old`)
    await using second = await LineCollector.listen(place.file)
    log.write(summaryOf({ id: '1' }))
    assert.equal(await log.reopen(), true)
    log.write(summaryOf({ id: '2' }))
    await log.close()
    assert.deepEqual((await first.lines(2)).map(idOf), ['0', '1'])
    assert.deepEqual((await second.lines(1)).map(idOf), ['2'])
  })
})

describe('what is logged how', () => {
  test('is a combined line, a template, or JSON, and of a share of what ended well', async () => {
    using place = makePlace()
    const common = { destination: place.file, onError: assert.ifError }
    const logs = [
      new AccessLog({ ...common, format: 'combined', redactQuery: ['b'] }),
      new AccessLog({ ...common, format: 'template', template: '{id} "{userAgent}"', sample: 0 }),
      new AccessLog({ ...common, worker: 2 }),
    ]
    for (const log of logs) {
      log.write(summaryOf({ userAgent: 'curl/8', referer: '' }))
      log.write(summaryOf({ status: 502, userAgent: 'curl/9', referer: '' }))
      await log.close()
    }
    const lines = fs.readFileSync(place.file, 'latin1').split('\n')
    assert.equal(lines[0], '192.0.2.7 - - [29/Feb/2024:12:34:56 +0000] "GET /a?b=*** HTTP/1.1" 200 1500 "-" "curl/8"')
    assert.equal(lines[2], 'k3f9-1a2b "curl/9"')
    assert.deepEqual(
      lines.slice(3, 5).map((line) => JSON.parse(line).worker),
      [2, 2],
    )
    assert.equal(lines.length, 6)
  })

  test('is checked before anything is opened', () => {
    const settings = { destination: '/no/such/folder/x', ...accessLogDefaults }
    checkAccessLog(settings)
    assert.throws(() => checkAccessLog({ ...settings, destination: '' }), { code: 'ERR_EPROXY_OPTION', message: /needs a file name/ })
    assert.throws(() => checkAccessLog({ ...settings, destination: 'unix:' }), /needs a file name/)
    for (const sample of [-0.1, 1.1, Number.NaN]) assert.throws(() => checkAccessLog({ ...settings, sample }), /from 0 to 1/)
    assert.throws(() => checkAccessLog({ ...settings, format: 'template', template: '{x}' }), { code: 'ERR_EPROXY_OPTION' })
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

  for (const [name, code] of Object.entries(endings)) {
    test(`by ${name} loses no line on a unix socket`, { skip: process.platform === 'win32' }, async () => {
      using place = makePlace()
      await using collector = await LineCollector.listen(place.file)
      // A connection is made in a turn of the loop: who ends before has none.
      await runChild(`unix:${place.file}`, code, 'await log.reopen()')
      const ids = (await collector.lines(code.includes('5000') ? count + 1 : count)).map(idOf)
      assert.deepEqual(ids.slice(0, count), idsUpTo(count))
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
  async function runChild(destination: string, ending: string, beginning = ''): Promise<string> {
    const module = new URL('../../lib/observe/access-log.js', import.meta.url).href
    const script = `
      const { AccessLog } = await import(${JSON.stringify(module)})
      const log = new AccessLog({ destination: ${JSON.stringify(destination)} })
      const summary = ${JSON.stringify(summaryOf({}))}
      const write = (id) => log.write({ ...summary, id: String(id) })
      ${beginning}
      for (let index = 0; index < ${count}; index += 1) write(index)
      ${ending}`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'ignore'] })
    let text = ''
    for await (const chunk of child.stdout.setEncoding('latin1')) text += chunk
    return text
  }
})

function idOf(line: string): string {
  return JSON.parse(line).id
}

function idsUpTo(count: number): string[] {
  return Array.from({ length: count }, (_, index) => String(index))
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
