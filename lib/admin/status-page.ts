/**
 * The status page: one file, read at start. Its script and its style are allowed by their hashes, so that nothing else can run in it: not
 * even if what a peer sent were to get into it as markup.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

export interface StatusPage {
  readonly html: string
  /** For the field Content-Security-Policy. */
  readonly contentPolicy: string
}

export function loadStatusPage(): StatusPage {
  // Three folders up from build/lib/admin, both in the repository and in an installed package.
  const html = readFileSync(new URL('../../../lib/admin/status.html', import.meta.url), 'utf8')
  return {
    html,
    contentPolicy: [
      "default-src 'none'",
      `script-src ${hashesOf(html, 'script')}`,
      `style-src ${hashesOf(html, 'style')}`,
      "connect-src 'self'",
      'img-src data:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
  }
}

function hashesOf(html: string, element: 'script' | 'style'): string {
  const bodies = [...html.matchAll(new RegExp(`<${element}>([^]*?)</${element}>`, 'g'))].map((match) => match[1] ?? '')
  return bodies.map((body) => `'sha256-${createHash('sha256').update(body).digest('base64')}'`).join(' ')
}
