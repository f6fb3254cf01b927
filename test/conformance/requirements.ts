/**
 * What RFC 9112 sections 2 to 9 and RFC 9110 sections 5 to 10 and 15 demand (MUST, MUST NOT) of a recipient or an intermediary of HTTP/1.1, in
 * words of our own, each with the cases that look at it. A requirement that bytes on two connections cannot show is named with the reason
 * instead. Data only; requirements.test.ts judges it.
 */

export interface Requirement {
  readonly section: string
  readonly must: string
  /** Ids or globs of cases; none: `why` says what stands in the way. */
  readonly cases: readonly string[]
  readonly why?: string
}

// oxfmt-ignore
export const requirements: readonly Requirement[] = [
  // RFC 9112 section 2: message format
  { section: 'RFC 9112 section 2.2', must: 'parse a message as octets, in an encoding that contains ASCII', cases: ['field-value/utf-8-passes-unchanged', 'field-value/obs-text-*', 'transfer-encoding/name-long-s', 'transfer-encoding/value-utf-8-kelvin-sign'] },
  { section: 'RFC 9112 section 2.2', must: 'treat a bare CR as invalid, or replace it with SP', cases: ['line-syntax/bare-cr-*', 'line-syntax/request-line-ended-by-bare-cr', 'res-header/bare-cr-that-would-start-a-field', 'chunk-ext/bare-cr-*'] },
  { section: 'RFC 9112 section 2.2', must: 'reject or ignore lines that begin with white space in front of the first field', cases: ['line-syntax/white-space-*', 'res-header/white-space-before-the-first-field-line'] },
  { section: 'RFC 9112 section 2.3', must: 'send the own version on, not the received one', cases: ['http10/own-version', 'res-relay/http-1-0-with-content-length'] },
  // Section 3: request line
  { section: 'RFC 9112 section 3', must: 'answer 414 to a target that is too long', cases: ['limits/request-target-of-2-mib'] },
  { section: 'RFC 9112 section 3.2', must: 'answer 400 to a 1.1 request without Host', cases: ['host/missing', 'pipeline/get-then-no-host', 'target/absolute-form-without-host'] },
  { section: 'RFC 9112 section 3.2', must: 'answer 400 to more than one Host', cases: ['host/two-*'] },
  { section: 'RFC 9112 section 3.2', must: 'answer 400 to an invalid Host', cases: ['host/invalid-*', 'line-syntax/obs-fold-in-host'] },
  { section: 'RFC 9112 section 3.2.2', must: 'accept the absolute form', cases: ['target/absolute-form-same-host', 'target/absolute-form-with-a-port', 'target/absolute-form-scheme-in-capitals'] },
  { section: 'RFC 9112 section 3.2.2', must: 'let the absolute form win over Host', cases: ['target/absolute-form-wins-over-host'] },
  { section: 'RFC 9112 section 3.2.1', must: 'send "/" for an empty path', cases: ['target/absolute-form-empty-path*'] },
  { section: 'RFC 9112 section 3.2.4', must: 'send OPTIONS * on as it is, and for an absolute URI without path', cases: ['target/asterisk-with-options', 'target/options-*'] },
  // Section 4: status line
  { section: 'RFC 9112 section 4', must: 'send a space behind the status even where no reason follows', cases: ['res-status-line/no-space-after-the-code', 'res-relay/reason-phrase-is-empty'] },
  // Section 5: field syntax
  { section: 'RFC 9112 section 5.1', must: 'answer 400 to white space between a field name and its colon', cases: ['content-length/name-space-before-the-colon', 'transfer-encoding/name-space-before-the-colon', 'cl-te/*-space-befor'] },
  { section: 'RFC 9112 section 5.1', must: 'remove such white space from a response', cases: ['res-header/*before-the-colon*'] },
  { section: 'RFC 9112 section 5.2', must: 'reject a folded line in a request, or replace the fold with SP', cases: ['line-syntax/obs-fold-*', 'content-length/obs-fold-*', 'transfer-encoding/obs-fold-*'] },
  { section: 'RFC 9112 section 5.2', must: 'replace a fold in a response with SP, or answer 502', cases: ['res-header/obs-fold-that-looks-like-a-field'] },
  // Section 6: message body
  { section: 'RFC 9112 section 6.1', must: 'close the connection after a message with both framing fields', cases: ['cl-te/*', 'res-transfer-encoding/with-*'] },
  { section: 'RFC 9112 section 6.1', must: 'remove Content-Length before a message with both is sent on', cases: ['cl-te/transfer-encoding-first-consistent', 'cl-te/te-cl-second-request-inside-a-chunk', 'cl-te/get-with-both'] },
  { section: 'RFC 9112 section 6.1', must: 'treat a 1.0 message with Transfer-Encoding as badly framed and close', cases: ['transfer-encoding/chunked-on-http-1-0*', 'res-transfer-encoding/on-http-1-0*'] },
  { section: 'RFC 9112 section 6.1', must: 'send no Transfer-Encoding to a client that did not ask in 1.1', cases: ['http10/chunked-response-is-not-sent-to-a-1-0-keep-alive-client', 'http10/chunks-are-decoded-for-a-1-0-client'] },
  { section: 'RFC 9112 section 6.1', must: 'send no Transfer-Encoding in a 1xx or 204 response', cases: ['res-bodyless/204-with-transfer-encoding', 'res-1xx/103-with-transfer-encoding'] },
  { section: 'RFC 9112 section 6.3', must: 'read no body behind a response to HEAD, a 1xx, 204 or 304', cases: ['res-bodyless/head-*', 'res-bodyless/204-*', 'res-bodyless/304-*', 'res-1xx/103-with-content-length-is-not-a-body', 'res-extra/a-second-response-after-a-*'] },
  { section: 'RFC 9112 section 6.3', must: 'answer 400 and close where chunked is not the last coding of a request', cases: ['transfer-encoding/value-*', 'transfer-encoding/two-fields-*'] },
  { section: 'RFC 9112 section 6.3', must: 'answer 400 and close after an invalid Content-Length of a request', cases: ['content-length/invalid-value-*', 'content-length/repeated-two-lines-*', 'content-length/overflow-*'] },
  { section: 'RFC 9112 section 6.3', must: 'answer 502, discard and close upstream after an invalid Content-Length of a response', cases: ['res-content-length/invalid-*', 'res-content-length/two-different'] },
  { section: 'RFC 9112 section 6.3', must: 'take a response for incomplete when fewer octets come than announced', cases: ['res-content-length/body-shorter-*'] },
  { section: 'RFC 9112 section 6.3', must: 'take a request without framing fields for one without a body', cases: ['basic/post-without-length-has-an-empty-body'] },
  { section: 'RFC 9112 section 6.3', must: 'read a response without framing fields to the end of the connection', cases: ['res-relay/close-delimited-empty-body', 'res-relay/http-1-0-close-delimited', 'http10/close-delimited-response-needs-no-chunks'] },
  { section: 'RFC 9112 section 6.3', must: 'never take octets behind the last response for another response', cases: ['res-extra/*', 'res-bodyless/head-answered-with-a-second-response-as-its-body'] },
  // Section 7: transfer codings
  { section: 'RFC 9112 section 7.1', must: 'parse and decode chunked', cases: ['basic/post-chunked-in-two-chunks', 'chunk-framing/data-may-hold-*', 'res-relay/200-chunked*', 'fragment/chunked-post-byte-by-byte'] },
  { section: 'RFC 9112 section 7', must: 'compare the names of codings without regard to case', cases: ['transfer-encoding/valid-*-case', 'transfer-encoding/valid-capitalised', 'res-transfer-encoding/chunked-in-mixed-case'] },
  { section: 'RFC 9112 section 7.1', must: 'expect large sizes and not overflow on them', cases: ['chunk-size/overflow-*', 'chunk-size/large-*', 'res-chunk/invalid-2-64-2'] },
  { section: 'RFC 9112 section 7.1.1', must: 'ignore unknown chunk extensions', cases: ['chunk-ext/ignored-*', 'chunk-ext/extension-of-200-bytes', 'res-chunk/extension-is-ignored'] },
  { section: 'RFC 9112 section 7.4', must: 'send no connection-specific TE on', cases: ['hop-by-hop/te-with-a-coding-is-not-passed-on', 'res-hop-by-hop/te-is-removed'] },
  // Section 8: incomplete messages
  { section: 'RFC 9112 section 8', must: 'take a chunked message without its last chunk for incomplete', cases: ['chunk-framing/closed-*', 'res-chunk/closed-*', 'res-chunk/reset-before-the-last-chunk'] },
  { section: 'RFC 9112 section 8', must: 'take a message that ends before its announced length for incomplete', cases: ['limits/content-length-above-any-limit-no-body-sent', 'res-content-length/body-shorter-*', 'desync/early-answer-body-never-sent'] },
  // Section 9: connections
  { section: 'RFC 9112 section 9.2', must: 'take no data on an idle connection for a response', cases: ['res-extra/*'] },
  { section: 'RFC 9112 section 9.3', must: 'read the whole request body, or close after the response', cases: ['desync/early-answer-*', 'desync/early-error-with-close'] },
  { section: 'RFC 9112 section 9.3', must: 'frame every message on a connection that persists', cases: ['pipeline/http-1-1-stays-open-by-default', 'basic/two-requests-on-one-connection-one-after-the-other'] },
  { section: 'RFC 9112 section 9.3.2', must: 'answer pipelined requests in their order', cases: ['pipeline/two-get', 'pipeline/answers-keep-order-when-the-first-is-slow', 'pipeline/post-then-get', 'fragment/pipelined-request-arrives-while-the-first-waits'] },
  { section: 'RFC 9112 section 9.6', must: 'serve nothing behind a request with close, and close', cases: ['pipeline/connection-close-*', 'pipeline/nothing-is-served-behind-a-close'] },
  { section: 'RFC 9112 section 9.6', must: 'send no request behind a response with close', cases: ['res-relay/connection-close-*'] },
  { section: 'RFC 9112 section 9.7', must: 'treat a TLS close as the end of the connection', cases: [], why: 'the suite speaks no TLS' },
  // RFC 9110 section 5: fields
  { section: 'RFC 9110 section 5.1', must: 'compare field names without regard to case', cases: ['field-name/names-are-case-insensitive', 'content-length/valid-lower-case-name', 'host/two-in-different-case-of-the-name'] },
  { section: 'RFC 9110 section 5.1', must: 'forward fields that are unknown', cases: ['field-name/unknown-field-is-forwarded', 'hop-by-hop/end-to-end-fields-stay', 'res-relay/end-to-end-fields-pass'] },
  { section: 'RFC 9110 section 5.3', must: 'keep the order of lines with one name', cases: ['field-name/repeated-field-keeps-order', 'res-relay/lines-of-one-name-keep-their-order'] },
  { section: 'RFC 9110 section 5.4', must: 'answer fields that are too large with a 4xx status', cases: ['limits/field-line-of-2-mib*', 'limits/5000-short-field-lines', 'trailers/trailer-section-of-2-mib', 'trailers/250000-trailer-lines'] },
  { section: 'RFC 9110 section 5.5', must: 'reject CR, LF and NUL in a value, or replace them with SP', cases: ['line-syntax/nul-in-a-value', 'res-header/nul-in-a-value', 'trailers/malformed-nul-in-the-value', 'trailers/malformed-bare-cr-in-the-value'] },
  { section: 'RFC 9110 section 5.5', must: 'exclude white space around a value from it', cases: ['field-value/surrounding-white-space-is-not-part-of-the-value', 'field-value/only-white-space'] },
  { section: 'RFC 9110 section 5.6.1.2', must: 'ignore empty members of a list', cases: ['hop-by-hop/connection-with-empty-members', 'content-length/empty-list-element-comma-before', 'transfer-encoding/empty-list-element-comma-and-tab-before'] },
  // Section 6: message abstraction
  { section: 'RFC 9110 section 6.5.1', must: 'merge no trailer into the header unless its definition permits it', cases: ['trailers/plain-trailer-is-not-merged-into-the-header', 'trailers/forbidden-field-*', 'res-chunk/forbidden-trailer-*', 'res-chunk/trailer-is-not-merged-into-the-header'] },
  { section: 'RFC 9110 section 6.6.1', must: 'add Date to a response without one', cases: ['res-relay/date-is-added'] },
  // Section 7: routing
  { section: 'RFC 9110 section 7.2', must: 'send a Host for the target that was asked for', cases: ['host/valid-*', 'desync/connection-state-second-host-on-one-connection'] },
  { section: 'RFC 9110 section 7.6', must: 'send no message to itself', cases: ['via-forwarded/request-that-was-here-before'] },
  { section: 'RFC 9110 section 7.6.1', must: 'remove the fields that Connection names, and replace it', cases: ['hop-by-hop/several-fields-named-by-connection', 'hop-by-hop/named-field-*', 'hop-by-hop/connection-itself-is-replaced', 'res-hop-by-hop/field-named-by-connection-is-removed', 'res-hop-by-hop/connection-options-are-not-relayed'] },
  { section: 'RFC 9110 section 7.6.1', must: 'compare connection options without regard to case', cases: ['hop-by-hop/connection-options-are-case-insensitive', 'pipeline/connection-close-is-case-insensitive'] },
  { section: 'RFC 9110 section 7.6.2', must: 'answer TRACE and OPTIONS with Max-Forwards: 0 itself', cases: ['via-forwarded/max-forwards-0-*'] },
  { section: 'RFC 9110 section 7.6.2', must: 'decrement Max-Forwards of TRACE and OPTIONS', cases: ['via-forwarded/max-forwards-is-decremented-*'] },
  { section: 'RFC 9110 section 7.6.3', must: 'add Via to a request, with the version that was received', cases: ['via-forwarded/via-*'] },
  { section: 'RFC 9110 section 7.7', must: 'change neither path nor query', cases: ['target/verbatim-*'] },
  { section: 'RFC 9110 section 7.7', must: 'leave content alone that says no-transform', cases: ['res-relay/no-transform-leaves-the-body-alone'] },
  { section: 'RFC 9110 section 7.8', must: 'ignore Upgrade in a 1.0 request', cases: ['http10/upgrade-from-1-0-is-ignored'] },
  { section: 'RFC 9110 section 7.8', must: 'send Upgrade only together with its connection option', cases: ['upgrade/websocket-is-switched-or-the-offer-is-ignored', 'hop-by-hop/upgrade-not-named-by-connection-is-removed'] },
  { section: 'RFC 9110 section 7.8', must: 'switch to no protocol that was not offered', cases: ['res-1xx/101-that-was-not-asked-for'] },
  // Section 8: representation
  { section: 'RFC 9110 section 8.6', must: 'expect large Content-Length values and not overflow on them', cases: ['content-length/overflow-*', 'content-length/large-*', 'res-content-length/invalid-2-64-2'] },
  { section: 'RFC 9110 section 8.6', must: 'send no Content-Length in a 1xx or 204 response', cases: ['res-bodyless/204-with-content-length-0', 'res-bodyless/204-with-a-body', 'res-1xx/103-with-content-length-is-not-a-body'] },
  { section: 'RFC 9110 section 8.6', must: 'reject a list of equal lengths, or send one number in its place', cases: ['content-length/repeated-*', 'res-content-length/two-equal', 'res-content-length/list-of-equal-numbers'] },
  // Section 9: methods
  { section: 'RFC 9110 section 9.1', must: 'regard the case of methods', cases: ['request-line/mixed-case-method'] },
  { section: 'RFC 9110 section 9.2.2', must: 'send no request that is not idempotent twice', cases: ['desync/post-is-not-sent-twice', 'desync/patch-is-not-sent-twice'] },
  { section: 'RFC 9110 section 9.3.2', must: 'send no content in a response to HEAD', cases: ['res-bodyless/head-*', 'request-line/head-is-forwarded-as-head', 'http10/head'] },
  { section: 'RFC 9110 section 9.3.6', must: 'read no content of CONNECT as a request', cases: ['request-line/connect-with-a-body'] },
  { section: 'RFC 9110 section 9.3.8', must: 'send no sensitive fields back in TRACE', cases: [], why: 'which fields are sensitive is not in the bytes' },
  // Section 10: context
  { section: 'RFC 9110 section 10.1.1', must: 'answer an expectation with a final response, or send it on', cases: ['expect/100-continue-*', 'expect/early-refusal-reaches-a-waiting-client', 'res-1xx/417-to-expect'] },
  { section: 'RFC 9110 section 10.1.1', must: 'ignore an expectation of a 1.0 request', cases: ['expect/on-http-1-0-is-ignored'] },
  { section: 'RFC 9110 section 10.1.1', must: 'send a final response after 100 (Continue)', cases: ['expect/final-response-after-100'] },
  { section: 'RFC 9110 section 10.1.4', must: 'name TE in Connection when it is sent', cases: ['cl-te/content-length-with-te', 'hop-by-hop/te-with-a-coding-is-not-passed-on'] },
  // Section 15: status codes
  { section: 'RFC 9110 section 15', must: 'understand the class of an unknown status', cases: ['res-relay/status-599-is-relayed', 'res-relay/status-418-is-relayed', 'res-1xx/unknown-1xx-is-relayed'] },
  { section: 'RFC 9110 section 15.2', must: 'relay 1xx responses that it did not ask for itself', cases: ['res-1xx/103-*', 'res-1xx/unknown-1xx-is-relayed', 'res-1xx/100-without-expect'] },
  { section: 'RFC 9110 section 15.2', must: 'send no 1xx response to a 1.0 client', cases: ['http10/1xx-is-not-relayed-to-a-1-0-client'] },
]
