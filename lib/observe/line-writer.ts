/**
 * Writes finished lines to a file or a standard stream without ever blocking the event loop or throwing into its caller: lines are
 * gathered in a 64 KiB buffer, one asynchronous write is in flight at a time, at most 8 MiB wait. What does not fit is dropped whole
 * and counted, so a full disk or a reader that stands still costs log lines, never memory or latency. It does not format anything.
 * The writer owns its file descriptor (not those of the process) and its buffers from the constructor to close().
 */
import fs from 'node:fs'

export interface LineWriterOptions {
  /** A file path, or 1 for standard output, 2 for standard error. */
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

/** A file that reopen() has opened and that is not written to yet. */
interface NextFile {
  readonly fd: number
  /** The batch that is the last for the old file, undefined when that is written or given up. */
  after: Batch | undefined
  readonly taken: () => void
}

export class LineWriter {
  /** Lines that were thrown away: no room, or the destination is gone. */
  dropped = 0
  /** Write and open calls that failed, EAGAIN not counted. */
  errors = 0
  readonly #path: string | undefined
  readonly #onError: (error: Error) => void
  #fd: number
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
  /** `broken`: the destination will never take another byte (EPIPE, EBADF); only reopen() helps. */
  #state: 'open' | 'broken' | 'closing' | 'closed' = 'open'
  #troubled = false
  readonly #flushTimer: NodeJS.Timeout
  #flushArmed = false
  #retryTimer: NodeJS.Timeout | undefined
  #reopening: Promise<boolean> = Promise.resolve(true)
  #nextFile: NextFile | undefined
  #closed: Promise<void> | undefined
  #onDrained: (() => void) | undefined
  readonly #onExit = (): void => this.flushSync()

  /** Throws the system's error when the file cannot be opened: a wrong path shall stop the start, not lose the log. */
  constructor({ destination, onError = () => {} }: LineWriterOptions) {
    this.#onError = onError
    if (typeof destination === 'string') {
      this.#path = destination
      this.#fd = fs.openSync(destination, openFlags, openMode)
    } else {
      this.#path = undefined
      this.#fd = destination
      // The first touch of process.stdout or stderr makes a pipe non-blocking. Without it a reader that stands still holds a thread of
      // the pool for as long as it likes, and with the thread the exit of the process.
      const stream = destination === 1 ? process.stdout : process.stderr
      if (stream.listenerCount('error') === 0) stream.on('error', () => {})
    }
    this.#fileBytes = sizeOfRegularFile(this.#fd)
    this.#flushTimer = setTimeout(() => this.#onFlushTimer(), flushMs)
    this.#flushTimer.unref()
    this.#flushArmed = true
    process.on('exit', this.#onExit)
  }

  /** `line` is latin-1 and ends in a newline. Never throws and never waits. */
  write(line: string): void {
    const bytes = line.length
    if (this.#state !== 'open' || this.#pendingBytes + bytes > pendingBytesMax) return this.#dropLine()
    this.#pendingBytes += bytes
    if (bytes > bufferBytes - this.#usedBytes) this.#seal()
    if (bytes > bufferBytes) {
      this.#queue.push({ bytes: Buffer.from(line, 'latin1'), offset: 0, lines: 1 })
      this.#pump()
      return
    }
    this.#usedBytes += this.#buffer.write(line, this.#usedBytes, 'latin1')
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

  /** Goes on in a new file of the same name, for log rotation. Resolves when no more is written to the old one; to false when that stays in use. */
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
    this.#stop()
    if (broken) return
    const deadline = Date.now() + exitWaitMs
    if (started !== undefined) this.#awaitInFlight(started, deadline)
    for (let batch = this.#queue.shift(); batch !== undefined; batch = this.#queue.shift()) {
      if (!writeAllSync(this.#fd, batch, deadline)) this.dropped += batch.lines
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
    if (this.#nextFile !== undefined && this.#nextFile.after === undefined) this.#takeNextFile(this.#nextFile)
    const batch = this.#queue.shift()
    if (batch === undefined) {
      this.#onDrained?.()
      return
    }
    this.#inFlight = batch
    fs.write(this.#fd, batch.bytes, batch.offset, batch.bytes.length - batch.offset, null, (error, written) =>
      this.#onWritten(batch, error, written),
    )
  }

  #onWritten(batch: Batch, error: NodeJS.ErrnoException | null, written: number): void {
    // flushSync() has taken over.
    if (this.#inFlight !== batch) return
    this.#inFlight = undefined
    if (error === null && written > 0) {
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
    this.#report(error ?? new Error(code))
    // The disk may have room again later; while closing there is no later. What a batch lost its beginning to is not begun elsewhere.
    if (passingErrors.has(code) && this.#state === 'open') {
      if (this.#nextFile === undefined) return this.#retryIn(fullRetryMs)
      this.#leaveOldFile(this.#nextFile)
      return this.#pump()
    }
    if (this.#state === 'open') this.#state = 'broken'
    if (this.#nextFile !== undefined) this.#nextFile.after = undefined
    this.#dropQueue()
    this.#pump()
  }

  #onBatchWritten(batch: Batch): void {
    if (this.#nextFile?.after === batch) this.#nextFile.after = undefined
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

  /** The old file takes nothing, so what waits for it goes to the next one, but for the rest of a line that is already begun. */
  #leaveOldFile(next: NextFile): void {
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
    const path = this.#path
    if (path === undefined || this.#isClosing) return path === undefined
    // What was logged before the call belongs to the old file.
    this.#seal()
    const last = this.#queue.at(-1) ?? this.#inFlight
    let fd: number
    try {
      fd = await new Promise<number>((resolve, reject) => {
        fs.open(path, openFlags, openMode, (error, opened) => (error === null ? resolve(opened) : reject(error)))
      })
    } catch (error) {
      this.errors += 1
      this.#report(error as Error)
      return false
    }
    if (this.#isClosing) {
      fs.close(fd, () => {})
      return false
    }
    await new Promise<void>((resolve) => {
      const isWaiting = last !== undefined && (this.#inFlight === last || this.#queue.includes(last))
      this.#nextFile = { fd, after: isWaiting ? last : undefined, taken: resolve }
      if (this.#stopWaiting()) this.#leaveOldFile(this.#nextFile)
      this.#pump()
    })
    return true
  }

  #takeNextFile(file: NextFile): void {
    const old = this.#fd
    this.#fd = file.fd
    this.#nextFile = undefined
    this.#fileBytes = sizeOfRegularFile(file.fd)
    if (this.#state === 'broken') this.#state = 'open'
    fs.close(old, () => file.taken())
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
    const fd = this.#fd
    if (isDrained && this.#path !== undefined) await new Promise<void>((resolve) => fs.close(fd, () => resolve()))
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
  #awaitInFlight(batch: Batch, deadline: number): void {
    if (this.#fileBytes < 0) return block(busyRetryMs)
    const expectedBytes = this.#fileBytes + batch.bytes.length - batch.offset
    while (Date.now() < deadline) {
      const bytes = sizeOfRegularFile(this.#fd)
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
const openMode = 0o640
/** O_NONBLOCK: a FIFO without a reader is an error at start, not a process that stands still. Regular files do not care. */
const openFlags = fs.constants.O_WRONLY | fs.constants.O_APPEND | fs.constants.O_CREAT | (fs.constants.O_NONBLOCK ?? 0)
/** Errors that end by themselves when someone makes room. */
const passingErrors: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EIO'])
