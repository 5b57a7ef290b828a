/**
 * Carries an extender's requests: JSON over HTTP or HTTPS, each within its own time limit.
 * Connections are kept. Loaded only where a configuration names extenders.
 */
import { readFileSync } from 'node:fs';
import { openHttpTransport } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { PlainResponse, Transport } from '#kit/transport.ts';
import type { ExtenderOptions, ExtenderTls, Pem } from './configuration/extender-options.ts';
import type { Post } from './extender.ts';

export const limits = {
  /** Of an extender's answer. */
  answerBytesMax: 64 * 1024 * 1024,
} as const;

export function openExtenderPost(deps: { readonly clock: Clock }): Post {
  const transports = new Map<ExtenderOptions, Transport>();
  return async (extender, verb, body, { signal }) => {
    const url = new URL(`${extender.urlPrefix.replace(/\/$/, '')}/${verb}`);
    const transport = transports.get(extender) ?? openTransport(url.origin, extender.tls);
    transports.set(extender, transport);
    const deadline = new AbortController();
    const cancel = deps.clock.after(extender.timeoutMs, () =>
      deadline.abort(new Error(`${url}: no answer within ${extender.timeoutMs} ms`)),
    );
    try {
      const request = {
        method: 'POST',
        path: url.pathname + url.search,
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: new TextEncoder().encode(JSON.stringify(body)),
      };
      const both = AbortSignal.any([signal, deadline.signal]);
      const answer = await transport.send(request, { signal: both });
      const text = await readText(answer);
      if (answer.status !== 200) {
        throw new Error(`failed ${verb} with extender at URL ${url}, code ${answer.status}`);
      }
      return JSON.parse(text);
    } finally {
      cancel();
    }
  };
}

function openTransport(server: string, tls: ExtenderTls): Transport {
  const { insecure, serverName } = tls;
  const [ca, cert, key] = [textOf(tls.ca), textOf(tls.cert), textOf(tls.key)];
  return openHttpTransport({ server, ca, cert, key, serverName, insecure });
}

function textOf(pem: Pem | undefined): string | undefined {
  if (pem === undefined) return undefined;
  return 'file' in pem ? readFileSync(pem.file, 'utf8') : pem.text;
}

async function readText({ body }: PlainResponse): Promise<string> {
  if (body instanceof Uint8Array) return Buffer.from(body).toString('utf8');
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.byteLength;
    if (bytes > limits.answerBytesMax) throw new Error('the answer of an extender is too long');
  }
  return Buffer.concat(chunks).toString('utf8');
}
