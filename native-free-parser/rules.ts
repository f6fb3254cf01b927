/**
 * The strictness table: everything that eproxy refuses, in one place. A rule has a stable id, the RFC section it stands on, what it
 * refuses, and the status that a client gets. A response that breaks a rule becomes 502, whatever the status says here.
 */

export interface Rule {
  readonly section: string
  readonly status: number
  readonly refuses: string
}

// oxfmt-ignore
export const ruleTable = {
  // Lines, RFC 9112 section 2.2
  'H1-BARE-CR': { section: 'RFC 9112 section 2.2', status: 400, refuses: 'a CR that is not followed by LF' },
  'H1-BARE-LF': { section: 'RFC 9112 section 2.2', status: 400, refuses: 'a line that ends in LF without CR' },
  'H1-NUL': { section: 'RFC 9110 section 5.5', status: 400, refuses: 'a NUL octet in the head or in the trailer section' },
  'H1-EMPTY-LINE': { section: 'RFC 9112 section 2.2', status: 400, refuses: 'more than one empty line before the request line, or one before a status line' },
  'H1-LEADING-SPACE': { section: 'RFC 9112 section 2.2', status: 400, refuses: 'white space between the start line and the first field' },
  // Request line, RFC 9112 section 3
  'H1-REQUEST-LINE': { section: 'RFC 9112 section 3', status: 400, refuses: 'a request line that is not method SP target SP version' },
  'H1-REQUEST-LINE-LENGTH': { section: 'RFC 9112 section 3', status: 414, refuses: 'a request line longer than limits.requestLineBytes' },
  'H1-METHOD-TOKEN': { section: 'RFC 9110 section 9.1', status: 400, refuses: 'a method that is not a token' },
  'H1-METHOD-UNKNOWN': { section: 'RFC 9110 section 9.1', status: 501, refuses: 'a method that the parser does not know; methods are case-sensitive' },
  'H1-CONNECT': { section: 'RFC 9110 section 9.3.6', status: 501, refuses: 'CONNECT: a reverse proxy opens no tunnel to an address that the client names' },
  'H1-TARGET-FORM': { section: 'RFC 9112 section 3.2', status: 400, refuses: 'a target in none of the forms that its method allows' },
  'H1-TARGET-CHAR': { section: 'RFC 3986 section 3.3', status: 400, refuses: 'an octet in the target that may stand there only percent-encoded' },
  'H1-TARGET-ESCAPE': { section: 'RFC 3986 section 2.1', status: 400, refuses: 'a "%" in the path that is not followed by two hex digits' },
  'H1-TARGET-FRAGMENT': { section: 'RFC 9110 section 7.1', status: 400, refuses: 'a fragment in the target' },
  'H1-TARGET-SCHEME': { section: 'RFC 9112 section 3.2.2', status: 400, refuses: 'an absolute target whose scheme is neither http nor https' },
  'H1-TARGET-AUTHORITY': { section: 'RFC 9110 section 4.2', status: 400, refuses: 'an absolute target with an empty or invalid authority, or with user information' },
  'H1-PATH-AMBIGUOUS': { section: 'RFC 3986 section 6.2.2', status: 400, refuses: 'a path that servers read in different ways which lead to different routes' },
  'H1-VERSION-SYNTAX': { section: 'RFC 9112 section 2.3', status: 400, refuses: 'a version that is not HTTP/digit.digit' },
  'H1-VERSION': { section: 'RFC 9110 section 15.6.6', status: 505, refuses: 'a version other than 1.0 and 1.1' },
  // Status line, RFC 9112 section 4
  'H1-STATUS-LINE': { section: 'RFC 9112 section 4', status: 502, refuses: 'a status line that is not version SP three digits SP reason' },
  'H1-STATUS-CODE': { section: 'RFC 9110 section 15', status: 502, refuses: 'a status outside 100 to 599' },
  'H1-RESPONSE-UNASKED': { section: 'RFC 9112 section 9.2', status: 502, refuses: 'bytes of an upstream that answer no request' },
  'H1-SWITCH-UNASKED': { section: 'RFC 9110 section 15.2.2', status: 502, refuses: 'a 101 that no request asked for, or to a protocol that was not offered' },
  'H1-INTERIM-LIMIT': { section: 'RFC 9110 section 15.2', status: 502, refuses: 'more or longer 1xx responses than limits.interimResponses and limits.interimBytes' },
  // Fields, RFC 9112 section 5
  'H1-HEAD-LENGTH': { section: 'RFC 6585 section 5', status: 431, refuses: 'a head longer than limits.requestHeadBytes or limits.responseHeadBytes' },
  'H1-FIELD-COUNT': { section: 'RFC 6585 section 5', status: 431, refuses: 'more fields than limits.requestFields or limits.responseFields' },
  'H1-FIELD-COLON': { section: 'RFC 9112 section 5', status: 400, refuses: 'a field line without a colon' },
  'H1-FIELD-NAME': { section: 'RFC 9110 section 5.1', status: 400, refuses: 'a field name that is empty or not a token' },
  'H1-FIELD-NAME-SPACE': { section: 'RFC 9112 section 5.1', status: 400, refuses: 'white space between a field name and its colon' },
  'H1-FIELD-VALUE': { section: 'RFC 9110 section 5.5', status: 400, refuses: 'a control octet in a field value' },
  'H1-OBS-FOLD': { section: 'RFC 9112 section 5.2', status: 400, refuses: 'a field value that goes on in the next line' },
  'H1-CONNECTION-OPTION': { section: 'RFC 9110 section 7.6.1', status: 400, refuses: 'a Connection field that is not a list of tokens' },
  'H1-EXPECT': { section: 'RFC 9110 section 10.1.1', status: 417, refuses: 'an expectation other than 100-continue' },
  'H1-MAX-FORWARDS': { section: 'RFC 9110 section 7.6.2', status: 400, refuses: 'a Max-Forwards that is not one number, on TRACE or OPTIONS' },
  'H1-VIA-LOOP': { section: 'RFC 9110 section 7.6.3', status: 508, refuses: 'a request that has passed this proxy before' },
  'H1-UPGRADE': { section: 'RFC 9110 section 7.8', status: 400, refuses: 'an Upgrade field, nominated by Connection, that is not a list of protocols' },
  // Host, RFC 9112 section 3.2
  'H1-HOST-MISSING': { section: 'RFC 9112 section 3.2', status: 400, refuses: 'a 1.1 request without Host' },
  'H1-HOST-MULTIPLE': { section: 'RFC 9112 section 3.2', status: 400, refuses: 'a request with more than one Host' },
  'H1-HOST-EMPTY': { section: 'RFC 9110 section 4.2.1', status: 400, refuses: 'an empty Host, which an http target cannot have' },
  'H1-HOST-INVALID': { section: 'RFC 9112 section 3.2', status: 400, refuses: 'a Host that is not uri-host [":" port]' },
  // Framing, RFC 9112 section 6
  'H1-CL-INVALID': { section: 'RFC 9110 section 8.6', status: 400, refuses: 'a Content-Length that is not a decimal number' },
  'H1-CL-OVERFLOW': { section: 'RFC 9110 section 8.6', status: 413, refuses: 'a Content-Length above 2^53 - 1' },
  'H1-CL-REPEATED': { section: 'RFC 9112 section 6.3', status: 400, refuses: 'more than one Content-Length, even when they agree' },
  'H1-CL-AND-TE': { section: 'RFC 9112 section 6.1', status: 400, refuses: 'Content-Length together with Transfer-Encoding' },
  'H1-TE-HTTP10': { section: 'RFC 9112 section 6.1', status: 400, refuses: 'Transfer-Encoding in a 1.0 message' },
  'H1-TE-REPEATED': { section: 'RFC 9112 section 6.1', status: 400, refuses: 'more than one Transfer-Encoding field' },
  'H1-TE-INVALID': { section: 'RFC 9112 section 6.1', status: 400, refuses: 'a Transfer-Encoding that is not a list of codings, or chunked with parameters, repeated or not last' },
  'H1-TE-CODING': { section: 'RFC 9112 section 6.1', status: 501, refuses: 'a transfer coding other than chunked' },
  'H1-TE-UNALLOWED': { section: 'RFC 9112 section 6.1', status: 502, refuses: 'Transfer-Encoding in a 1xx or 204 response' },
  // Chunks, RFC 9112 section 7.1
  'H1-CHUNK-SIZE': { section: 'RFC 9112 section 7.1', status: 400, refuses: 'a chunk size that is not hex digits' },
  'H1-CHUNK-SIZE-LENGTH': { section: 'RFC 9112 section 7.1', status: 400, refuses: 'a chunk size of more digits than limits.chunkSizeDigits' },
  'H1-CHUNK-SIZE-OVERFLOW': { section: 'RFC 9112 section 7.1', status: 413, refuses: 'a chunk size above 2^53 - 1' },
  'H1-CHUNK-EXTENSION': { section: 'RFC 9112 section 7.1.1', status: 400, refuses: 'chunk extensions that break their grammar' },
  'H1-CHUNK-EXTENSION-LENGTH': { section: 'RFC 9112 section 7.1.1', status: 400, refuses: 'chunk extensions beyond limits.chunkExtensionBytes or limits.messageExtensionBytes' },
  'H1-CHUNK-END': { section: 'RFC 9112 section 7.1', status: 400, refuses: 'chunk data that is not followed by CRLF' },
  // Trailers, RFC 9112 section 7.1.2
  'H1-TRAILER-LENGTH': { section: 'RFC 6585 section 5', status: 431, refuses: 'a trailer section longer than limits.trailerBytes' },
  'H1-TRAILER-COUNT': { section: 'RFC 6585 section 5', status: 431, refuses: 'more trailer fields than limits.trailerFields' },
  'H1-TRAILER-FIELD': { section: 'RFC 9110 section 6.5.1', status: 400, refuses: 'a trailer field that frames, routes, authenticates or describes the content' },
  // Ends
  'H1-INCOMPLETE': { section: 'RFC 9112 section 8', status: 400, refuses: 'a connection that ends inside a message' },
} as const satisfies Record<string, Rule>

export type RuleId = keyof typeof ruleTable
