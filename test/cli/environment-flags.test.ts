/** Flags that come by way of the environment, and what looks like one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readCommandLine, type Settings } from '../../lib/cli/flags.ts'
import { variableOf } from '../../lib/cli/environment-flags.ts'
import { numberFlags } from '../../lib/cli/option-tables.ts'

async function settingsOf(args: readonly string[], environment: Record<string, string>): Promise<Settings> {
  const command = await readCommandLine(args, 100, environment)
  assert(command.kind === 'run', JSON.stringify(command))
  return command.settings
}

test('every flag with a value has a variable', async () => {
  const environment = Object.fromEntries(numberFlags.map((flag) => [variableOf(flag.name), flag.defaultText]))
  const fromEnvironment = await settingsOf([], environment)
  const fromFlags = await settingsOf(
    numberFlags.map((flag) => `--${flag.name}=${flag.defaultText}`),
    {},
  )
  assert.deepEqual(fromEnvironment, fromFlags)

  const settings = await settingsOf([], {
    EPROXY_LISTEN: '127.0.0.1:1, unix:/a',
    EPROXY_UPSTREAM: 'a:1',
    EPROXY_WORKERS: '2',
    EPROXY_VIA: '',
    EPROXY_LOG_LEVEL: 'debug',
    EPROXY_ACCESS_LOG: '-',
  })
  assert.deepEqual(settings.listen, ['127.0.0.1:1', 'unix:/a'])
  assert.deepEqual(settings.options.upstreams, ['a:1'])
  assert.deepEqual([settings.workers, settings.options.via, settings.logLevel, settings.accessLog?.destination], [2, '', 'debug', '-'])
})

test('a flag goes before its variable', async () => {
  const environment = { EPROXY_TIMEOUT_QUEUE: '1s', EPROXY_LISTEN: ':1', EPROXY_VIA: 'there' }
  const settings = await settingsOf(['--timeout-queue', '2s', '--listen', ':2', '--listen', ':3', '--no-via'], environment)
  assert.equal(settings.options.timeouts?.queue, 2_000)
  assert.deepEqual(settings.listen, [':2', ':3'])
  assert.equal(settings.options.via, '')
})

test('what is wrong with a variable is told in its name', async () => {
  for (const [name, value, said] of [
    ['EPROXY_TIMEOUT_QUEUE', '7', /^EPROXY_TIMEOUT_QUEUE: "7" is not a duration: the unit is missing/],
    ['EPROXY_LIMIT_CONNECTIONS', '0', /^EPROXY_LIMIT_CONNECTIONS must be from 1 to 1000000, not 0$/],
    ['EPROXY_WORKERS', 'some', /^EPROXY_WORKERS must be auto or a whole number/],
    ['EPROXY_FORWARDED', 'all', /^EPROXY_FORWARDED must be one of off, /],
    ['EPROXY_LISTEN', ':1,x', /^EPROXY_LISTEN: "x" is not an address/],
    ['EPROXY_UPSTREAM', 'https://x', /^EPROXY_UPSTREAM: upstream https:\/\/x: TLS/],
    ['EPROXY_VIA', 'a b', /^EPROXY_VIA: via must be a token/],
    ['EPROXY_ACCESS_LOG', '', /^EPROXY_ACCESS_LOG: the access log needs a file name/],
    ['EPROXY_CONFIG', '', /^EPROXY_CONFIG needs a file name$/],
  ] as const) {
    const command = await readCommandLine([], 100, { [name]: value })
    assert(command.kind === 'misuse', name)
    assert.match(command.message, said)
  }
})

test('a variable that means nothing is told, with what was meant, and is no mistake', async () => {
  const command = await readCommandLine([], 100, {
    EPROXY_WORKRES: '2',
    EPROXY_CHECK: '1',
    OTHER: 'x',
    // A Service of Kubernetes with the name eproxy.
    EPROXY_SERVICE_HOST: '10.0.0.1',
    EPROXY_SERVICE_PORT_HTTP: '80',
    EPROXY_PORT: 'tcp://10.0.0.1:80',
    EPROXY_PORT_80_TCP_ADDR: '10.0.0.1',
  })
  assert(command.kind === 'run')
  assert.equal(command.settings.workers, 'auto')
  assert.deepEqual(command.warnings, [
    'the environment has EPROXY_WORKRES, which means nothing; did you mean EPROXY_WORKERS?',
    'the environment has EPROXY_CHECK, which means nothing',
  ])
})
