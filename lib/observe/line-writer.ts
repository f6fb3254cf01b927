/**
 * Writes finished lines to a file, a standard stream or a unix socket without ever blocking the event loop or throwing into its caller:
 * lines are gathered in a 64 KiB buffer, one write is in flight at a time, at most 8 MiB wait. What does not fit is dropped whole and
 * counted, so a full disk or a reader that stands still costs log lines, never memory or latency. While nobody listens on the socket, lines wait
 * for whoever comes; the line that an ended connection has a part of is sent whole over the next. It does not format anything.
 * The writer owns its outlet (not the streams of the process) and its buffers from the constructor to close().
 */
import fs from 'node:fs'
import { outletSource, type Outlet, type OutletSource } from './line-outlet.ts'

export interface LineWriterOptions {
  /** A file path, `unix:` and the path of a socket, or 1 for standard output, 2 for standard error. */
  destination: string | 1 | 2
  /** Called once when writing begins to fail or lines begin to be dropped, and again only after it has recovered in between. */
  onError?: (error: Error) => void
}

/** A run of whole lines on its way to the file. `offset` bytes are written. */
interface Batch {
  readonly bytes: Buffer
  offset: number
  readonly lines: number
}

/** An outlet that reopen() has opened and that is not written to yet. */
interface NextOutlet {
  readonly outlet: Outlet
  /** The batch that is the last for the old one, undefined when that is written or given up. */
  after: Batch | undefined
  readonly taken: () => void
}

export class LineWriter {
  /** Lines that were thrown away: no room, or the destination is gone. */
  dropped = 0
  /** Write and open calls that failed, EAGAIN not counted. */
  errors = 0
  readonly #source: OutletSource
  readonly #onError: (error: Error) => void
  /** Undefined while a connection is made. */
  #outlet: Outlet | undefined
  #isConnecting = false
  #connectRetryMs = connectRetryMsMin
  /** The connection has taken something. */
  #isProven = false
  /** Size of the regular file as far as known, -1 for everything that is not one. Only #awaitInFlight needs it. */
  #fileBytes: number
  #buffer: Buffer = Buffer.allocUnsafe(bufferBytes)
  #spare: Buffer | undefined
  #usedBytes = 0
  #usedLines = 0
  readonly #queue: Batch[] = []
  #inFlight: Batch | undefined
  /** Everything accepted and not yet written. */
  #pendingBytes = 0
  /** `broken`: the file or stream will never take another byte (EPIPE, EBADF); only reopen() helps. */
  #state: 'open' | 'broken' | 'closing' | 'closed' = 'open'
  #troubled = false
  readonly #flushTimer: NodeJS.Timeout
  #flushArmed = false
  #retryTimer: NodeJS.Timeout | undefined
  #reopening: Promise<boolean> = Promise.resolve(true)
  #nextOutlet: NextOutlet | undefined
  #closed: Promise<void> | undefined
  #onDrained: (() => void) | undefined
  readonly #onExit = (): void => this.flushSync()

  /** Throws the system's error when the file cannot be opened: a wrong path shall stop the start, not lose the log. */
  constructor({ destination, onError = () => {} }: LineWriterOptions) {
    this.#onError = onError
    this.#source = outletSource(destination)
    this.#outlet = this.#source.openNow()
    this.#fileBytes = this.#outlet === undefined ? -1 : sizeOfRegularFile(this.#outlet.fd)
    this.#flushTimer = setTimeout(() => this.#onFlushTimer(), flushMs)
    this.#flushTimer.unref()
    this.#flushArmed = true
    process.on('exit', this.#onExit)
    if (this.#outlet === undefined) this.#connect()
  }

  /** `line` is latin-1 and ends in a newline. Never throws and never waits. */
  write(line: string): void {
    this.writeBytes(Buffer.from(line, 'latin1'), line.length)
  }

  /** The same with bytes[0, length), of which nothing is kept. */
  writeBytes(bytes: Buffer, length: number): void {
    if (this.#state !== 'open' || this.#pendingBytes + length > pendingBytesMax) return this.#dropLine()
    this.#pendingBytes += length
    if (length > bufferBytes - this.#usedBytes) this.#seal()
    if (length > bufferBytes) {
      this.#queue.push({ bytes: Buffer.from(bytes.subarray(0, length)), offset: 0, lines: 1 })
      this.#pump()
      return
    }
    this.#usedBytes += bytes.copy(this.#buffer, this.#usedBytes, 0, length)
    this.#usedLines += 1
    if (!this.#flushArmed) {
      this.#flushArmed = true
      this.#flushTimer.refresh()
    }
  }

  /** Does not wait for more lines to share a write with. */
  flush(): void {
    this.#seal()
  }

  /**
   * Goes on in a new file of the same name, for log rotation, or on a new connection. Resolves when no more is written to the old one; to
   * false when that stays in use.
   */
  reopen(): Promise<boolean> {
    this.#reopening = this.#reopening.then(() => this.#openAgain())
    return this.#reopening
  }

  /** Writes what is left, as far as the destination takes it in 2 s, and lets go of the file. */
  close(): Promise<void> {
    this.#closed ??= this.#finish()
    return this.#closed
  }

  /** Writes what is left with blocking calls. Only for the end of the process: a write in flight is not waited for by its callback. */
  flushSync(): void {
    if (this.#state === 'closed') return
    this.#seal()
    const started = this.#inFlight
    this.#inFlight = undefined
    const broken = this.#state === 'broken'
    const outlet = this.#outlet
    this.#stop()
    if (broken || outlet === undefined) return this.#dropQueue()
    const deadline = Date.now() + exitWaitMs
    if (started !== undefined) this.#awaitInFlight(outlet.fd, started, deadline)
    for (let batch = this.#queue.shift(); batch !== undefined; batch = this.#queue.shift()) {
      if (!writeAllSync(outlet.fd, batch, deadline)) this.dropped += batch.lines
    }
  }

  #dropLine(): void {
    this.dropped += 1
    if (this.#state === 'open') this.#report(new Error('lines come faster than they can be written, some are dropped'))
  }

  /** Moves the lines of the buffer to the queue. */
  #seal(): void {
    if (this.#usedBytes === 0) return
    this.#queue.push({ bytes: this.#buffer.subarray(0, this.#usedBytes), offset: 0, lines: this.#usedLines })
    this.#buffer = this.#spare ?? Buffer.allocUnsafe(bufferBytes)
    this.#spare = undefined
    this.#usedBytes = 0
    this.#usedLines = 0
    this.#pump()
  }

  #onFlushTimer(): void {
    this.#flushArmed = false
    this.#seal()
  }

  #pump(): void {
    if (this.#inFlight !== undefined || this.#retryTimer !== undefined || this.#state === 'closed') return
    if (this.#nextOutlet !== undefined && this.#nextOutlet.after === undefined) this.#takeNext(this.#nextOutlet)
    const batch = this.#queue[0]
    if (batch === undefined) {
      this.#onDrained?.()
      return
    }
    const outlet = this.#outlet
    if (outlet === undefined) return this.#connect()
    this.#queue.shift()
    this.#inFlight = batch
    const length = batch.bytes.length - batch.offset
    if (outlet.isNonBlocking) return this.#writeNow(outlet, batch, length)
    fs.write(outlet.fd, batch.bytes, batch.offset, length, null, (error, written) => this.#onWritten(batch, error, written))
  }

  /** What a socket has taken is known at once, also at the end of the process. */
  #writeNow(outlet: Outlet, batch: Batch, length: number): void {
    let written = 0
    let failure: NodeJS.ErrnoException | null = null
    try {
      written = fs.writeSync(outlet.fd, batch.bytes, batch.offset, length)
    } catch (error) {
      failure = error as NodeJS.ErrnoException
    }
    this.#onWritten(batch, failure, written)
  }

  #onWritten(batch: Batch, error: NodeJS.ErrnoException | null, written: number): void {
    // flushSync() has taken over.
    if (this.#inFlight !== batch) return
    this.#inFlight = undefined
    if (error === null && written > 0) {
      this.#isProven = true
      batch.offset += written
      this.#pendingBytes -= written
      if (this.#fileBytes >= 0) this.#fileBytes += written
      if (batch.offset < batch.bytes.length) this.#queue.unshift(batch)
      else this.#onBatchWritten(batch)
      return this.#pump()
    }
    this.#queue.unshift(batch)
    const code = error?.code ?? 'EAGAIN'
    if (code === 'EAGAIN' || code === 'EINTR') return this.#retryIn(busyRetryMs)
    this.errors += 1
    if (this.#source.isConnection) return this.#onConnectionLost(batch)
    this.#report(error ?? new Error(code))
    // The disk may have room again later; while closing there is no later. What a batch lost its beginning to is not begun elsewhere.
    if (passingErrors.has(code) && this.#state === 'open') {
      if (this.#nextOutlet === undefined) return this.#retryIn(fullRetryMs)
      this.#leaveOld(this.#nextOutlet)
      return this.#pump()
    }
    if (this.#state === 'open') this.#state = 'broken'
    if (this.#nextOutlet !== undefined) this.#nextOutlet.after = undefined
    this.#dropQueue()
    this.#pump()
  }

  #onBatchWritten(batch: Batch): void {
    if (this.#nextOutlet?.after === batch) this.#nextOutlet.after = undefined
    if (batch.bytes.buffer.byteLength === bufferBytes) this.#spare ??= Buffer.from(batch.bytes.buffer)
    if (this.#queue.length === 0) this.#troubled = false
  }

  #retryIn(ms: number): void {
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined
      this.#pump()
    }, ms)
    this.#retryTimer.unref()
  }

  /** True when there was a wait to end. */
  #stopWaiting(): boolean {
    const wasWaiting = this.#retryTimer !== undefined
    clearTimeout(this.#retryTimer)
    this.#retryTimer = undefined
    return wasWaiting
  }

  /** The peer has gone. What it has not been given goes to whoever comes next, from the beginning of a line on. */
  #onConnectionLost(batch: Batch): void {
    this.#outlet?.close(() => {})
    this.#outlet = undefined
    if (batch.offset > 0) {
      const lineAt = batch.bytes.lastIndexOf(newline, batch.offset - 1) + 1
      this.#pendingBytes += batch.offset - lineAt
      batch.offset = lineAt
    }
    if (this.#nextOutlet !== undefined) this.#nextOutlet.after = undefined
    // Who takes connections and nothing else is not asked without a pause.
    if (this.#isProven || this.#nextOutlet !== undefined) return this.#pump()
    this.#connectLater(new Error('who takes the connections for lines closes them at once'))
  }

  #connect(): void {
    if (this.#isConnecting) return
    this.#isConnecting = true
    this.#source.open((error, outlet) => {
      this.#isConnecting = false
      // Closed meanwhile, or reopen() was faster.
      if (this.#state === 'closed' || this.#outlet !== undefined) return outlet?.close(() => {})
      if (outlet === undefined) {
        this.errors += 1
        return this.#connectLater(error!)
      }
      if (this.#isProven) this.#connectRetryMs = connectRetryMsMin
      this.#isProven = false
      this.#outlet = outlet
      this.#pump()
    })
  }

  #connectLater(error: Error): void {
    this.#report(error)
    if (this.#state === 'open') {
      this.#retryIn(this.#connectRetryMs)
      this.#connectRetryMs = Math.min(2 * this.#connectRetryMs, connectRetryMsMax)
      return
    }
    // There is no later.
    this.#dropQueue()
    this.#pump()
  }

  /** The old file takes nothing, so what waits for it goes to the next one, but for the rest of a line that is already begun. */
  #leaveOld(next: NextOutlet): void {
    next.after = undefined
    const batch = this.#queue[0]
    if (batch === undefined || batch.offset === 0) return
    const restAt = batch.bytes[batch.offset - 1] === newline ? batch.offset : batch.bytes.indexOf(newline, batch.offset) + 1
    if (restAt > batch.offset) this.dropped += 1
    this.#pendingBytes -= restAt - batch.offset
    this.#queue.shift()
    if (restAt < batch.bytes.length) this.#queue.unshift({ bytes: batch.bytes.subarray(restAt), offset: 0, lines: batch.lines })
  }

  #dropQueue(): void {
    for (const batch of this.#queue) {
      this.dropped += batch.lines
      this.#pendingBytes -= batch.bytes.length - batch.offset
    }
    this.#queue.length = 0
  }

  async #openAgain(): Promise<boolean> {
    if (!this.#source.canReopen) return true
    if (this.#isClosing) return false
    // What was logged before the call belongs to the old file.
    this.#seal()
    const last = this.#queue.at(-1) ?? this.#inFlight
    const { error, outlet } = await new Promise<{ error: Error | undefined; outlet: Outlet | undefined }>((resolve) => {
      this.#source.open((failure, opened) => resolve({ error: failure, outlet: opened }))
    })
    if (outlet === undefined) {
      this.errors += 1
      this.#report(error!)
      return false
    }
    if (this.#isClosing) {
      outlet.close(() => {})
      return false
    }
    await new Promise<void>((resolve) => {
      const isWaiting = last !== undefined && this.#outlet !== undefined && (this.#inFlight === last || this.#queue.includes(last))
      this.#nextOutlet = { outlet, after: isWaiting ? last : undefined, taken: resolve }
      if (this.#stopWaiting()) this.#leaveOld(this.#nextOutlet)
      this.#pump()
    })
    return true
  }

  #takeNext({ outlet, taken }: NextOutlet): void {
    const old = this.#outlet
    this.#outlet = outlet
    this.#nextOutlet = undefined
    this.#fileBytes = sizeOfRegularFile(outlet.fd)
    if (this.#state === 'broken') this.#state = 'open'
    if (old === undefined) taken()
    else old.close(taken)
  }

  async #finish(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closing'
    let timer: NodeJS.Timeout | undefined
    const given = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), closeWaitMs)
    })
    const drained = new Promise<true>((resolve) => {
      this.#onDrained = () => resolve(true)
    })
    this.#seal()
    this.#stopWaiting()
    this.#pump()
    const isDrained = await Promise.race([this.#reopening.then(() => drained), given])
    clearTimeout(timer)
    this.#stop()
    this.#dropQueue()
    // A descriptor that a thread of the pool still writes to cannot be closed without danger to whoever gets its number next.
    const outlet = this.#outlet
    if (isDrained && outlet !== undefined) await new Promise<void>((resolve) => outlet.close(resolve))
  }

  #stop(): void {
    this.#state = 'closed'
    clearTimeout(this.#flushTimer)
    this.#stopWaiting()
    process.off('exit', this.#onExit)
  }

  /**
   * At exit the write in flight is with a thread of the pool, which finishes it whatever happens here; but its lines belong before
   * those that follow. The size of a regular file tells when it is done; elsewhere a moment has to do.
   */
  #awaitInFlight(fd: number, batch: Batch, deadline: number): void {
    if (this.#fileBytes < 0) return block(busyRetryMs)
    const expectedBytes = this.#fileBytes + batch.bytes.length - batch.offset
    while (Date.now() < deadline) {
      const bytes = sizeOfRegularFile(fd)
      if (bytes < 0 || bytes >= expectedBytes) return
      block(1)
    }
  }

  #report(error: Error): void {
    if (this.#troubled) return
    this.#troubled = true
    this.#onError(error)
  }

  get #isClosing(): boolean {
    return this.#state === 'closing' || this.#state === 'closed'
  }
}

/** False when the destination did not take everything. */
function writeAllSync(fd: number, batch: Batch, deadline: number): boolean {
  let { offset } = batch
  while (offset < batch.bytes.length) {
    try {
      offset += fs.writeSync(fd, batch.bytes, offset)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'EAGAIN' && code !== 'EINTR') return false
      if (Date.now() >= deadline) return false
      block(1)
    }
  }
  return true
}

/** Stops this thread. Only at the end of the process. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** -1 for a pipe, a terminal, a device, and when it cannot be told. */
function sizeOfRegularFile(fd: number): number {
  try {
    const status = fs.fstatSync(fd)
    return status.isFile() ? status.size : -1
  } catch {
    return -1
  }
}

const newline = 0x0a
const bufferBytes = 65_536
const pendingBytesMax = 8_388_608
const flushMs = 200
const busyRetryMs = 10
const fullRetryMs = 1_000
const closeWaitMs = 2_000
const exitWaitMs = 1_000
const connectRetryMsMin = 100
const connectRetryMsMax = 5_000
/** Errors that end by themselves when someone makes room. */
const passingErrors: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EIO'])
