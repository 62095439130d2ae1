// Stands before a running server and serves the page from a folder instead of the one in the binary,
// with the headers the server itself gives the page: a change of the page is then looked at, and tested
// under its content policy, without a build of the binary. Everything else goes through, sockets too.
import { existsSync, readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { connect } from 'node:net';
import { extname, join, normalize } from 'node:path';

const KINDS = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml; charset=utf-8',
  '.woff2': 'font/woff2',
  '.woff': 'font/woff',
};
/** What belongs to the server's own body, and not to ours. */
const OF_THE_BODY = ['content-length', 'content-type', 'content-encoding', 'etag', 'transfer-encoding'];

/** Starts it on a free port; `url` is where it listens. */
export async function front(server, folder) {
  const behind = new URL(server);
  const listener = createServer((asked, answer) => {
    const { pathname } = new URL(asked.url, server);
    // A script gets the rows of a shared query where a browser gets the page.
    const isRead = !pathname.startsWith('/q/') || asked.headers.accept?.includes('text/html');
    const page = isRead ? pageAt(pathname) : undefined;
    const isPart = pathname === '/boot.js' || pathname.startsWith('/assets/');
    const file = join(folder, normalize(page ?? pathname));
    const options = { host: behind.hostname, port: behind.port, path: asked.url, method: asked.method };
    const on = request({ ...options, headers: asked.headers }, (got) => {
      // A map of the SQL folder comes before the page's own, as in the server.
      if (!(page !== undefined || isPart || got.statusCode === 404) || !existsSync(file)) {
        answer.writeHead(got.statusCode, got.headers);
        got.pipe(answer);
        return;
      }
      got.resume();
      for (const name of OF_THE_BODY) delete got.headers[name];
      answer.writeHead(200, { ...got.headers, 'content-type': KINDS[extname(file)] ?? 'application/octet-stream' });
      answer.end(readFileSync(file));
    });
    on.on('error', () => answer.destroy());
    answer.on('close', () => on.destroy());
    asked.pipe(on);
  });
  listener.on('upgrade', (asked, socket, head) => passOn(behind, asked, socket, head));
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address();
  const stop = () => {
    listener.closeAllConnections();
    listener.close();
  };
  return { url: `http://127.0.0.1:${port}`, port, stop };
}

/** The file behind an address that the server answers with a page. */
function pageAt(pathname) {
  if (pathname === '/sql') return 'sql.html';
  if (pathname.startsWith('/q/')) return 'sql.html';
  return pathname === '/' || pathname === '/devices' || pathname.startsWith('/screens/') ? 'index.html' : undefined;
}

/** A socket is passed on as it is, byte for byte. */
function passOn(behind, asked, socket, head) {
  const on = connect(Number(behind.port), behind.hostname, () => {
    const lines = [`${asked.method} ${asked.url} HTTP/1.1`];
    for (let i = 0; i < asked.rawHeaders.length; i += 2) lines.push(`${asked.rawHeaders[i]}: ${asked.rawHeaders[i + 1]}`);
    on.write(`${lines.join('\r\n')}\r\n\r\n`);
    on.write(head);
    on.pipe(socket).pipe(on);
  });
  for (const end of [on, socket]) {
    end.on('error', () => undefined);
    end.on('close', () => {
      on.destroy();
      socket.destroy();
    });
  }
}
