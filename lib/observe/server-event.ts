/** What is told of an upstream server whose standing changes, and of a group that refuses exchanges to protect itself. */

export type ServerChange =
  /** Its checks succeed again, or it takes connections again. */
  | 'up'
  /** Its checks fail, or it refused a connection. */
  | 'down'
  /** Too many of its exchanges failed: it is left alone for a while. */
  | 'ejected'
  /** That while is over. */
  | 'back'
  /** It gets no new exchanges: somebody asked for that, or it is no longer configured. */
  | 'draining'
  /** The last exchange of a server that drains, or is disabled, is over. */
  | 'drained'
  | 'enabled'
  | 'disabled'
  /** It is new in its group. */
  | 'joined'

export interface ServerEvent {
  readonly group: string
  /** The server's address as it was given. */
  readonly server: string
  readonly change: ServerChange
  /** Why, in words. */
  readonly reason: string
}

export type BreakerLimit = 'exchanges' | 'waiting' | 'retries'

export interface BreakerEvent {
  readonly group: string
  /** The limit that was reached. */
  readonly limit: BreakerLimit
  /** 'closes': nothing was refused for a second. */
  readonly state: 'opens' | 'closes'
}
