/**
 * Which of the fields that HTTP itself acts on a field name is. Everything else is OTHER and passes untouched. The look-up costs one
 * switch on the length, and a comparison only where the length fits.
 */
import { equalsIgnoreCase, resemblesName } from './characters.ts'

export const FieldKind = {
  OTHER: 0,
  HOST: 1,
  CONTENT_LENGTH: 2,
  TRANSFER_ENCODING: 3,
  CONNECTION: 4,
  KEEP_ALIVE: 5,
  PROXY_CONNECTION: 6,
  TE: 7,
  TRAILER: 8,
  UPGRADE: 9,
  HTTP2_SETTINGS: 10,
  PROXY_AUTHORIZATION: 11,
  PROXY_AUTHENTICATE: 12,
  PROXY_AUTHENTICATION_INFO: 13,
  EXPECT: 14,
  VIA: 15,
  MAX_FORWARDS: 16,
  FORWARDED: 17,
  X_FORWARDED_FOR: 18,
  X_FORWARDED_HOST: 19,
  X_FORWARDED_PROTO: 20,
  DATE: 21,
  X_FORWARDED_PORT: 22,
  /** One of the X-Forwarded fields with "_" for "-": another name, which a gateway that makes variables of fields takes for the same. */
  FORWARDED_ALIKE: 23,
} as const
export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind]

/** The kind of the field name raw[start, end). */
export function fieldKind(raw: string, start: number, end: number): FieldKind {
  switch (end - start) {
    case 2:
      return equalsIgnoreCase(raw, start, end, 'te') ? FieldKind.TE : FieldKind.OTHER
    case 3:
      return equalsIgnoreCase(raw, start, end, 'via') ? FieldKind.VIA : FieldKind.OTHER
    case 4:
      if (equalsIgnoreCase(raw, start, end, 'host')) return FieldKind.HOST
      return equalsIgnoreCase(raw, start, end, 'date') ? FieldKind.DATE : FieldKind.OTHER
    case 6:
      return equalsIgnoreCase(raw, start, end, 'expect') ? FieldKind.EXPECT : FieldKind.OTHER
    case 7:
      if (equalsIgnoreCase(raw, start, end, 'upgrade')) return FieldKind.UPGRADE
      return equalsIgnoreCase(raw, start, end, 'trailer') ? FieldKind.TRAILER : FieldKind.OTHER
    case 9:
      return equalsIgnoreCase(raw, start, end, 'forwarded') ? FieldKind.FORWARDED : FieldKind.OTHER
    case 10:
      if (equalsIgnoreCase(raw, start, end, 'connection')) return FieldKind.CONNECTION
      return equalsIgnoreCase(raw, start, end, 'keep-alive') ? FieldKind.KEEP_ALIVE : FieldKind.OTHER
    case 12:
      return equalsIgnoreCase(raw, start, end, 'max-forwards') ? FieldKind.MAX_FORWARDS : FieldKind.OTHER
    case 14:
      if (equalsIgnoreCase(raw, start, end, 'content-length')) return FieldKind.CONTENT_LENGTH
      return equalsIgnoreCase(raw, start, end, 'http2-settings') ? FieldKind.HTTP2_SETTINGS : FieldKind.OTHER
    case 15:
      return forwardedKind(raw, start, end, 'x-forwarded-for', FieldKind.X_FORWARDED_FOR)
    case 16:
      if (equalsIgnoreCase(raw, start, end, 'proxy-connection')) return FieldKind.PROXY_CONNECTION
      if (equalsIgnoreCase(raw, start, end, 'x-forwarded-host')) return FieldKind.X_FORWARDED_HOST
      if (equalsIgnoreCase(raw, start, end, 'x-forwarded-port')) return FieldKind.X_FORWARDED_PORT
      return resemblesName(raw, start, end, 'x-forwarded-host') || resemblesName(raw, start, end, 'x-forwarded-port')
        ? FieldKind.FORWARDED_ALIKE
        : FieldKind.OTHER
    case 17:
      if (equalsIgnoreCase(raw, start, end, 'transfer-encoding')) return FieldKind.TRANSFER_ENCODING
      return forwardedKind(raw, start, end, 'x-forwarded-proto', FieldKind.X_FORWARDED_PROTO)
    case 18:
      return equalsIgnoreCase(raw, start, end, 'proxy-authenticate') ? FieldKind.PROXY_AUTHENTICATE : FieldKind.OTHER
    case 19:
      return equalsIgnoreCase(raw, start, end, 'proxy-authorization') ? FieldKind.PROXY_AUTHORIZATION : FieldKind.OTHER
    case 25:
      return equalsIgnoreCase(raw, start, end, 'proxy-authentication-info') ? FieldKind.PROXY_AUTHENTICATION_INFO : FieldKind.OTHER
    default:
      return FieldKind.OTHER
  }
}

function forwardedKind(raw: string, start: number, end: number, name: string, kind: FieldKind): FieldKind {
  if (!resemblesName(raw, start, end, name)) return FieldKind.OTHER
  return equalsIgnoreCase(raw, start, end, name) ? kind : FieldKind.FORWARDED_ALIKE
}
