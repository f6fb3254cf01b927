/** The arguments of `eproxy-raw conformance`, and what the shell may complete. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readCommandLine } from '../../lib/cli/flags.ts'
import type { ConformanceSettings } from '../../lib/cli/conformance-flags.ts'

async function settingsOf(...args: string[]): Promise<ConformanceSettings> {
  const command = await readCommandLine(['conformance', ...args])
  assert.ok(command.kind === 'conformance', JSON.stringify(command))
  return command.settings
}

async function misuseOf(...args: string[]): Promise<string> {
  const command = await readCommandLine(args)
  assert.ok(command.kind === 'misuse', JSON.stringify(command))
  return command.message
}

test('judges eproxy itself by all cases unless it is told otherwise', async () => {
  assert.deepEqual(await settingsOf(), {
    subject: { kind: 'own' },
    patterns: [],
    json: undefined,
    junit: undefined,
    concurrency: 8,
    timeoutMs: 1_200,
    describesAll: false,
  })
})

test('takes patterns as words and as --only', async () => {
  assert.deepEqual((await settingsOf('host', '--only', 'res-*', 'cl-te')).patterns, ['host', 'cl-te', 'res-*'])
})

test('reads who is judged', async () => {
  assert.deepEqual((await settingsOf('--target', '[::1]:8080', '--origin-port=9000', '--origin-host', '::1')).subject, {
    kind: 'proxy',
    endpoint: { host: '::1', port: 8080 },
    originHost: '::1',
    originPort: 9000,
  })
  assert.deepEqual((await settingsOf('--server', 'app.test:80')).subject, { kind: 'server', endpoint: { host: 'app.test', port: 80 } })
})

test('says in one line what is wrong', async () => {
  const wrong: readonly [args: string[], message: RegExp][] = [
    [['--target', 'a:1'], /^--target needs --origin-port/],
    [['--origin-port', '9000'], /need --target/],
    [['--target', 'a:1', '--origin-port', '2', '--server', 'b:3'], /exclude each other/],
    [['--target', 'a', '--origin-port', '2'], /^--target must be host:port or \[v6\]:port, not a$/],
    [['--server', 'a:99999'], /^--server must be a number from 1 to 65535/],
    [['--concurrency', '0'], /^--concurrency must be a number from 1 to 64/],
    [['--timeout', '5'], /^--timeout: "5" is not a duration/],
    [['--timeout', '5m'], /^--timeout must be from 50ms to 60s$/],
    [['--json', '-', '--junit', '-'], /cannot both/],
    [['--json='], /needs a file name/],
    [['--targt', 'a:1'], /did you mean --target\?$/],
    [[''], /a pattern is empty/],
  ]
  for (const [args, message] of wrong) assert.match(await misuseOf('conformance', ...args), message, args.join(' '))
})

test('a command that is misspelt, or does not come first, is recognised', async () => {
  assert.match(await misuseOf('conformnce'), /did you mean conformance\?$/)
  assert.match(await misuseOf('explian', 'H1-NUL'), /did you mean explain\?$/)
  assert.match(await misuseOf('--listen', ':80', 'conformance'), /it comes first/)
})

test('each command has a help of its own, and the main one names both', async () => {
  const textOf = async (...args: string[]): Promise<string> => {
    const command = await readCommandLine(args, 120)
    assert.ok(command.kind === 'print', JSON.stringify(command))
    return command.text
  }
  assert.match(await textOf('conformance', '--help'), /^Usage: eproxy-raw conformance \[flags\] \[PATTERN\.\.\.\]\n[^]*--origin-port/)
  assert.doesNotMatch(await textOf('conformance', '--help'), /--listen/)
  assert.match(await textOf('explain', '--help'), /^Usage: eproxy-raw explain \[RULE\.\.\.\]\n/)
  const help = await textOf('--help')
  for (const name of ['conformance', 'explain', 'completion']) assert.match(help, new RegExp(`^ +${name} +\\S`, 'm'))
})

test('the shell completes commands, their flags, groups and rules', async () => {
  const completionsOf = async (...words: string[]): Promise<string[]> => {
    const command = await readCommandLine(['--get-yargs-completions', 'eproxy-raw', ...words])
    assert.ok(command.kind === 'print', JSON.stringify(command))
    return command.text.split('\n').map((line) => line.replace(/:.*/, ''))
  }
  const commands = await completionsOf('c')
  for (const name of ['conformance', 'explain', 'completion']) assert.ok(commands.includes(name), name)
  assert.ok((await completionsOf('conformance', '--or')).includes('--origin-port'))
  assert.ok(!(await completionsOf('conformance', '--l')).includes('--listen'))
  assert.ok((await completionsOf('conformance', 'ho')).includes('host'))
  assert.ok((await completionsOf('explain', 'H1')).includes('H1-CL-AND-TE'))
})
