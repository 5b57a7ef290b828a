/** One GET from a component's own port on this machine, each on a connection of its own. */
import { request } from 'node:https';

export interface Asked {
  readonly status: number;
  readonly text: string;
}

/** `tls` as `node:https` takes it (`ca`, `cert`, …); without it, whoever serves is believed. */
export function askHttps(
  port: number,
  path: string,
  { tls = { rejectUnauthorized: false }, token }: { tls?: object; token?: string } = {},
): Promise<Asked> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const options = { host: '127.0.0.1', port, path, agent: false, headers, ...tls };
  return new Promise((resolve, reject) => {
    const sent = request(options, (response) => {
      response.setEncoding('utf8');
      let text = '';
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.once('error', reject);
    sent.end();
  });
}
