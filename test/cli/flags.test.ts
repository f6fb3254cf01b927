import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { accessLogDefaults } from '../../lib/observe/access-log.ts'
import { readCommandLine, type Settings } from '../../lib/cli/flags.ts'
import { numberFlags } from '../../lib/cli/option-tables.ts'
import {
  desyncLimitTable,
  limitTable,
  poolTable,
  resolveOptions,
  resolveSupervision,
  supervisionTable,
  timeoutTable,
} from '../../lib/core/options.ts'

test('runs with the defaults of the tables when nothing is given', async () => {
  const settings = await settingsOf([])
  assert.deepEqual(settings, {
    listen: [':8080'],
    options: { upstreams: [], timeouts: {}, limits: {}, pool: {}, desync: {} },
    workers: 'auto',
    supervision: {},
    logLevel: 'info',
    logFormat: 'auto',
    accessLog: undefined,
  })
})

test('reads every kind of flag', async () => {
  const settings = await settingsOf(
    `--listen 127.0.0.1:1 --listen unix:/a/b --upstream http://a:1 --upstream=[::1]:2 --timeout-request-head 1m30s --limit-request-line-bytes 16k
    --limit-connections 5 --limit-min-rate 1k/s --pool-attempts 2 --via edge-1 --forwarded both --half-closed-clients serve --log-level debug
    --workers 4 --worker-hang 7s --log-format json --access-log - --reuse-after-body anyone --desync-quarantine-after 0 --desync-window 2m --desync-quarantine 5s`.split(
      /\s+/,
    ),
  )
  assert.deepEqual(settings, {
    listen: ['127.0.0.1:1', 'unix:/a/b'],
    options: {
      upstreams: ['http://a:1', '[::1]:2'],
      timeouts: { requestHead: 90_000 },
      limits: { requestLineBytes: 16_384, connections: 5, minRate: 1_024 },
      pool: { attempts: 2 },
      desync: { quarantineAfter: 0, window: 120_000, quarantine: 5_000 },
      via: 'edge-1',
      forwarded: 'both',
      halfClosedClients: 'serve',
      reuseAfterBody: 'anyone',
    },
    workers: 4,
    supervision: { hang: 7_000 },
    logLevel: 'debug',
    logFormat: 'json',
    accessLog: { ...accessLogDefaults, destination: '-' },
  })
})

test('has a flag for every row of the tables, and reads the default that it shows as that default', async () => {
  const args = numberFlags.flatMap((flag) => [`--${flag.name}`, flag.defaultText])
  const { options, supervision } = await settingsOf(args)
  const config = resolveOptions(options, '')
  assert.deepEqual(config.timeouts, defaultsOf(timeoutTable))
  assert.deepEqual(config.limits, defaultsOf(limitTable))
  assert.deepEqual(config.pool, defaultsOf(poolTable))
  assert.deepEqual(config.desync, defaultsOf(desyncLimitTable))
  assert.deepEqual(resolveSupervision(supervision), defaultsOf(supervisionTable))
  const tables = [timeoutTable, limitTable, poolTable, desyncLimitTable, supervisionTable]
  assert.equal(numberFlags.length, tables.flatMap((table) => Object.keys(table)).length)
})

test('reads the flags of the access log; a template alone says the format', async () => {
  const given =
    '--access-log unix:/run/log.sock --access-log-template {"t":"{target}"} --access-log-escape json --access-log-sample 25% --access-log-redact-query a --access-log-redact-query b'
  const { accessLog } = await settingsOf(given.split(' '))
  assert.deepEqual(accessLog, {
    destination: 'unix:/run/log.sock',
    format: 'template',
    template: '{"t":"{target}"}',
    escape: 'json',
    sample: 0.25,
    redactQuery: ['a', 'b'],
  })
})

test('switches Via off in two ways', async () => {
  for (const args of [['--no-via'], ['--via', ''], ['--via=']]) assert.equal((await settingsOf(args)).options.via, '', args.join(' '))
})

test('says in one line what is wrong with a command line', async () => {
  const cases: [string[], RegExp][] = [
    [['--timeout-conect', '5s'], /^unknown flag --timeout-conect; did you mean --timeout-connect\?$/],
    [['--request-head=5s'], /^unknown flag --request-head; did you mean --timeout-request-head\?$/],
    [['--lisetn', ':1'], /did you mean --listen\?$/],
    [['--qwertyuiop'], /^unknown flag --qwertyuiop; see eproxy-raw --help$/],
    [['--constructor', 'x'], /^unknown flag --constructor/],
    [['--__proto__.x', 'y'], /^unknown flag --__proto__\.x/],
    [['--no-listen'], /^unknown flag --no-listen/],
    [['-q'], /^unknown flag -q/],
    [['extra'], /^unexpected argument extra/],
    [['conformence'], /^unexpected argument conformence; did you mean conformance\?$/],
    [['foo'], /^unexpected argument foo; see eproxy-raw --help$/],
    [['version'], /^unexpected argument version; did you mean --version\?$/],
    [['--', '-h'], /^unexpected argument -h/],
    [['--', 'extra'], /^unexpected argument extra/],
    [['--listen'], /^--listen needs a value$/],
    [['--listen', '--check'], /^--listen needs a value$/],
    [['--check=yes'], /^--check takes no value$/],
    [['--via', 'a', '--via', 'b'], /^--via is given 2 times$/],
    [['--timeout-dns', '1s', '--timeout-dns', '2s'], /^--timeout-dns is given 2 times$/],
    [['--via', 'a', '--no-via'], /exclude each other/],
    [['--via', 'a b'], /^--via: via must be a token/],
    [['--workers', '0'], /^--workers must be auto or a whole number from 1 to 1024, not 0$/],
    [['--workers', 'all'], /^--workers must be auto or a whole number/],
    [['--worker-kill', '5'], /^--worker-kill: "5" is not a duration/],
    [['--timeout-dns', '3'], /^--timeout-dns: "3" is not a duration: the unit is missing/],
    [['--timeout-dns', '-3s'], /^--timeout-dns: "-3s" is not a duration/],
    [['--timeout-dns', 'NaN'], /^--timeout-dns: "NaN" is not a duration/],
    [['--timeout-dns='], /^--timeout-dns: the duration is empty/],
    [['--timeout-dns', '2d'], /^--timeout-dns must be from 1ms to 1d, not 2d$/],
    [['--limit-request-head-bytes', '1t'], /^--limit-request-head-bytes: "1t" is not a size/],
    [['--limit-request-head-bytes', '1'], /^--limit-request-head-bytes must be from 256 to 1m, not 1$/],
    [['--limit-connections', '1k'], /^--limit-connections: "1k" is not a whole number$/],
    [['--limit-connections', '1e3'], /is not a whole number$/],
    [['--pool-attempts', '0'], /^--pool-attempts must be from 1 to 16, not 0$/],
    [['--listen', 'nonsense'], /^--listen: "nonsense" is not an address/],
    [['--listen', ':65536'], /^--listen: /],
    [['--listen', '8080'], /^--listen: "8080" is not an address; did you mean :8080\?$/],
    [['--upstream', '3000'], /^--upstream: "3000" is not an address; did you mean 127\.0\.0\.1:3000\?$/],
    [['--admin', '0.0.0.0:9901'], /^--admin 0\.0\.0\.0:9901 can be reached from other machines; .* --admin-public/],
    [['--upstream', 'https://a'], /^--upstream: .*TLS/],
    [['--upstream', 'http://a/path'], /^--upstream: .*no path/],
    [['--forwarded', 'yes'], /^--forwarded must be one of off, x-forwarded, forwarded, both, not yes$/],
    [['--log-level', 'loud'], /^--log-level must be one of trace/],
    [['--log-level='], /^--log-level must be one of trace/],
    [['--access-log='], /^--access-log: the access log needs a file name/],
    [['--access-log', 'unix:'], /^--access-log: .*path of a socket/],
    [['--access-log-sample', '0.5'], /^--access-log-sample says how to log, .* add --access-log$/],
    [['--access-log', '-', '--access-log-sample', 'half'], /^--access-log-sample must be from 0 to 1, or from 0% to 100%, not half$/],
    [['--access-log', '-', '--access-log-sample', '1.5'], /^--access-log-sample must be from 0 to 1/],
    [['--access-log', '-', '--access-log-sample', '101%'], /^--access-log-sample must be from 0 to 1/],
    [['--access-log', '-', '--access-log-format', 'xml'], /^--access-log-format must be one of json, combined, template, not xml$/],
    [['--access-log', '-', '--access-log-format', 'template'], /^--access-log-format template needs --access-log-template$/],
    [['--access-log', '-', '--access-log-format', 'json', '--access-log-template', '{id}'], /exclude each other$/],
    [['--access-log', '-', '--access-log-template', '{metod}'], /^--access-log-template: .*did you mean \{method\}\?$/],
  ]
  for (const [args, expected] of cases) assert.match(await misuseOf(args), expected, args.join(' '))
})

test('knows check, version, help and completion', async () => {
  assert.equal((await readCommandLine(['--check'])).kind, 'check')
  assert.equal((await readCommandLine(['--version'])).kind, 'version')
  assert.equal((await readCommandLine(['-V'])).kind, 'version')
  assert.match(await printedBy(['completion']), /complete|compdef/)
  const { SHELL } = process.env
  assert.match(await printedBy(['completion', 'bash']), /^complete .* eproxy-raw$/m)
  assert.match(await printedBy(['completion', 'zsh']), /^#compdef eproxy-raw$/m)
  assert.equal(process.env.SHELL, SHELL)
  assert.equal(await misuseOf(['completion', 'fish']), 'the shell must be one of bash, zsh, not fish')
  assert.match(await printedBy(['--get-yargs-completions', 'eproxy-raw', '--timeout-d']), /^--timeout-drain(?::.*)?$/m)
})

test('help shows every flag, in groups, with its default in units that people use', async () => {
  const help = await printedBy(['--help'])
  let at = 0
  for (const group of [
    'Configuration',
    'Listener',
    'Upstream',
    'Forwarding',
    'Logs',
    'Admin',
    'Workers',
    'Timers',
    'Limits',
    'Other',
    'Examples',
  ]) {
    const found = help.indexOf(`\n${group}:\n`)
    assert.ok(found > at, group)
    at = found
  }
  for (const flag of numberFlags) assert.ok(help.includes(`--${flag.name} `), flag.name)
  assert.match(help, /--timeout-keep-alive .*\n?.*\[default: 75s\]/)
  assert.match(help, /--limit-request-head-bytes .*\[default: 32k\]/)
  assert.match(help, /--limit-min-rate .*\[default: 240\/s\]/)
  assert.match(help, /^ {2}--listen ADDRESS /m)
  assert.match(help, /^ {2}--check {2}/m)
  assert.match(help, /^Exit code: 0 /m)
})

test('help fits the terminal, however narrow, and loses no word', async () => {
  const words = (text: string): string[] => text.split(/\s+/).sort()
  const wide = await printedBy(['--help'], 140)
  for (const columns of [60, 80, 100, 120]) {
    const help = await printedBy(['--help'], columns)
    const tooLong = help.split('\n').filter((line) => line.length > columns)
    // Examples and names are not broken: they are to be copied.
    for (const line of tooLong) assert.match(line, /^ {2}eproxy-raw --|^ {2}--/, `${columns}: ${line}`)
    assert.deepEqual(words(help), words(wide), String(columns))
  }
})

test('the help of every command is asked for by -h, --help, and help in front', async () => {
  for (const command of [[], ['conformance'], ['explain'], ['routes'], ['top'], ['completion']]) {
    const help = await printedBy([...command, '--help'])
    assert.match(help, new RegExp(`^Usage: ${['eproxy-raw', ...command].join(' ')} `))
    assert.equal(await printedBy([...command, '-h']), help)
    assert.equal(await printedBy(['help', ...command]), help)
  }
})

test('answers any arguments with settings or one message, and never with a number that is not one', async () => {
  const names = fc.constantFrom(
    ...numberFlags.map((flag) => `--${flag.name}`),
    '--listen',
    '--upstream',
    '--via',
    '--check',
    '--access-log',
    '--',
    '-',
    '-n',
  )
  const value = fc.oneof(fc.string(), fc.constantFrom('1', '10s', '64k', 'NaN', '-1', '1e9', '0x1', '', '__proto__', 'true'))
  const args = fc.array(
    fc.oneof(
      names,
      value,
      fc.tuple(names, value).map(([name, text]) => `${name}=${text}`),
    ),
    { maxLength: 4 },
  )
  await fc.assert(
    fc.asyncProperty(args, async (given) => {
      const command = await readCommandLine(given)
      if (command.kind === 'misuse') assert.ok(command.message.length > 0)
      if (command.kind === 'run' || command.kind === 'check') resolveOptions(command.settings.options, '')
    }),
    { numRuns: 150 },
  )
})

async function settingsOf(args: readonly string[]): Promise<Settings> {
  const command = await readCommandLine(args)
  assert.ok(command.kind === 'run', JSON.stringify(command))
  return command.settings
}

async function misuseOf(args: readonly string[]): Promise<string> {
  const command = await readCommandLine(args)
  assert.ok(command.kind === 'misuse', JSON.stringify([args, command]))
  return command.message
}

async function printedBy(args: readonly string[], columns = 120): Promise<string> {
  const command = await readCommandLine(args, columns)
  assert.ok(command.kind === 'print', JSON.stringify(command))
  return command.text
}

function defaultsOf(table: Record<string, { readonly default: number }>): Record<string, number> {
  return Object.fromEntries(Object.entries(table).map(([name, row]) => [name, row.default]))
}
