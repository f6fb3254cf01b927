/**
 * The proxies of the bench as rows: how each is found, configured and started. All do the same job: HTTP/1.1 to one upstream over kept-alive
 * connections, Host preserved where the program can, bodies streamed and not spooled to disk. Configurations are written to the
 * directory of the run. This file starts nothing; it returns command lines.
 */
import { execFileSync } from 'node:child_process'
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface PeerContext {
  readonly port: number
  readonly upstreamPort: number
  /** For generated configuration and scratch files; removed at the end of the run. */
  readonly directory: string
  /** Where a line for each request goes; null for none. */
  readonly accessLogPath: string | null
  /** Client connections that it must be able to hold. */
  readonly connectionsMax: number
}

export interface CommandLine {
  readonly command: string
  readonly args: readonly string[]
  readonly withChannel: boolean
  /** A file for what it prints, where that is its access log. */
  readonly stdoutPath?: string
}

export type Presence = { readonly kind: 'present'; readonly version: string } | { readonly kind: 'missing'; readonly why: string }

/** Native proxies are one yardstick: eproxy is compared with the better of them. */
export type PeerKind = 'subject' | 'native' | 'node' | 'floor'

export interface Peer {
  readonly name: string
  readonly kind: PeerKind
  readonly hasAccessLog: boolean
  find(): Presence
  prepare(context: PeerContext): CommandLine
}

const cliPath = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url))
const require = createRequire(import.meta.url)
const nodeVersionText = `node ${process.version}`
const helpTexts = new Map<string, string>()

export const peerTable: readonly Peer[] = [
  eproxyPeer('eproxy'),
  {
    name: 'nginx',
    kind: 'native',
    hasAccessLog: true,
    find: () => findProgram('nginx', ['-v'], /nginx\/\S+/),
    prepare: (context) => {
      const path = join(context.directory, `nginx-${context.port}.conf`)
      writeFileSync(path, nginxConfig(context))
      return { command: programPath('nginx')!, args: ['-p', context.directory, '-c', path, '-e', 'stderr'], withChannel: false }
    },
  },
  {
    name: 'haproxy',
    kind: 'native',
    hasAccessLog: true,
    find: () => findProgram('haproxy', ['-v'], /version (\S+)/),
    prepare: (context) => {
      const path = join(context.directory, `haproxy-${context.port}.cfg`)
      writeFileSync(path, haproxyConfig(context))
      const command = programPath('haproxy')!
      // Quiet, it would close its standard output, which is where its log goes.
      return context.accessLogPath === null
        ? { command, args: ['-db', '-q', '-f', path], withChannel: false }
        : { command, args: ['-db', '-f', path], withChannel: false, stdoutPath: context.accessLogPath }
    },
  },
  nodePeer('fastify', ['@fastify/http-proxy', 'fastify'], true),
  nodePeer('httpxy', ['httpxy'], false),
  nodePeer('http-proxy-3', ['http-proxy-3'], false),
  nodePeer('fast-proxy', ['fast-proxy'], false),
  {
    name: 'net-pipe',
    kind: 'floor',
    hasAccessLog: false,
    find: () => ({ kind: 'present', version: `no HTTP, ${nodeVersionText}` }),
    prepare: (context) => ownPeer('net-pipe', context),
  },
]

/** eproxy from any build of it: the one that this bench belongs to, or that of another commit. */
export function eproxyPeer(name: string, path = cliPath, version = ''): Peer {
  return {
    name,
    kind: 'subject',
    hasAccessLog: true,
    find: () =>
      isReadable(path)
        ? { kind: 'present', version: `${version === '' ? ownVersion() : version}, ${nodeVersionText}` }
        : { kind: 'missing', why: `${path} is not built` },
    prepare: ({ port, upstreamPort, accessLogPath }) => ({
      command: process.execPath,
      args: [
        path,
        ...['--listen', `127.0.0.1:${port}`, '--upstream', `127.0.0.1:${upstreamPort}`, '--log-level', 'silent'],
        // The others have no bound for what waits for an upstream connection; 1024 would refuse some of 5000 clients, and rightly.
        ...['--pool-waiting', '16384'],
        ...(accessLogPath === null ? [] : ['--access-log', accessLogPath]),
        // One core is what is compared here.
        ...(hasFlag(path, '--workers') ? ['--workers', '1'] : []),
      ],
      withChannel: false,
    }),
  }
}

/** The command of this build, with these arguments. */
export function eproxyCommand(args: readonly string[]): CommandLine {
  return { command: process.execPath, args: [cliPath, ...args], withChannel: false }
}

/** Commits before and after a flag can be compared with each other. */
function hasFlag(path: string, flag: string): boolean {
  let help = helpTexts.get(path)
  if (help === undefined) {
    help = execFileSync(process.execPath, [path, '--help'], { encoding: 'latin1' })
    helpTexts.set(path, help)
  }
  return help.includes(`${flag} `)
}

function nodePeer(name: string, packages: readonly string[], hasAccessLog: boolean): Peer {
  return {
    name,
    kind: 'node',
    hasAccessLog,
    find: () => {
      const versions = packages.map((packageName) => packageVersion(packageName))
      return versions.includes(null)
        ? { kind: 'missing', why: `not installed: ${packages.filter((_, index) => versions[index] === null).join(', ')}` }
        : {
            kind: 'present',
            version: `${packages.map((packageName, index) => `${packageName} ${versions[index]}`).join(', ')}, ${nodeVersionText}`,
          }
    },
    prepare: (context) => ownPeer(name, context),
  }
}

function ownVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return String((JSON.parse(text) as { version: unknown }).version)
}

/** Each of our own peers runs under the very node binary that runs eproxy. */
function ownPeer(name: string, { port, upstreamPort, accessLogPath }: PeerContext): CommandLine {
  const path = fileURLToPath(new URL(`./peers/${name}.js`, import.meta.url))
  return {
    command: process.execPath,
    args: [path, String(port), String(upstreamPort), ...(accessLogPath === null ? [] : [accessLogPath])],
    withChannel: true,
  }
}

/** Where a program of that name is, or null. Servers stand in sbin, which is not in the PATH of every user. */
export function programPath(name: string): string | null {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin']
  return directories.map((directory) => join(directory, name)).find((path) => isReadable(path, constants.X_OK)) ?? null
}

function findProgram(name: string, versionArgs: readonly string[], pattern: RegExp): Presence {
  const path = programPath(name)
  if (path === null) return { kind: 'missing', why: `there is no program ${name} on this machine` }
  // nginx prints its version on stderr, haproxy on stdout.
  const text = execFileSync('/bin/sh', ['-c', '"$0" "$@" 2>&1', path, ...versionArgs], { encoding: 'latin1' })
  const match = pattern.exec(text)
  return { kind: 'present', version: match?.[1] ?? match?.[0] ?? 'unknown version' }
}

function packageVersion(name: string): string | null {
  try {
    // Not through `exports`, which need not list package.json.
    const directory = require.resolve
      .paths(name)!
      .map((path) => join(path, name))
      .find((path) => isReadable(join(path, 'package.json')))
    return directory === undefined
      ? null
      : String((JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as { version: unknown }).version)
  } catch {
    return null
  }
}

function isReadable(path: string, mode = constants.R_OK): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}

/**
 * One worker that keeps all the upstream connections it opened. Request buffering is off and responses never go to a file, since the
 * others stream, too; every other buffer has its default. Its log is written in blocks, as that of eproxy is. Started by root, nginx
 * would switch to a user that cannot enter the directory of the run.
 */
function nginxConfig({ port, upstreamPort, directory, accessLogPath, connectionsMax }: PeerContext): string {
  return `
daemon off;
worker_processes 1;
pid ${directory}/nginx-${port}.pid;
error_log stderr error;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections ${2 * connectionsMax + 64}; }
http {
  access_log ${accessLogPath === null ? 'off' : `${accessLogPath} combined buffer=64k flush=1s`};
  client_body_temp_path ${directory}/nginx-body;
  proxy_temp_path ${directory}/nginx-proxy;
  fastcgi_temp_path ${directory}/nginx-fastcgi;
  uwsgi_temp_path ${directory}/nginx-uwsgi;
  scgi_temp_path ${directory}/nginx-scgi;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  upstream origin {
    server 127.0.0.1:${upstreamPort} max_fails=0;
    keepalive 1024;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
    }
  }
}
`
}

function haproxyConfig({ port, upstreamPort, accessLogPath, connectionsMax }: PeerContext): string {
  const log = accessLogPath === null ? 'no log' : 'log stdout format raw local0\n  option httplog'
  return `
global
  nbthread 1
  maxconn ${connectionsMax}
defaults
  mode http
  ${log}
  timeout connect 5s
  timeout client 75s
  timeout server 75s
  timeout http-keep-alive 75s
  option http-keep-alive
  http-reuse always
frontend bench
  bind 127.0.0.1:${port} backlog 4096
  default_backend origin
backend origin
  server origin 127.0.0.1:${upstreamPort}
`
}
