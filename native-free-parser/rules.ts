/**
 * The strictness table: everything that eproxy refuses, in one place. A rule has a stable id, the RFC section it stands on, what it
 * refuses, and the status that a client gets; and whether it may be told to warn instead. A response that breaks a rule becomes 502, whatever the status says here.
 */

export interface Rule {
  readonly section: string
  readonly status: number
  readonly refuses: string
  /** What happens instead where the action is `warn`, and why that is safe. One of this and `fixed`. */
  readonly warn?: string
  /** Why there is no other action than to refuse. */
  readonly fixed?: keyof typeof fixedReasons
}

/** Why a rule cannot be loosened. */
export const fixedReasons = {
  framing: 'where a message ends, or which request an answer belongs to, hangs on it',
  parser: 'llhttp refuses it, before anybody else could let it pass',
  line: 'two readers would find another target or version in the same line',
  limit: 'the limit is an option of its own',
  authority: 'it says for which site the request is',
  hop: 'what it is about is for this proxy to know, not for the upstream',
} as const

// oxfmt-ignore
export const ruleTable = {
  // Lines, RFC 9112 section 2.2
  'H1-BARE-CR': { section: 'RFC 9112 section 2.2', status: 400, refuses: 'a CR that is not followed by LF', fixed: 'parser' },
  'H1-BARE-LF': { section: 'RFC 9112 section 2.2', status: 400, refuses: 'a line that ends in LF without CR', fixed: 'parser' },
  'H1-NUL': { section: 'RFC 9110 section 5.5', status: 400, refuses: 'a NUL octet in the head or in the trailer section', fixed: 'parser' },
  'H1-EMPTY-LINE': { section: 'RFC 9112 section 2.2', status: 400, refuses: 'more than one empty line before the request line, or one before a status line', warn: 'further empty lines before a request are ignored as the first one is, up to limits.requestHeadBytes: they are not forwarded. Before a status line they are always refused' },
  'H1-LEADING-SPACE': { section: 'RFC 9112 section 2.2', status: 400, refuses: 'white space between the start line and the first field', fixed: 'parser' },
  // Request line, RFC 9112 section 3
  'H1-REQUEST-LINE': { section: 'RFC 9112 section 3', status: 400, refuses: 'a request line that is not method SP target SP version', fixed: 'line' },
  'H1-REQUEST-LINE-LENGTH': { section: 'RFC 9112 section 3', status: 414, refuses: 'a request line longer than limits.requestLineBytes', fixed: 'limit' },
  'H1-METHOD-TOKEN': { section: 'RFC 9110 section 9.1', status: 400, refuses: 'a method that is not a token', fixed: 'parser' },
  'H1-METHOD-UNKNOWN': { section: 'RFC 9110 section 9.1', status: 501, refuses: 'a method that the parser does not know; methods are case-sensitive', fixed: 'parser' },
  'H1-CONNECT': { section: 'RFC 9110 section 9.3.6', status: 501, refuses: 'CONNECT: a reverse proxy opens no tunnel to an address that the client names', fixed: 'hop' },
  'H1-TARGET-FORM': { section: 'RFC 9112 section 3.2', status: 400, refuses: 'a target in none of the forms that its method allows', fixed: 'line' },
  'H1-TARGET-CHAR': { section: 'RFC 3986 section 3.3', status: 400, refuses: 'an octet in the target that may stand there only percent-encoded', warn: '"<>^`{} pass as they are: none of them ends a target for any parser. Others, octets from 0x80 and a backslash in a path among them, are always refused' },
  'H1-TARGET-ESCAPE': { section: 'RFC 3986 section 2.1', status: 400, refuses: 'a "%" in the path that is not followed by two hex digits', warn: 'the "%" passes as it is: it ends no target. A server that decodes it in a way of its own may see another path: not for routes that guard one' },
  'H1-TARGET-FRAGMENT': { section: 'RFC 9110 section 7.1', status: 400, refuses: 'a fragment in the target', fixed: 'line' },
  'H1-TARGET-SCHEME': { section: 'RFC 9112 section 3.2.2', status: 400, refuses: 'an absolute target whose scheme is neither http nor https', fixed: 'authority' },
  'H1-TARGET-AUTHORITY': { section: 'RFC 9110 section 4.2', status: 400, refuses: 'an absolute target with an empty or invalid authority, or with user information', fixed: 'authority' },
  'H1-PATH-AMBIGUOUS': { section: 'RFC 3986 section 6.2.2', status: 400, refuses: 'a path that servers read in different ways which lead to different routes', fixed: 'line' },
  'H1-VERSION-SYNTAX': { section: 'RFC 9112 section 2.3', status: 400, refuses: 'a version that is not HTTP/digit.digit', fixed: 'parser' },
  'H1-VERSION': { section: 'RFC 9110 section 15.6.6', status: 505, refuses: 'a version other than 1.0 and 1.1', fixed: 'line' },
  // Status line, RFC 9112 section 4
  'H1-STATUS-LINE': { section: 'RFC 9112 section 4', status: 502, refuses: 'a status line that is not version SP three digits SP reason', fixed: 'line' },
  'H1-STATUS-CODE': { section: 'RFC 9110 section 15', status: 502, refuses: 'a status outside 100 to 599', fixed: 'framing' },
  'H1-RESPONSE-UNASKED': { section: 'RFC 9112 section 9.2', status: 502, refuses: 'bytes of an upstream that answer no request', fixed: 'framing' },
  'H1-SWITCH-UNASKED': { section: 'RFC 9110 section 15.2.2', status: 502, refuses: 'a 101 that no request asked for, or to a protocol that was not offered', fixed: 'hop' },
  'H1-INTERIM-LIMIT': { section: 'RFC 9110 section 15.2', status: 502, refuses: 'more or longer 1xx responses than limits.interimResponses and limits.interimBytes', fixed: 'limit' },
  // Fields, RFC 9112 section 5
  'H1-HEAD-LENGTH': { section: 'RFC 6585 section 5', status: 431, refuses: 'a head longer than limits.requestHeadBytes or limits.responseHeadBytes', fixed: 'limit' },
  'H1-FIELD-COUNT': { section: 'RFC 6585 section 5', status: 431, refuses: 'more fields than limits.requestFields or limits.responseFields', fixed: 'limit' },
  'H1-FIELD-COLON': { section: 'RFC 9112 section 5', status: 400, refuses: 'a field line without a colon', fixed: 'parser' },
  'H1-FIELD-NAME': { section: 'RFC 9110 section 5.1', status: 400, refuses: 'a field name that is empty or not a token', fixed: 'parser' },
  'H1-FIELD-NAME-SPACE': { section: 'RFC 9112 section 5.1', status: 400, refuses: 'white space between a field name and its colon', fixed: 'parser' },
  'H1-FIELD-VALUE': { section: 'RFC 9110 section 5.5', status: 400, refuses: 'a control octet in a field value', fixed: 'parser' },
  'H1-OBS-FOLD': { section: 'RFC 9112 section 5.2', status: 400, refuses: 'a field value that goes on in the next line', fixed: 'parser' },
  'H1-CONNECTION-OPTION': { section: 'RFC 9110 section 7.6.1', status: 400, refuses: 'a Connection field that is not a list of tokens', fixed: 'hop' },
  'H1-EXPECT': { section: 'RFC 9110 section 10.1.1', status: 417, refuses: 'an expectation other than 100-continue', fixed: 'framing' },
  'H1-MAX-FORWARDS': { section: 'RFC 9110 section 7.6.2', status: 400, refuses: 'a Max-Forwards that is not one number, on TRACE or OPTIONS', warn: 'the field passes as it is: it only limits the way of a diagnosis, and loops are found by Via' },
  'H1-VIA-LOOP': { section: 'RFC 9110 section 7.6.3', status: 508, refuses: 'a request that has passed this proxy before', fixed: 'hop' },
  'H1-UPGRADE': { section: 'RFC 9110 section 7.8', status: 400, refuses: 'an Upgrade field, nominated by Connection, that is not a list of protocols', warn: 'the connection stays HTTP/1.1, and nothing is offered to the upstream: an Upgrade may be ignored (RFC 9110 section 7.8)' },
  // Host, RFC 9112 section 3.2
  'H1-HOST-MISSING': { section: 'RFC 9112 section 3.2', status: 400, refuses: 'a request without Host where it is needed: always in 1.1, in 1.0 for a redirect to the same host', fixed: 'authority' },
  'H1-HOST-MULTIPLE': { section: 'RFC 9112 section 3.2', status: 400, refuses: 'a request with more than one Host', fixed: 'authority' },
  'H1-HOST-EMPTY': { section: 'RFC 9110 section 4.2.1', status: 400, refuses: 'an empty Host, which an http target cannot have', fixed: 'authority' },
  'H1-HOST-INVALID': { section: 'RFC 9112 section 3.2', status: 400, refuses: 'a Host that is not uri-host [":" port]', fixed: 'authority' },
  // Framing, RFC 9112 section 6
  'H1-CL-INVALID': { section: 'RFC 9110 section 8.6', status: 400, refuses: 'a Content-Length that is not a decimal number', fixed: 'framing' },
  'H1-CL-OVERFLOW': { section: 'RFC 9110 section 8.6', status: 413, refuses: 'a Content-Length above 2^53 - 1', fixed: 'framing' },
  'H1-CL-REPEATED': { section: 'RFC 9112 section 6.3', status: 400, refuses: 'more than one Content-Length, even when they agree', fixed: 'framing' },
  'H1-CL-AND-TE': { section: 'RFC 9112 section 6.1', status: 400, refuses: 'Content-Length together with Transfer-Encoding', fixed: 'framing' },
  'H1-TE-HTTP10': { section: 'RFC 9112 section 6.1', status: 400, refuses: 'Transfer-Encoding in a 1.0 message', fixed: 'framing' },
  'H1-TE-REPEATED': { section: 'RFC 9112 section 6.1', status: 400, refuses: 'more than one Transfer-Encoding field', fixed: 'framing' },
  'H1-TE-INVALID': { section: 'RFC 9112 section 6.1', status: 400, refuses: 'a Transfer-Encoding that is not a list of codings, or chunked with parameters, repeated or not last', fixed: 'framing' },
  'H1-TE-CODING': { section: 'RFC 9112 section 6.1', status: 501, refuses: 'a transfer coding other than chunked', fixed: 'framing' },
  'H1-TE-UNALLOWED': { section: 'RFC 9112 section 6.1', status: 502, refuses: 'Transfer-Encoding in a 1xx or 204 response', fixed: 'framing' },
  // Chunks, RFC 9112 section 7.1
  'H1-CHUNK-SIZE': { section: 'RFC 9112 section 7.1', status: 400, refuses: 'a chunk size that is not hex digits', fixed: 'framing' },
  'H1-CHUNK-SIZE-LENGTH': { section: 'RFC 9112 section 7.1', status: 400, refuses: 'a chunk size of more digits than limits.chunkSizeDigits', fixed: 'limit' },
  'H1-CHUNK-SIZE-OVERFLOW': { section: 'RFC 9112 section 7.1', status: 413, refuses: 'a chunk size above 2^53 - 1', fixed: 'framing' },
  'H1-CHUNK-EXTENSION': { section: 'RFC 9112 section 7.1.1', status: 400, refuses: 'chunk extensions that break their grammar', fixed: 'framing' },
  'H1-CHUNK-EXTENSION-LENGTH': { section: 'RFC 9112 section 7.1.1', status: 400, refuses: 'chunk extensions beyond limits.chunkExtensionBytes or limits.messageExtensionBytes', fixed: 'limit' },
  'H1-CHUNK-END': { section: 'RFC 9112 section 7.1', status: 400, refuses: 'chunk data that is not followed by CRLF', fixed: 'framing' },
  // Trailers, RFC 9112 section 7.1.2
  'H1-TRAILER-LENGTH': { section: 'RFC 6585 section 5', status: 431, refuses: 'a trailer section longer than limits.trailerBytes', fixed: 'limit' },
  'H1-TRAILER-COUNT': { section: 'RFC 6585 section 5', status: 431, refuses: 'more trailer fields than limits.trailerFields', fixed: 'limit' },
  'H1-TRAILER-FIELD': { section: 'RFC 9110 section 6.5.1', status: 400, refuses: 'a trailer field that frames, routes, authenticates or describes the content', warn: 'the field is dropped, and the rest of the trailer section passes: a recipient may discard trailers (RFC 9110 section 6.5.1). In responses it is always refused' },
  // Ends
  'H1-INCOMPLETE': { section: 'RFC 9112 section 8', status: 400, refuses: 'a connection that ends inside a message', fixed: 'framing' },
} as const satisfies Record<string, Rule>

export type RuleId = keyof typeof ruleTable

/** Rules whose action may be `warn`. */
export const looseRules: ReadonlySet<RuleId> = new Set(
  (Object.keys(ruleTable) as RuleId[]).filter((id) => (ruleTable[id] as Rule).warn !== undefined),
)
