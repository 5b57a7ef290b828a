/**
 * Plays scenarios against a server: over a transport, one scenario after another or some at a
 * time, and gives the normalised answer of each request. Next: `compare.ts`.
 */
import type { PlainRequest, PlainResponse, Transport } from '#kit/transport.ts';
import { normalize } from './normalize.ts';
import type { ParityAnswer, ParityRequest, Recorded, Scenario } from './request.ts';

const largeText = 'x'.repeat(262_145);

/** Last object that a scenario was shown. */
interface Seen {
  uid: string;
  revision: string;
}

export async function play(
  { transport }: { readonly transport: Transport },
  scenarios: readonly Scenario[],
  { atOnce, signal }: { readonly atOnce: number; readonly signal: AbortSignal },
): Promise<readonly Recorded[]> {
  const results: (readonly Recorded[])[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (;;) {
      const index = next++;
      const scenario = scenarios[index];
      if (scenario === undefined) return;
      results[index] = await playOne({ transport }, scenario, signal);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results.flat();
}

async function playOne(
  { transport }: { readonly transport: Transport },
  { kind, name, requests }: Scenario,
  signal: AbortSignal,
): Promise<readonly Recorded[]> {
  const seen: Seen = { uid: '', revision: '' };
  const recorded: Recorded[] = [];
  for (const request of requests) {
    const answer = await ask({ transport }, request, seen, signal);
    recorded.push({ kind, scenario: name, request, answer });
  }
  return recorded;
}

async function ask(
  { transport }: { readonly transport: Transport },
  request: ParityRequest,
  seen: Seen,
  signal: AbortSignal,
): Promise<ParityAnswer> {
  const sent = plain(request, seen);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(20_000)]);
  const response = await sendTwice({ transport }, sent, limit);
  if (response === undefined) return { code: 0, warnings: [], body: null };
  const parts: Uint8Array[] = [];
  if (response.body instanceof Uint8Array) parts.push(response.body);
  else for await (const part of response.body) parts.push(part);
  const text = Buffer.concat(parts).toString('utf8');
  const body = parse(text);
  remember(body, request, seen);
  const warnings = warningsOf(response.headers['warning'] ?? '');
  // Some texts depend on what was sent, placeholders filled in.
  const said = sent.path + Buffer.from(sent.body ?? new Uint8Array()).toString('utf8');
  return { code: response.status, warnings, body: normalize(body, said) };
}

/** Undefined where the server breaks off: upstream's does so when it meets a fault of its own. */
async function sendTwice(
  { transport }: { readonly transport: Transport },
  sent: PlainRequest,
  signal: AbortSignal,
): Promise<PlainResponse | undefined> {
  for (let attempt = 1; attempt <= 2; attempt++) {
    try {
      return await transport.send(sent, { signal });
    } catch (error) {
      signal.throwIfAborted();
      const { cause } = error as { readonly cause?: { readonly code?: string } };
      if (cause?.code !== 'ECONNRESET') throw error;
    }
  }
  return undefined;
}

function plain(request: ParityRequest, seen: Seen): PlainRequest {
  const { method, path, type, accept, body } = request;
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  const filled = text
    ?.replaceAll('$UID', seen.uid)
    .replaceAll('$RV', seen.revision)
    .replaceAll('$LARGE', largeText);
  return {
    method,
    path: path.replaceAll('$UID', seen.uid).replaceAll('$RV', seen.revision),
    headers: {
      'user-agent': 'parity/1',
      accept: accept ?? 'application/json',
      ...(text === undefined ? {} : { 'content-type': type ?? 'application/json' }),
    },
    ...(filled === undefined ? {} : { body: Buffer.from(filled) }),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return text;
  }
}

/** Takes note of objects, not of dry runs, lists and Statuses. */
function remember(body: unknown, { path }: ParityRequest, seen: Seen): void {
  if (path.includes('dryRun=') || typeof body !== 'object' || body === null) return;
  const { metadata } = body as { readonly metadata?: { uid?: unknown; resourceVersion?: unknown } };
  if (typeof metadata?.uid !== 'string' || typeof metadata.resourceVersion !== 'string') return;
  seen.uid = metadata.uid;
  seen.revision = metadata.resourceVersion;
}

/** `299 - "text", 299 - "text"` → texts. */
function warningsOf(header: string): readonly string[] {
  return [...header.matchAll(/299 (?:-|\S+) "((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) =>
    text.replaceAll('\\"', '"'),
  );
}
