/**
 * The account of a key in a Redis or Valkey: one value, the theoretical arrival time and when it was written, in microseconds by the server's own
 * clock, so that machines need not agree on the time. What was let through already is charged whatever the account; a lease is granted as far
 * as the limit has room. The value goes away when it says nothing any more. When the clock was set back the account is moved with it; what
 * others have written there is taken for nothing.
 */
import { createHash } from 'node:crypto'

/** A value so many bursts ahead is none of ours: that many processes do not share a limit. */
const burstsMax = 1_024

/**
 * KEYS[1]; cost of a request and lead, in microseconds; requests to charge, requests wanted. Returns requests granted, and by how many
 * microseconds the account is ahead. The time counts from a later year than the server's, which leaves a double room for fractions.
 */
export const gcraScript = `
local time = redis.call('TIME')
local now = (time[1] - 1600000000) * 1000000 + time[2]
local cost, lead = tonumber(ARGV[1]), tonumber(ARGV[2])
local charge, want = tonumber(ARGV[3]), tonumber(ARGV[4])
local found = redis.pcall('GET', KEYS[1])
local tat, written
if type(found) == 'string' then tat, written = string.match(found, '^(%d+%.%d+) (%d+)$') end
tat, written = tonumber(tat) or now, tonumber(written) or now
if written > now then tat = tat - (written - now) end
if not (tat > now and tat - now <= (lead + cost) * ${burstsMax}) then tat = now end
tat = tat + charge * cost
local granted = 0
if want > 0 and tat - now <= lead then
  granted = math.min(want, math.floor((lead - (tat - now)) / cost) + 1)
  tat = tat + granted * cost
end
if tat > now then
  redis.call('SET', KEYS[1], string.format('%.3f %.0f', tat, now), 'PX', math.ceil((tat - now) / 1000))
end
return {granted, string.format('%.0f', tat - now)}
`

export const gcraScriptHash = createHash('sha1').update(gcraScript).digest('hex')
