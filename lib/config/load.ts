/**
 * A configuration from its sources: flags go before the environment, that before the file, that before defaults. All that is wrong is found
 * in one go and told with its place. It reads files and changes nothing.
 */
import fs from 'node:fs'
import { dirname, extname, resolve } from 'node:path'
import { TextDecoder } from 'node:util'
import { adminTokenForm, isAdminToken } from '../core/admin-token.ts'
import { ProxyError } from '../core/errors.ts'
import { resolveOptions } from '../core/options.ts'
import type { PageContentOptions } from '../core/service-options.ts'
import { checkRateLimits } from '../limit/rate-limiter.ts'
import { findStoreFault } from '../limit/store-url.ts'
import { checkAccessLog } from '../observe/access-log.ts'
import { findPageSizeFault, findPageTypeFault } from '../policy/error-pages.ts'
import { checkPolicies } from '../policy/policy.ts'
import { assemble } from './assemble.ts'
import { complete, findObjections, type CompleteContent, type Objection } from './complete.ts'
import type { Configuration } from './configuration.ts'
import { ConfigDocument } from './document.ts'
import { toObjections } from './issue-words.ts'
import { keysAt } from './keys.ts'
import { show } from './leaves.ts'
import { applyOverrides, overrideAt, type Override } from './overrides.ts'
import { ConfigError, type Problem } from './problem.ts'
import { fileSchema, type FilePage, type Secret } from './schema.ts'

export interface Sources {
  /** Undefined: flags and environment alone. */
  readonly path: string | undefined
  /** Later ones go before earlier ones. */
  readonly overrides: readonly Override[]
  readonly environment: Readonly<Record<string, string | undefined>>
}

export interface Loaded {
  readonly configuration: Configuration
  /** In the shape of the file. */
  readonly content: CompleteContent
  readonly document: ConfigDocument
  /** Of the file. */
  readonly text: string
}

/** Throws ConfigError. */
export function loadConfiguration(sources: Sources): Loaded {
  const { path } = sources
  return interpret(sources, path === undefined ? '' : readText(path))
}

/** `text` is what is in the file. Throws ConfigError. */
export function interpret({ path, overrides, environment }: Sources, text: string): Loaded {
  const document = ConfigDocument.read(path ?? 'flags', text)
  const refuse = (objections: readonly Objection[]): never => {
    throw new ConfigError(objections.map((objection) => place(objection, document, overrides)))
  }
  const data = applyOverrides(document.data, overrides)
  const parsed = fileSchema.safeParse(data)
  if (!parsed.success) return refuse(toObjections(parsed.error.issues, data, keysAt))
  const content = complete(parsed.data)
  const objections = findObjections(content)
  const configuration = assemble(
    content,
    (secret, steps) => {
      const { text: value, fault } = readSecret(secret, path, environment)
      if (fault !== '') objections.push({ steps, message: fault })
      // '' is written for none; what is elsewhere was meant to be one.
      else if (steps[0] === 'admin' && secret !== '' && !isAdminToken(value))
        objections.push({ steps, message: `expected ${adminTokenForm}` })
      return value
    },
    (page, steps, isJson) => {
      const { content: read, fault, step } = readPage(page, path, isJson)
      if (fault !== '') objections.push({ steps: step === undefined ? steps : [...steps, step], message: fault })
      return read
    },
  )
  if (objections.length > 0) refuse(objections)
  const { rateLimitStore } = configuration.service
  const storeFault = rateLimitStore && findStoreFault(rateLimitStore)
  if (storeFault !== undefined) objections.push({ steps: ['rateLimitStore', storeFault.key], message: storeFault.message })
  if (objections.length > 0) refuse(objections)
  // What the layers below refuse and nobody here has looked for: better now than when workers run.
  const { service, engine, accessLog } = configuration
  const attempt = (steps: readonly PropertyKey[], check: () => void): void => {
    try {
      check()
    } catch (error) {
      if (!isConfigError(error)) throw error
      objections.push({ steps, message: error.message })
    }
  }
  attempt([], () => checkPolicies(resolveOptions({ ...engine, service }, 'eproxy')))
  attempt(['rateLimits'], () => checkRateLimits(service))
  if (accessLog !== undefined)
    attempt(['accessLog', accessLog.format === 'template' ? 'template' : 'destination'], () => checkAccessLog(accessLog))
  if (objections.length > 0) refuse(objections)
  return { configuration, content, document, text }
}

/** The text of a configuration file. Throws ConfigError. */
export function readText(path: string): string {
  let fd = -1
  try {
    // Without O_NONBLOCK a FIFO would be waited for, and this may be a process that serves.
    fd = fs.openSync(path, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0))
    const status = fs.fstatSync(fd)
    if (status.isDirectory()) throw new Error('it is a folder')
    // Neither has an end that is known, nor can be read again.
    if (!status.isFile()) throw new Error('it is no regular file')
    if (status.size > textBytesMax) throw new Error('the file is too long')
    return fs.readFileSync(fd, 'utf8').replace(/^\uFEFF/, '')
  } catch (error) {
    throw new ConfigError([{ path, line: 0, column: 0, message: explainReadError(error) }])
  } finally {
    if (fd >= 0) fs.closeSync(fd)
  }
}

const textBytesMax = 16_777_216

function explainReadError(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'there is no such file'
    case 'EACCES':
      return 'it may not be read: permission denied'
    case 'EISDIR':
      return 'it is a folder'
    default:
      return message
  }
}

/** Names the place and the key, when the message does not begin with it. */
function place(
  { steps, isKey, message: start, others = [] }: Objection,
  document: ConfigDocument,
  overrides: readonly Override[],
): Problem {
  const ends = others.map((other) => {
    const at = document.locate(other.steps).place
    return `${other.name} at ${at.path}:${at.line}:${at.column}`
  })
  const message = ends.length === 0 ? start : `${start} ${ends.join(' and ')}`
  const override = overrideAt(overrides, steps)
  if (override !== undefined) return { path: override.shown, line: 0, column: 0, message }
  const { place: where, steps: walked } = document.locate(steps, isKey)
  // An unknown key is in the message already.
  const name = formatSteps(message.startsWith('unknown key') ? walked.slice(0, -1) : walked)
  return { ...where, message: name === '' ? message : `${name}: ${message}` }
}

export function formatSteps(steps: readonly PropertyKey[]): string {
  return steps
    .map((step, index) =>
      typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${/^[\w-]+$/.test(String(step)) ? String(step) : show(step)}`,
    )
    .join('')
}

function readSecret(secret: Secret, path: string | undefined, environment: Sources['environment']): { text: string; fault: string } {
  if (typeof secret === 'string') return { text: secret, fault: '' }
  if ('env' in secret) {
    const text = environment[secret.env]
    return text === undefined ? { text: '', fault: `the environment has no variable ${secret.env}` } : { text, fault: '' }
  }
  const file = resolve(path === undefined ? '.' : dirname(path), secret.file)
  try {
    // An editor ends the last line, and nobody means that to be a part of a secret.
    return { text: readText(file).replace(/\r?\n$/, ''), fault: '' }
  } catch (error) {
    return { text: '', fault: (error as Error).message }
  }
}

interface PageRead {
  readonly content: PageContentOptions
  /** '' when nothing is wrong, and the key that it is about. */
  readonly fault: string
  readonly step?: keyof FilePage
}

/** RFC 9110 section 8.3, for what pages are made of. */
const typesOfPages: ReadonlyMap<string, string> = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.htm', 'text/html; charset=utf-8'],
  ['.xhtml', 'application/xhtml+xml'],
  ['.txt', 'text/plain; charset=utf-8'],
  ['.json', 'application/json'],
  ['.xml', 'application/xml'],
])

function readPage({ file, text, contentType }: FilePage, path: string | undefined, isJson: boolean): PageRead {
  const none = { contentType: '', body: '' }
  if ((file === undefined) === (text === undefined))
    return { content: none, fault: file === undefined ? 'expected file or text: the page is empty' : 'file and text exclude each other' }
  const type = contentType ?? typesOfPages.get(file === undefined ? (isJson ? '.json' : '.html') : extname(file).toLowerCase())
  const typeFault = type === undefined ? '' : findPageTypeFault(type)
  if (typeFault !== '') return { content: none, fault: typeFault, step: 'contentType' }
  if (file === undefined) return { content: { contentType: type!, body: text! }, fault: findPageSizeFault(Buffer.byteLength(text!)) }
  const whole = resolve(path === undefined ? '.' : dirname(path), file)
  const fault = (message: string): PageRead => ({ content: none, fault: `${whole}: ${message}`, step: 'file' })
  try {
    const status = fs.statSync(whole)
    if (!status.isFile()) return fault(status.isDirectory() ? 'it is a folder' : 'it is not a file')
    if (type === undefined) return fault(`its name does not end in one of ${[...typesOfPages.keys()].join(', ')}; write contentType`)
    const sizeFault = findPageSizeFault(status.size)
    if (sizeFault !== '') return fault(sizeFault)
    const body = new TextDecoder('utf-8', { fatal: true }).decode(fs.readFileSync(whole))
    // A file for HAProxy's errorfile has a head of its own, which would be shown to people.
    if (/^HTTP\/[0-9]/.test(body)) return fault('it begins with a status line; leave the head away, down to its empty line')
    return { content: { contentType: type, body }, fault: '' }
  } catch (error) {
    return fault(
      (error as NodeJS.ErrnoException).code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8' : explainReadError(error),
    )
  }
}

/** Whether it is about what was written, and not a fault of ours. */
export function isConfigError(error: unknown): error is ProxyError {
  return error instanceof ProxyError && error.code === 'ERR_EPROXY_OPTION'
}
