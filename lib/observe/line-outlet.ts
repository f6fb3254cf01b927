/**
 * Where a LineWriter writes: a file, a standard stream of the process, or a unix socket of somebody who takes lines. An outlet is a
 * descriptor that is open; a source opens outlets. Neither writes.
 *
 * The socket is a stream: lines end in a newline, as syslog-ng (unix-stream), rsyslog (imptcp), Vector (unix_stream) and Fluent Bit
 * (unix_tcp) take them. Datagrams are nothing that node can send there, and would cut long lines.
 */
import fs from 'node:fs'
import net from 'node:net'
import { descriptorOf } from '../net/socket-descriptor.ts'

export interface Outlet {
  readonly fd: number
  /** A write never waits, so that it needs no thread of the pool. */
  readonly isNonBlocking: boolean
  /** Lets go of the descriptor, if it is not the process's. */
  close(done: () => void): void
}

export interface OutletSource {
  /** At the start. Undefined for one that is opened in its own time. Throws the system's error. */
  openNow(): Outlet | undefined
  open(done: (error: Error | undefined, outlet: Outlet | undefined) => void): void
  /** An outlet that has ended is no end: another is opened. */
  readonly isConnection: boolean
  /** Another outlet can take the place of one in use. */
  readonly canReopen: boolean
}

/** A path, `unix:` and the path of a socket, or the descriptor of standard output or standard error. */
export function outletSource(destination: string | 1 | 2): OutletSource {
  if (typeof destination === 'number') return standardStream(destination)
  return destination.startsWith('unix:') ? socketAt(destination.slice(5)) : fileAt(destination)
}

function fileAt(path: string): OutletSource {
  const outletOf = (fd: number): Outlet => ({ fd, isNonBlocking: false, close: (done) => fs.close(fd, () => done()) })
  return {
    isConnection: false,
    canReopen: true,
    openNow: () => outletOf(fs.openSync(path, openFlags, openMode)),
    open: (done) =>
      fs.open(path, openFlags, openMode, (error, fd) => (error === null ? done(undefined, outletOf(fd)) : done(error, undefined))),
  }
}

function standardStream(fd: 1 | 2): OutletSource {
  const outlet: Outlet = { fd, isNonBlocking: false, close: (done) => done() }
  return {
    isConnection: false,
    canReopen: false,
    openNow: () => {
      // The first touch of process.stdout or stderr makes a pipe non-blocking. Without it a reader that stands still holds a thread of
      // the pool for as long as it likes, and with the thread the exit of the process.
      const stream = fd === 1 ? process.stdout : process.stderr
      if (stream.listenerCount('error') === 0) stream.on('error', () => {})
      return outlet
    },
    open: (done) => done(undefined, outlet),
  }
}

function socketAt(path: string): OutletSource {
  return {
    isConnection: true,
    canReopen: true,
    openNow: () => undefined,
    open: (done) => {
      const socket = net.connect({ path })
      // Nobody has anything to say to us, and a socket that does not read keeps its descriptor until we close it.
      socket.pause()
      socket.once('error', (error) => {
        socket.destroy()
        done(error, undefined)
      })
      socket.once('connect', () => {
        socket.removeAllListeners('error').on('error', () => {})
        // Its writes and its timers are what keeps a process; waiting for nothing is not.
        socket.unref()
        const fd = descriptorOf(socket)
        if (fd === -1) {
          socket.destroy()
          return done(new Error('this node does not tell the descriptor of a socket'), undefined)
        }
        done(undefined, {
          fd,
          isNonBlocking: true,
          close: (closed) => {
            socket.once('close', () => closed()).destroy()
          },
        })
      })
    },
  }
}

const openMode = 0o640
/** O_NONBLOCK: a FIFO without a reader is an error at start, not a process that stands still. Regular files do not care. */
const openFlags = fs.constants.O_WRONLY | fs.constants.O_APPEND | fs.constants.O_CREAT | (fs.constants.O_NONBLOCK ?? 0)
