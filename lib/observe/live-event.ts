/** What happens now, for people who watch: one line each, with the facts beside it. Not a record: when much happens, some is left out. */

export type LiveEventKind = 'exchange' | 'desync' | 'quarantine' | 'server' | 'store' | 'reload' | 'worker' | 'change'

export interface LiveEvent {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly kind: LiveEventKind
  /** Number of the worker that tells it, 0 for the process that has no number. */
  readonly worker: number
  /** Parts of it may be what a peer sent: who shows it, escapes it. */
  readonly text: string
  readonly fields: Readonly<Record<string, string | number | boolean>>
}
