/**
 * How a node finds out that a server is the one of its token, and what it gets from it: the
 * authority of the cluster, then a certificate of its own for the token.
 *
 * The server is first asked without believing it, for the public ConfigMap `cluster-info`; the
 * signature by the token, and the hash in the join token, say whether the authority in it is right.
 * From then on the connection is verified. Called by `agent.ts`.
 */
import { isReason } from '#api/errors.ts';
import { type Client, openClient, openHttpTransport } from '#client';
import type { Clock } from '#kit/clock.ts';
import { isSignatureOf } from '#kit/detached-signature.ts';
import { messageOf } from '#kit/error-message.ts';
import type { Logger } from '#kit/log.ts';
import { parseYaml } from '#kit/yaml.ts';
import { configMaps } from '#resources/kinds.ts';
import type { ConfigMap } from '#resources/types/core-v1.ts';
import { clusterInfo } from '../control-plane/cluster-facts.ts';
import { hashOfCA, type JoinToken } from '../credentials/join-token.ts';
import { ConfigError } from '../settings/config.ts';

const limits = { retryMs: 500, attempts: 60, answerMs: 10_000 } as const;

type Deps = { readonly clock: Clock; readonly log: Logger };

/** PEM of the authority; waits for a server that is not there yet, refuses one that is wrong. */
export async function discoverCluster(
  deps: Deps,
  options: { readonly server: string; readonly token: JoinToken; readonly signal: AbortSignal },
): Promise<string> {
  const { server, token, signal } = options;
  using transport = openHttpTransport({ server, insecure: true });
  const client = openClient({ transport, clock: deps.clock, userAgent: 'coracle-agent' });
  for (let attempt = 1; ; attempt++) {
    const found = await readInfo(deps, client, signal);
    const reading = 'map' in found ? readClusterInfo(found.map, token) : { later: found.problem };
    if ('ca' in reading) return reading.ca;
    if ('refused' in reading) throw new ConfigError(`${server}: ${reading.refused}`);
    if (attempt === limits.attempts) throw new ConfigError(`${server}: ${reading.later}`);
    if (attempt === 1) deps.log.info('waiting for the cluster', { server, why: reading.later });
    await deps.clock.sleep(limits.retryMs, { signal });
  }
}

async function readInfo(
  { clock }: Deps,
  client: Client,
  signal: AbortSignal,
): Promise<{ readonly map: ConfigMap } | { readonly problem: string }> {
  const late = new AbortController();
  const cancel = clock.after(limits.answerMs, () => late.abort(new Error('no answer in time')));
  try {
    const within = AbortSignal.any([signal, late.signal]);
    return { map: await client.get(configMaps, clusterInfo, { signal: within }) };
  } catch (error) {
    signal.throwIfAborted();
    if (isReason(error, 'Forbidden')) return { problem: 'it does not say who it is' };
    return { problem: messageOf(error) };
  } finally {
    cancel();
  }
}

export type InfoReading =
  | { readonly ca: string }
  | { readonly refused: string }
  /** It may become right: the signature is written shortly after the token. */
  | { readonly later: string };

/** Whether the ConfigMap vouches for an authority with this token. Pure. */
export function readClusterInfo({ data = {} }: ConfigMap, token: JoinToken): InfoReading {
  const { kubeconfig } = data;
  if (kubeconfig === undefined) return { later: 'it does not say who it is' };
  const signature = data[`jws-kubeconfig-${token.id}`];
  if (signature === undefined) {
    return { later: `token id "${token.id}" is invalid for this cluster or it has expired` };
  }
  if (!isSignatureOf(signature, kubeconfig, token)) {
    return { refused: 'its description is not signed with this token' };
  }
  const ca = authorityIn(kubeconfig);
  if (ca === undefined) return { refused: 'its description names no authority' };
  const { caHash } = token;
  if (caHash !== undefined && hashOfCA(ca) !== caHash) {
    return { refused: 'its authority is not the one that the token names' };
  }
  return { ca };
}

function authorityIn(kubeconfig: string): string | undefined {
  // Parse boundary: the text is signed, but may say anything.
  const parsed = parseYaml(kubeconfig) as {
    readonly clusters?: readonly {
      readonly cluster?: { readonly 'certificate-authority-data'?: unknown };
    }[];
  } | null;
  const data = parsed?.clusters?.[0]?.cluster?.['certificate-authority-data'];
  return typeof data === 'string' ? Buffer.from(data, 'base64').toString('utf8') : undefined;
}
