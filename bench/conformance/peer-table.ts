/**
 * The proxies that the suite is run against, as rows: how each is found, configured and started. Each is set up as its documentation shows
 * a plain reverse proxy for one server: connections kept, Host of the client preserved, bodies streamed, the client's address told where
 * one directive does it, no cache, no log. Where a server has one switch for strictness, it is on. This file starts nothing.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { programPath } from '../e2e/peers.ts'

export interface PeerPlace {
  readonly port: number
  readonly originPort: number
  /** For its configuration and scratch files; the server may have given up root by the time it looks inside. */
  readonly folder: string
}

export interface ConformancePeer {
  readonly name: string
  /** What has to be installed: a program, or a package. */
  readonly needs: string
  /** Undefined when it is not installed. */
  findVersion(): string | undefined
  /** Writes what it needs into the folder. */
  prepare(place: PeerPlace): { readonly command: string; readonly args: readonly string[] }
}

export const conformancePeers: readonly ConformancePeer[] = [
  {
    ...program('Apache httpd', 'apache2', ['-v'], /Apache\/(\S+)/),
    prepare: (place) => withConfig(place, 'apache2.conf', apacheConfig, (path) => ['apache2', ['-X', '-f', path]]),
  },
  {
    ...program('Caddy', 'caddy', ['version'], /^v?(\S+)/),
    prepare: (place) => {
      const { command, args } = withConfig(place, 'Caddyfile', caddyConfig, (path) => [
        'caddy',
        ['run', '--adapter', 'caddyfile', '--config', path],
      ])
      // It saves its configuration in the user's own folders.
      return {
        command: 'env',
        args: [`HOME=${place.folder}`, `XDG_CONFIG_HOME=${place.folder}`, `XDG_DATA_HOME=${place.folder}`, command, ...args],
      }
    },
  },
  {
    ...program('H2O', 'h2o', ['-v'], /h2o version (\S+)/),
    prepare: (place) => withConfig(place, 'h2o.conf', h2oConfig, (path) => ['h2o', ['-m', 'worker', '-c', path]]),
  },
  {
    ...program('HAProxy', 'haproxy', ['-v'], /version (\S+)/),
    prepare: (place) => withConfig(place, 'haproxy.cfg', haproxyConfig, (path) => ['haproxy', ['-db', '-q', '-f', path]]),
  },
  {
    ...program('lighttpd', 'lighttpd', ['-v'], /lighttpd\/(\S+)/),
    prepare: (place) => withConfig(place, 'lighttpd.conf', lighttpdConfig, (path) => ['lighttpd', ['-D', '-f', path]]),
  },
  {
    ...program('nginx', 'nginx', ['-v'], /nginx\/(\S+)/),
    prepare: (place) => withConfig(place, 'nginx.conf', nginxConfig, (path) => ['nginx', ['-p', place.folder, '-e', 'stderr', '-c', path]]),
  },
  {
    ...program('Squid', 'squid', ['-v'], /Version (\S+)/),
    prepare: (place) => withConfig(place, 'squid.conf', squidConfig, (path) => ['squid', ['-N', '-f', path]]),
  },
  {
    ...program('Varnish', 'varnishd', ['-V'], /varnish-(\S+)/),
    prepare: (place) =>
      withConfig(place, 'varnish.vcl', varnishConfig, (path) => {
        const work = join(place.folder, 'varnish')
        return ['varnishd', ['-F', '-n', work, '-a', `127.0.0.1:${place.port}`, '-f', path, '-s', 'malloc,16m', '-T', 'none']]
      }),
  },
  nodePeer('@fastify/http-proxy'),
  nodePeer('http-proxy'),
  nodePeer('http-proxy-3'),
  nodePeer('httpxy'),
]

function program(name: string, command: string, versionArgs: readonly string[], pattern: RegExp): Omit<ConformancePeer, 'prepare'> {
  return {
    name,
    needs: `the program ${command}`,
    findVersion: () => {
      const path = programPath(command)
      if (path === null) return undefined
      // Some print it on stderr.
      const text = execFileSync('/bin/sh', ['-c', '"$0" "$@" 2>&1', path, ...versionArgs], { encoding: 'latin1' })
      return pattern.exec(text)?.[1] ?? 'unknown version'
    },
  }
}

const require = createRequire(import.meta.url)
const nodePeerPath = fileURLToPath(new URL('./node-peer.js', import.meta.url))

function nodePeer(name: string): ConformancePeer {
  return {
    name,
    needs: `the package ${name}`,
    findVersion: () => {
      // Not through `exports`, which need not list package.json.
      for (const folder of require.resolve.paths(name) ?? []) {
        try {
          return String((JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8')) as { version: unknown }).version)
        } catch {
          continue
        }
      }
      return undefined
    },
    prepare: ({ port, originPort }) => ({ command: process.execPath, args: [nodePeerPath, name, String(port), String(originPort)] }),
  }
}

function withConfig(
  place: PeerPlace,
  name: string,
  config: (place: PeerPlace) => string,
  toCommand: (path: string) => readonly [program: string, args: readonly string[]],
): { command: string; args: readonly string[] } {
  mkdirSync(place.folder, { recursive: true })
  chmodSync(place.folder, 0o777)
  const path = join(place.folder, name)
  writeFileSync(path, config(place))
  const [command, args] = toCommand(path)
  return { command: programPath(command) ?? command, args }
}

function apacheConfig({ port, originPort, folder }: PeerPlace): string {
  const modules = ['mpm_event', 'authz_core', 'reqtimeout', 'proxy', 'proxy_http']
  return `
ServerRoot "/usr/lib/apache2"
ServerName localhost
Listen 127.0.0.1:${port}
PidFile "${folder}/apache2.pid"
ErrorLog "${folder}/error.log"
Mutex "file:${folder}"
User www-data
Group www-data
${modules.map((name) => `LoadModule ${name}_module modules/mod_${name}.so`).join('\n')}
Timeout 20
KeepAlive On
KeepAliveTimeout 20
MaxKeepAliveRequests 0
StartServers 1
ServerLimit 1
ThreadsPerChild 32
MaxRequestWorkers 32
HttpProtocolOptions Strict
ProxyPreserveHost On
ProxyVia On
AllowEncodedSlashes NoDecode
ProxyPass "/" "http://127.0.0.1:${originPort}/" nocanon enablereuse=on upgrade=websocket
`
}

function caddyConfig({ port, originPort }: PeerPlace): string {
  return `
{
  admin off
  auto_https off
}
http://:${port} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${originPort}
}
`
}

function h2oConfig({ port, originPort, folder }: PeerPlace): string {
  return `
pid-file: ${folder}/h2o.pid
error-log: ${folder}/error.log
${process.getuid?.() === 0 ? 'user: root' : ''}
num-threads: 1
listen: {host: 127.0.0.1, port: ${port}}
hosts:
  default:
    paths:
      /:
        proxy.reverse.url: http://127.0.0.1:${originPort}/
        proxy.preserve-host: ON
        proxy.timeout.io: 20000
        proxy.timeout.keepalive: 10000
`
}

function haproxyConfig({ port, originPort }: PeerPlace): string {
  return `
global
  nbthread 1
  maxconn 500
defaults
  mode http
  no log
  timeout connect 2s
  timeout client 20s
  timeout server 20s
  option forwardfor
  http-reuse always
frontend suite
  bind 127.0.0.1:${port}
  default_backend origin
backend origin
  server origin 127.0.0.1:${originPort}
`
}

function lighttpdConfig({ port, originPort, folder }: PeerPlace): string {
  return `
server.modules = ("mod_proxy")
server.bind = "127.0.0.1"
server.port = ${port}
server.document-root = "${folder}"
server.errorlog = "${folder}/error.log"
server.upload-dirs = ("${folder}")
server.stream-request-body = 1
server.stream-response-body = 1
proxy.header = ("upgrade" => "enable")
proxy.server = ("" => (("host" => "127.0.0.1", "port" => ${originPort})))
`
}

function nginxConfig({ port, originPort, folder }: PeerPlace): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`)
  return `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 512; }
http {
  access_log off;
  ${temporary.join('\n  ')}
  map $http_upgrade $connection_option { '' ''; default upgrade; }
  upstream origin { server 127.0.0.1:${originPort} max_fails=0; keepalive 16; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_read_timeout 20s;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_option;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}
`
}

function squidConfig({ port, originPort, folder }: PeerPlace): string {
  return `
http_port 127.0.0.1:${port} accel vhost defaultsite=localhost
cache_peer 127.0.0.1 parent ${originPort} 0 originserver no-query no-digest name=origin
cache_peer_access origin allow all
never_direct allow all
http_access allow all
cache deny all
access_log none
cache_log ${folder}/cache.log
pid_filename ${folder}/squid.pid
coredump_dir ${folder}
visible_hostname squid.test
shutdown_lifetime 0 seconds
pinger_enable off
`
}

function varnishConfig({ originPort }: PeerPlace): string {
  return `
vcl 4.1;
backend origin { .host = "127.0.0.1"; .port = "${originPort}"; .max_connections = 200; }
sub vcl_recv { return (pass); }
`
}
