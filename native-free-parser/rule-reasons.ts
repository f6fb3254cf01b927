/**
 * Why each rule of the strictness table is there: what goes wrong where a message that breaks it is let through. Sentences for people;
 * nothing is decided by them.
 */
import type { RuleId } from './rules.ts'

// oxfmt-ignore
export const ruleReasons: Readonly<Record<RuleId, string>> = {
  // Lines
  'H1-BARE-CR': 'Some parsers end a line at a CR alone, others keep it inside the value. One sees a field, or a whole request, where the other sees text: header injection and request smuggling.',
  'H1-BARE-LF': 'Some parsers take LF alone for a line end, others want CRLF. Where two in a row disagree, a line that one of them hides in a value or in a chunk extension is a field or a request for the other. RFC 9112 lets a recipient accept it; nobody needs it.',
  'H1-NUL': 'Software in C ends a string at NUL. What comes behind it is seen by the proxy and not by the server, or the other way round.',
  'H1-EMPTY-LINE': 'RFC 9112 asks servers to ignore one empty line before a request, because old clients sent one behind a body. More of them, or one before a response, mean that the two sides count bytes differently.',
  'H1-LEADING-SPACE': 'White space in front of the first field is ignored by some parsers, and by others taken for the continuation of the request line or for a field with an odd name. Host, or a framing field, is then seen by one of them only.',
  // Request line
  'H1-REQUEST-LINE': 'With other separators than one space, parsers disagree about where the target ends: the proxy routes one resource and the server serves another. A line without version is HTTP/0.9, whose answer has no head.',
  'H1-REQUEST-LINE-LENGTH': 'A request line without end is the cheapest way to fill the memory of a server. The limit holds while bytes arrive, not when the line is complete.',
  'H1-METHOD-TOKEN': 'A method with a delimiter or a control octet in it is no HTTP, and often the remainder of a body that was counted wrongly, or another protocol (TLS, SMTP) on this port.',
  'H1-METHOD-UNKNOWN': 'The parser has to know whether a method has semantics for its body. "get" is another method than GET, and a server that is more lenient would treat it as the same one.',
  'H1-CONNECT': 'A tunnel to an address of the client\'s choice would let it reach everything that the proxy can reach, past every rule.',
  'H1-TARGET-FORM': 'A target that is neither a path nor an absolute URI is completed by each server in a way of its own; "@other.host/" behind a naive string concatenation leads to another host.',
  'H1-TARGET-CHAR': 'These octets cannot stand in a URI. Servers escape, cut or reject them, each differently, so that access rules for a path are checked against another path than the one that is served. In the query, where browsers send some of them, eproxy is as tolerant as they are.',
  'H1-TARGET-ESCAPE': 'A broken escape is decoded to different octets by different decoders, or ends the path; path rules in front of such a decoder can be passed.',
  'H1-TARGET-FRAGMENT': 'A fragment is never sent. Some servers cut it off, others serve a file with "#" in its name: what is behind "#" hides a path or a query from one of two.',
  'H1-TARGET-SCHEME': 'A gateway for http must not fetch ftp, file or javascript, and a server behind it might.',
  'H1-TARGET-AUTHORITY': 'The authority of an absolute target replaces Host. One that is empty, malformed or has user information ("trusted@evil") is read as different hosts by different parsers.',
  'H1-PATH-AMBIGUOUS': 'Dot segments, "//", ";" and escapes such as %2f are resolved by some servers and taken literally by others. Where that leads to different routes, what is allowed on one would be served by another. Where all ways to read the path lead to the same route it is forwarded as it came.',
  'H1-VERSION-SYNTAX': 'The version decides about persistence and chunked. One that is not written HTTP/1.1 or HTTP/1.0 to the letter is taken for 1.1, 1.0 or 0.9 by different parsers.',
  'H1-VERSION': 'The rules of another version are other rules. In particular, "PRI * HTTP/2.0" starts HTTP/2 on servers that speak both, past everything that the proxy would check.',
  // Status line
  'H1-STATUS-LINE': 'A response that does not begin with a status line is the remainder of an earlier one, or no HTTP. Guessing where its body ends would mix answers of different clients.',
  'H1-STATUS-CODE': 'The class of a status decides whether it is final and whether it has a body. A number outside of the five classes has no class.',
  'H1-RESPONSE-UNASKED': 'Bytes behind a complete response would be taken for the answer to the next request on that connection, which may be that of somebody else: response smuggling. The connection is closed and never used again.',
  'H1-SWITCH-UNASKED': 'Behind a 101 the proxy sees no messages any more. A server that switches without an offer, or to something that was not offered, leaves the client and the server with different opinions of who speaks what.',
  'H1-INTERIM-LIMIT': 'There may be any number of 1xx responses before the final one; without a limit a server keeps a client connection and the memory for it busy for ever.',
  // Fields
  'H1-HEAD-LENGTH': 'A head is kept in memory until it is complete. The limit holds while bytes arrive.',
  'H1-FIELD-COUNT': 'Each field costs work in the proxy and in every server behind it; thousands of short ones fit into a head of modest size.',
  'H1-FIELD-COLON': 'A line without colon is dropped by some parsers, and joined to its neighbour by others.',
  'H1-FIELD-NAME': 'What is not a token is trimmed, mapped or cut by some server: "Transfer\\x5fEncoding", "Content-Length\\x00" and friends are disguises of framing fields.',
  'H1-FIELD-NAME-SPACE': 'Some parsers trim the name and take the field, others do not see it. "Transfer-Encoding : chunked" is the classic disguise; RFC 9112 demands that a server refuses it.',
  'H1-FIELD-VALUE': 'Control octets in a value have no meaning in HTTP, but one in logs, terminals, and parsers that treat vertical tab or form feed as white space.',
  'H1-OBS-FOLD': 'Parsers that know line folding see one value, parsers that do not see two lines, the second of which may be a framing field. RFC 9112 lets a server refuse it.',
  'H1-CONNECTION-OPTION': 'Connection tells which fields end here. If a list cannot be read for certain, it is not certain which fields the next server should see.',
  'H1-EXPECT': 'An expectation that nobody knows cannot be met. Disguised forms of 100-continue make a front and a back server disagree about when the body comes.',
  'H1-MAX-FORWARDS': 'A count that cannot be read cannot be decremented; the request would travel without the limit that its sender set.',
  'H1-VIA-LOOP': 'The request has been here before: routes lead in a circle, and one request would use up all connections.',
  'H1-UPGRADE': 'What protocol is spoken after a switch must be beyond doubt; a malformed offer can be read as another one.',
  // Host
  'H1-HOST-MISSING': 'Without Host a server falls back to a default site, which may be another one than the proxy had in mind.',
  'H1-HOST-MULTIPLE': 'The proxy would route by the first and the server by the last: access to sites that the route does not allow, and poisoned caches.',
  'H1-HOST-EMPTY': 'An http URI has a host. An empty one sends each server to another default.',
  'H1-HOST-INVALID': 'A Host with a path, user information or a second port is cut at different places by different parsers.',
  // Framing
  'H1-CL-INVALID': '"+5", "0x5", "5,5" or "5 5" are 5, 0, 55 or an error, depending on who reads the number. The difference becomes the next request: smuggling.',
  'H1-CL-OVERFLOW': 'Numbers beyond what a parser can hold wrap around or saturate; a length of 2^64 + 5 is 5 for some. This is refused long before, at the largest integer that is exact in every language.',
  'H1-CL-REPEATED': 'The first or the last one counts, depending on who reads. RFC 9112 lets a recipient merge equal ones; a sender that repeats the field at all is broken or hostile.',
  'H1-CL-AND-TE': 'Of two servers in a row one counts by Content-Length and the other by chunks: CL.TE and TE.CL, the best known request smuggling. RFC 9112 lets a server drop the length; it is refused here, since no honest client sends both.',
  'H1-TE-HTTP10': 'HTTP/1.0 knows no Transfer-Encoding. A server that ignores it there reads the chunks as requests.',
  'H1-TE-REPEATED': 'Parsers take the first line, the last one, or all of them as a list. With "chunked" in one and something else in the other they end the body at different places.',
  'H1-TE-INVALID': 'A disguised "chunked" ("xchunked", "chunked;a", chunked twice or not last) is chunked for one parser and unknown for another that then counts by Content-Length: TE.TE smuggling.',
  'H1-TE-CODING': 'A coding that the proxy cannot undo cannot be checked, and few servers expect one.',
  'H1-TE-UNALLOWED': 'A 1xx or 204 response ends with its head. Whoever believes the field waits for chunks, or takes the next response for them.',
  // Chunks
  'H1-CHUNK-SIZE': '"0x5", "+5", "5 " or "5_0" are other numbers to lenient number parsers. The difference between two sizes is room for a request.',
  'H1-CHUNK-SIZE-LENGTH': 'Digits without end cost time and hold a connection; long runs of zeros overflow some counters of digits.',
  'H1-CHUNK-SIZE-OVERFLOW': 'A size that does not fit wraps around in some parsers: 10000000000000005 is 5 where 64 bits are kept.',
  'H1-CHUNK-EXTENSION': 'Extensions are the part of a message that nobody reads. Parsers skip them by different rules, and a line end that one of them does not see there moves the start of the data (TERM.EXT, EXT.TERM).',
  'H1-CHUNK-EXTENSION-LENGTH': 'An extension carries no data, so a body of a few bytes could cost megabytes of reading.',
  'H1-CHUNK-END': 'If the two octets behind the data are not checked, the size of a chunk can lie by two, which is enough to move a size line (TERM.SPILL, SPILL.TERM).',
  // Trailers
  'H1-TRAILER-LENGTH': 'Trailers are kept until they are complete, like a head, and need a limit like one.',
  'H1-TRAILER-COUNT': 'Each trailer field costs work, and a trailer section needs no more than a few.',
  'H1-TRAILER-FIELD': 'A recipient that merges trailers into the head would get a framing field, a Host, credentials or a client address from behind the body, after everything was decided.',
  // Ends
  'H1-INCOMPLETE': 'A message whose end did not come must never be taken for a complete one: half of an order is not an order.',
}
