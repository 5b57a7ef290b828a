/**
 * `/logs/…`: the machine's own log files, as they lie below `/var/log`, and lists of its folders.
 */
import { createReadStream, existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

const root = '/var/log';

export async function answerNodeLogs(path: string, response: ServerResponse): Promise<void> {
  const wanted = join(root, join('/', path));
  // A link that leads elsewhere is not followed.
  const isInside = existsSync(wanted) && `${realpathSync(wanted)}/`.startsWith(`${root}/`);
  if (!isInside) {
    response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' });
    response.end('404 page not found\n');
    return;
  }
  if (!statSync(wanted).isDirectory()) {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    await pipeline(createReadStream(wanted), response);
    return;
  }
  const links = readdirSync(wanted, { withFileTypes: true })
    .map((entry) => encodeURI(entry.isDirectory() ? `${entry.name}/` : entry.name))
    .map((name) => `<a href="${name}">${decodeURI(name).replaceAll('<', '&lt;')}</a>`);
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
  response.end(`<pre>\n${links.join('\n')}\n</pre>\n`);
}
