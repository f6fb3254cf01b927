/**
 * The workloads of the bench as rows, and the script that makes wrk send them. A workload is the exact bytes of one request and the
 * answer that has to come back; wrk sends the same bytes that the check before the rounds sends.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Workload {
  readonly name: string
  readonly doc: string
  /** Where there is little room. */
  readonly short: string
  readonly connections: number
  readonly request: Buffer
  /** The body of the right answer: `repeats` times `unit`. */
  readonly answer: { readonly unit: Buffer; readonly repeats: number }
  /** Its ratio of CPU to the native proxies has a bound in the list of targets; these are the workloads of `--quick`. */
  readonly isTarget: boolean
  /** Whether a run measures only eproxy, the native proxies and the floor here, unless --peers names others. */
  readonly isForFew: boolean
}

const host = 'Host: bench.example\r\n'
const smallBody = Buffer.from('Hello, bench!')
const browserFields = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'Accept-Language: en-GB,en;q=0.7,de;q=0.3',
  'Accept-Encoding: gzip, deflate, br',
  'Referer: http://bench.example/catalogue/items?page=3&sort=price',
  'Cookie: session=0a1b2c3d4e5f60718293a4b5c6d7e8f9; theme=dark; consent=1; _track=GA1.1.1234567890.1700000000',
  'Cache-Control: max-age=0',
  'Pragma: no-cache',
  'DNT: 1',
  'Priority: u=0, i',
  'Sec-Fetch-Dest: document',
  'Sec-Fetch-Mode: navigate',
  'Sec-Fetch-Site: same-origin',
  'Sec-Fetch-User: ?1',
  'Upgrade-Insecure-Requests: 1',
  'If-None-Match: "5f3a-61b2c3d4e5f60"',
  'If-Modified-Since: Tue, 04 Mar 2025 10:20:30 GMT',
  'X-Request-ID: 7b0a4f0e-52a4-4f5e-9a43-1c8e3ad5b7c1',
  'Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJiZW5jaCJ9.c2lnbmF0dXJlLW9mLXRoZS1iZW5jaA',
]

const mib = 1_048_576

export const workloadTable: readonly Workload[] = [
  {
    name: 'small-get',
    doc: 'GET, one field, answer of 13 bytes, connections kept',
    short: 'GET, one field',
    connections: 64,
    request: get('/'),
    answer: once(smallBody),
    isTarget: true,
    isForFew: false,
  },
  {
    name: 'headers-20',
    doc: 'GET with 20 fields as browsers and their applications send, answer of 1 KiB',
    short: 'GET, 20 fields, answer of 1 KiB',
    connections: 64,
    request: get('/1k', browserFields),
    answer: once(Buffer.alloc(1_024, 'k')),
    isTarget: true,
    isForFew: false,
  },
  {
    name: 'post-4k',
    doc: 'POST of 4 KiB with Content-Length, small answer',
    short: 'POST, 4 KiB',
    connections: 64,
    request: post('Content-Length: 4096', [Buffer.alloc(4_096, 'p')]),
    answer: once(Buffer.from('4096\n')),
    isTarget: true,
    isForFew: false,
  },
  {
    name: 'new-connection',
    doc: 'GET with Connection: close, a new client connection for each request',
    short: 'a connection for each GET',
    connections: 64,
    request: get('/', ['Connection: close']),
    answer: once(smallBody),
    isTarget: true,
    isForFew: false,
  },
  {
    name: 'get-1m',
    doc: 'GET, answer of 1 MiB',
    short: 'GET, answer of 1 MiB',
    connections: 16,
    request: get('/1m'),
    answer: once(Buffer.alloc(mib, 'm')),
    isTarget: true,
    isForFew: false,
  },
  {
    name: 'post-1m',
    doc: 'POST of 1 MiB with Content-Length, small answer',
    short: 'POST, 1 MiB',
    connections: 16,
    request: post(`Content-Length: ${mib}`, [Buffer.alloc(mib, 'p')]),
    answer: once(Buffer.from(`${mib}\n`)),
    isTarget: true,
    isForFew: false,
  },
  {
    name: 'connections-512',
    doc: 'the small GET from 512 connections, all busy at once',
    short: 'GET, one field',
    connections: 512,
    request: get('/'),
    answer: once(smallBody),
    isTarget: true,
    isForFew: false,
  },
  {
    name: 'connections-5000',
    doc: 'the small GET from 5000 connections, all busy at once',
    short: 'GET, one field',
    connections: 5_000,
    request: get('/'),
    answer: once(smallBody),
    isTarget: false,
    isForFew: true,
  },
  {
    name: 'post-64k-chunked',
    doc: 'POST of 64 KiB in chunks of 8 KiB, small answer',
    short: 'POST, 64 KiB in chunks',
    connections: 16,
    request: post('Transfer-Encoding: chunked', [
      ...Array.from({ length: 8 }, () => chunk(Buffer.alloc(8_192, 'c'))),
      chunk(Buffer.alloc(0)),
    ]),
    answer: once(Buffer.from('65536\n')),
    isTarget: false,
    isForFew: true,
  },
  {
    name: 'get-100m',
    doc: 'GET, answer of 100 MiB',
    short: 'GET, answer of 100 MiB',
    connections: 4,
    request: get('/100m'),
    answer: { unit: Buffer.alloc(mib, 'm'), repeats: 100 },
    isTarget: false,
    isForFew: true,
  },
]

/**
 * Answers of this size and above are counted by their bytes: of ten answers that a round sees of them, one is under way when it ends, and
 * its cost would be paid by the others.
 */
export const countedByBytes = mib

export function answerBytes({ answer }: Workload): number {
  return answer.unit.length * answer.repeats
}

/**
 * Writes what wrk needs to send this workload and to print its result as one line of JSON, and returns the path of the script.
 * `wrk.format` makes the one request that a script without a `request` function sends again and again; giving the bytes there keeps
 * Lua out of the path of each request.
 */
export function writeScript(workload: Workload, directory: string): string {
  const requestPath = join(directory, `${workload.name}.request`)
  const scriptPath = join(directory, `${workload.name}.lua`)
  writeFileSync(requestPath, workload.request)
  writeFileSync(scriptPath, scriptText(requestPath))
  return scriptPath
}

export const resultMark = 'RESULT '

function scriptText(requestPath: string): string {
  return `
local file = assert(io.open(${JSON.stringify(requestPath)}, "rb"))
local request_bytes = file:read("*a")
file:close()
wrk.format = function() return request_bytes end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '${resultMark}{"requests":%d,"durationMicros":%d,"bytes":%d,"p50Micros":%d,"p99Micros":%d,"p999Micros":%d,'
      .. '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
`
}

function once(unit: Buffer): Workload['answer'] {
  return { unit, repeats: 1 }
}

function get(target: string, fields: readonly string[] = []): Buffer {
  return Buffer.from(`GET ${target} HTTP/1.1\r\n${host}${fields.map((field) => `${field}\r\n`).join('')}\r\n`)
}

function post(framing: string, body: readonly Buffer[]): Buffer {
  const head = `POST /post HTTP/1.1\r\n${host}Content-Type: application/octet-stream\r\n${framing}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), ...body])
}

function chunk(data: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')])
}
