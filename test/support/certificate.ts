/** Certificates for 127.0.0.1, each its own authority, made by openssl for one test. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { runCommand } from './program.ts'
import type { TemporaryFolder } from './temporary-folder.ts'

/** Paths. */
export interface CertificateFiles {
  readonly certificate: string
  readonly key: string
}

export async function makeCertificate(folder: TemporaryFolder, name: string, subject = 'IP:127.0.0.1'): Promise<CertificateFiles> {
  const files = { certificate: folder.file(`${name}.pem`), key: folder.file(`${name}-key.pem`) }
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '3650']
  const about = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${subject}`]
  const { code, stderr } = await runCommand('openssl', [...request, ...about, '-keyout', files.key, '-out', files.certificate])
  assert.equal(code, 0, stderr)
  return files
}

export function readCertificate({ certificate, key }: CertificateFiles): { readonly certificate: string; readonly key: string } {
  return { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') }
}
