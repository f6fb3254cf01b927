/** The README holds what it says: its commands print what stands there, its configurations load, its flags exist. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { listCases } from '../../lib/cli/conformance.ts'
import { readCommandLine } from '../../lib/cli/flags.ts'
import { interpret } from '../../lib/config/load.ts'
import { RawClient, type RawResponse } from '../support/raw-client.ts'
import { RunningProxy, runToEnd } from '../support/running-command.ts'
import { listFiles, readText, root } from '../support/source-tree.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

const readme = readText('README.md')

/** Blocks of a language, without their fences. */
function blocksOf(document: string, language: string): string[] {
  return [...document.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map(([, text]) => text!)
}

interface Example {
  readonly command: string
  readonly output: string
}

const examples: readonly Example[] = blocksOf(readme, 'console').map((text) => {
  const [first = '', ...lines] = text.split('\n')
  assert(first.startsWith('$ '), first)
  return { command: first.slice(2), output: lines.join('\n').trimEnd() }
})

function example(prefix: string): Example {
  const found = examples.filter(({ command }) => command.startsWith(prefix))
  assert.equal(found.length, 1, prefix)
  return found[0]!
}

/** Words of a shell, with single quotes alone: all that the README needs. */
function splitWords(command: string): string[] {
  return [...command.matchAll(/'([^']*)'|[^\s']+/g)].map(([word, quoted]) => quoted ?? word)
}

const configuration = blocksOf(readme, 'yaml').find((text) => text.startsWith('profile: edge'))!

test('the proxy answers as the README shows, but for ports, dates and chance', async () => {
  await using proxy = await RunningProxy.start(['--workers', '1'])
  const ask = async (request: string): Promise<RawResponse> => {
    const client = await RawClient.connect(`127.0.0.1:${proxy.port}`)
    try {
      return await client.exchange(request)
    } finally {
      client.reset()
    }
  }
  // The octets that some curl has sent, which stand in the answer: those of another version may differ.
  const hello = example("curl -d 'name=value'").output
  const { rawHead } = JSON.parse(hello) as { rawHead: string }
  const echoed = await ask(`${rawHead.replace(/^Via: .*\r\n/m, '')}name=value`)
  assert.equal(likeAny(echoed.body), likeAny(hello))
  const refused = await ask(
    ['POST / HTTP/1.1', 'Host: localhost:8080', 'Content-Length: 5', 'Transfer-Encoding: chunked', '', '5', 'hello', '0', '', ''].join(
      '\r\n',
    ),
  )
  assert.equal(likeAny(refused.head + refused.body), likeAny(example('curl -i').output))
})

function likeAny(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replaceAll(/eproxy-[0-9a-f]{8}/g, 'eproxy-ID')
    .replaceAll(/^Date: .*$/gm, 'Date: NOW')
    .replaceAll(/at byte \d+/g, 'at byte N')
    .replaceAll(/^Content-Length: \d+$/gm, 'Content-Length: N')
    .trimEnd()
}

for (const prefix of ['eproxy-raw explain', 'eproxy-raw routes'])
  test(`\`${prefix}\` prints what the README shows`, async () => {
    using folder = new TemporaryFolder()
    const file = path.join(folder.path, 'eproxy.yaml')
    fs.writeFileSync(file, configuration)
    const { command, output } = example(prefix)
    const args = splitWords(command)
      .slice(1)
      .map((word) => (word === 'eproxy.yaml' ? file : word))
    const { code, stdout, stderr } = await runToEnd(args)
    assert.equal(stderr, '')
    assert.equal(code, 0)
    assert.equal(stdout.trimEnd(), output)
  })

test('mistakes in a file are told as the README of the configuration shows', async () => {
  const shown = [...readText('lib/config/README.md').matchAll(/^\$ eproxy-raw --config eproxy\.yaml --check\n([^]*?)^```$/gm)]
  const mistaken = ['  requestHaed: 5s', '  connect: 10']
  const right = ['  requestHead: 5s', '  connect: 10s']
  assert.equal(shown.length, 2)
  for (const [index, timeouts] of [mistaken, right].entries()) {
    const lines = [
      '---',
      'timeouts:',
      ...timeouts,
      'upstreams:',
      '  app: [127.0.0.1:1]',
      'routes:',
      '  - match: { path: /a/ }',
      '    upstream: ap',
    ]
    using folder = new TemporaryFolder()
    const file = path.join(folder.path, 'eproxy.yaml')
    fs.writeFileSync(file, `${lines.join('\n')}\n`)
    const { code, stdout, stderr } = await runToEnd(['--config', file, '--check'])
    assert.deepEqual({ code, stdout, stderr: stderr.replaceAll(file, 'eproxy.yaml') }, { code: 2, stdout: '', stderr: shown[index]?.[1] })
  }
})

test('the numbers of conformance cases are those of the suite', () => {
  const { output } = example('eproxy-raw conformance')
  const cases = listCases([]).trimEnd().split('\n')
  assert.equal(Number(/^(\d+) cases /.exec(output)?.[1]), cases.length)
  assert.equal(Number(/^(\d+) passed, 0 failed/m.exec(output)?.[1]), cases.length)
  const groups = [...output.matchAll(/^ {2}([\w-]+) +(\d+) of +(\d+)$/gm)]
  assert(groups.length > 0)
  for (const [, group, passed, all] of groups) {
    assert.equal(passed, all)
    assert.equal(listCases([group!]).trimEnd().split('\n').length, Number(all), group)
  }
})

test('every configuration in the documents loads', () => {
  using folder = new TemporaryFolder()
  let count = 0
  for (const document of ['README.md', 'lib/config/README.md'])
    for (const text of blocksOf(readText(document), 'yaml')) {
      // What an example names beside it is there.
      for (const [name] of text.matchAll(/\bpages\/[\w.]+/g)) {
        fs.mkdirSync(folder.file('pages'), { recursive: true })
        fs.writeFileSync(folder.file(name), '<!doctype html>')
      }
      const sources = { path: folder.file('eproxy.yaml'), overrides: [], environment: {} }
      assert.doesNotThrow(() => interpret(sources, text), text)
      count += 1
    }
  assert(count >= 2)
})

test('each row for those who come from another proxy is a configuration that loads', () => {
  const [, section = ''] = /^### Coming from nginx or HAProxy$([^]*?)(?=^## )/m.exec(readme) ?? []
  const rows = section
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line) => line.split('|').map((cell) => cell.trim()))
  assert(rows.length > 20)
  for (const [, , , written = '', place] of rows) {
    const part = parse(/^`(.*)`$/.exec(written)?.[1] ?? '') as Record<string, unknown>
    const content = placed(part, place ?? '')
    assert.doesNotThrow(() => interpret({ path: 'README.md', overrides: [], environment: {} }, JSON.stringify(content)), written)
  }
})

/** The least configuration that the part can stand in. */
function placed(part: Record<string, unknown>, place: string): Record<string, unknown> {
  const servers = ['127.0.0.1:9001']
  const route = { upstream: 'app' }
  const isAction = 'redirect' in part || 'answer' in part
  const rest = { upstreams: { app: { servers }, copy: { servers } }, rateLimits: { 'per-client': '1/s' } }
  switch (place) {
    case 'top':
      return { ...rest, routes: [route], ...part }
    case 'listener':
      return { ...rest, routes: [route], listeners: [{ address: ':8080', ...part }] }
    case 'group':
      return { ...rest, routes: [route], upstreams: { ...rest.upstreams, app: { servers, ...part } } }
    case 'route':
      return { ...rest, routes: [{ match: { path: '/part/' }, ...(isAction ? {} : route), ...part }, route] }
    default:
      throw new Error(`a row says that its key stands in ${JSON.stringify(place)}`)
  }
}

test('every flag in the documents of users is one', async () => {
  const known = new Set<string>()
  for (const command of [[], ['conformance'], ['explain'], ['routes'], ['top'], ['completion']]) {
    const help = await readCommandLine([...command, '--help'], 120)
    assert(help.kind === 'print')
    for (const [flag] of help.text.matchAll(/--[a-z][a-z-]*/g)) known.add(flag)
  }
  const documents = listFiles().filter((file) => file === 'README.md' || /^lib\/.*\.md$/.test(file))
  assert(documents.length > 4)
  for (const file of documents) {
    // What belongs to commands of others is not for us to judge.
    const text = readText(file)
      .split('\n')
      .filter((line) => !/\b(?:npm|curl|redis-server)\b/.test(line))
      .join('\n')
    for (const [flag] of text.matchAll(/(?<![\w<!-])--[a-z][a-z-]*[a-z]/g)) assert(known.has(flag), `${file} names ${flag}`)
  }
})

test('what it says can be reached from it: every README of a folder has a link', () => {
  const folders = listFiles().filter((file) => /^(?:lib\/.*|native-free-parser\/)README\.md$/.test(file))
  assert(folders.length > 5)
  for (const file of folders) assert(readme.includes(`(${file}`), file)
  assert(fs.existsSync(path.join(root, 'lib/config/example.yaml')))
})
