/** What is known of a server that nobody has used yet. */
import type { ServerStats } from '../../lib/index.ts'

export const unusedServer: ServerStats = Object.freeze({
  state: 'up',
  reason: '',
  weight: 1,
  isBackup: false,
  active: 0,
  exchangesTotal: 0,
  failuresTotal: 0,
  ejectionsTotal: 0,
  lastCheck: undefined,
})
