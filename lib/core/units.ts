/**
 * Durations and sizes as people write them (`10s`, `1h30m`, `64k`) to and from plain numbers. Reading is strict, because a typing error
 * in a limit must not become another limit: whole numbers only, a unit for each, the largest unit first, each at most once. Writing
 * gives the shortest text that reads back as the same number. Bounds of single options are not checked here.
 */
import { ProxyError } from './errors.ts'

export type Unit = 'ms' | 'bytes' | 'bytes/s' | 'count'

/** Throws ProxyError ERR_EPROXY_OPTION. */
export function parseQuantity(unit: Unit, text: string): number {
  switch (unit) {
    case 'ms':
      return parseDuration(text)
    case 'bytes':
      return parseSize(text)
    case 'bytes/s':
      return parseSize(text.replace(/\/s$/, ''))
    case 'count':
      return parseCount(text)
  }
}

/** The inverse of parseQuantity. */
export function formatQuantity(unit: Unit, value: number): string {
  switch (unit) {
    case 'ms':
      return formatDuration(value)
    case 'bytes':
      return formatSize(value)
    case 'bytes/s':
      return `${formatSize(value)}/s`
    case 'count':
      return String(value)
  }
}

/** `1h30m`, `10s`, `250ms`, `0`. Returns milliseconds. Throws ProxyError ERR_EPROXY_OPTION. */
export function parseDuration(text: string): number {
  if (/^0+$/.test(text)) return 0
  if (/^[0-9]+$/.test(text)) throw unitError(text, 'duration', `the unit is missing; there are ${durationUnitNames} (for example ${text}s)`)
  const match = durationPattern.exec(text)
  if (match === null || text === '')
    throw unitError(text, 'duration', `write whole numbers with ${durationUnitNames}, such as 10s or 1h30m`)
  let ms = 0
  for (const [index, unit] of durationUnits.entries()) ms += Number(match[index + 1] ?? 0) * unit.ms
  if (ms > Number.MAX_SAFE_INTEGER) throw unitError(text, 'duration', 'it is too long')
  return ms
}

/** The inverse of parseDuration for every whole number of milliseconds. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0'
  // People say 75s and 1500ms rather than 1m15s and 1s500ms.
  if (!Number.isSafeInteger(ms) || ms < 0 || (ms < 10_000 && ms % 1000 !== 0)) return `${ms}ms`
  if (ms < 120_000 && ms % 1000 === 0) return `${ms / 1000}s`
  let text = ''
  let rest = ms
  for (const unit of durationUnits) {
    const count = Math.floor(rest / unit.ms)
    if (count > 0) text += `${count}${unit.name}`
    rest -= count * unit.ms
  }
  return text
}

/** `512`, `64k`, `1m`, `1g`; k is 1024, upper case is the same. Returns bytes. Throws ProxyError ERR_EPROXY_OPTION. */
export function parseSize(text: string): number {
  const match = /^([0-9]+)([kmg]?)$/i.exec(text)
  if (match === null) throw unitError(text, 'size', 'write a whole number of bytes, or with k, m or g (k is 1024), such as 512 or 64k')
  const unit = sizeUnits.find((candidate) => candidate.name === match[2]?.toLowerCase())
  const bytes = Number(match[1]) * (unit?.bytes ?? 1)
  if (bytes > Number.MAX_SAFE_INTEGER) throw unitError(text, 'size', 'it is too large')
  return bytes
}

/** The inverse of parseSize for every whole number of bytes: in the largest unit that leaves no fraction. */
export function formatSize(bytes: number): string {
  const unit = bytes === 0 ? undefined : sizeUnits.find((candidate) => bytes % candidate.bytes === 0)
  return unit === undefined ? String(bytes) : `${bytes / unit.bytes}${unit.name}`
}

function parseCount(text: string): number {
  const value = Number(text)
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(value))
    throw new ProxyError('ERR_EPROXY_OPTION', `${JSON.stringify(text.slice(0, 64))} is not a whole number`)
  return value
}

function unitError(text: string, kind: string, why: string): ProxyError {
  const shown = text.length > 64 ? `${text.slice(0, 64)}…` : text
  return new ProxyError(
    'ERR_EPROXY_OPTION',
    text === '' ? `the ${kind} is empty: ${why}` : `${JSON.stringify(shown)} is not a ${kind}: ${why}`,
  )
}

const durationUnits = [
  { name: 'd', ms: 86_400_000 },
  { name: 'h', ms: 3_600_000 },
  { name: 'm', ms: 60_000 },
  { name: 's', ms: 1_000 },
  { name: 'ms', ms: 1 },
] as const

const durationUnitNames = durationUnits.map((unit) => unit.name).join(', ')

/** One optional group for each unit, in the order of the table. */
const durationPattern = new RegExp(`^${durationUnits.map((unit) => `(?:([0-9]+)${unit.name})?`).join('')}$`)

const sizeUnits = [
  { name: 'g', bytes: 1_073_741_824 },
  { name: 'm', bytes: 1_048_576 },
  { name: 'k', bytes: 1_024 },
] as const
