/**
 * `coracle why pod/NAME`: why a pod is pending, node by node and rule by rule, and the smallest
 * change that would let it run. Asks the API server for a `PlacementReview`, which asks the rules
 * of the scheduler itself; works with any kubeconfig of a cluster of this program.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { openHttpTransport } from '#client';
import type { Explanation } from '#scheduling';
import { readAccess } from '../credentials/kubeconfig-access.ts';
import { ConfigError } from '../settings/config.ts';

export interface WhyFlags {
  readonly namespace?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly output?: string;
}

/** As the API server answers it. */
export type Placement = Omit<Explanation, 'state' | 'smallestChange'> & {
  readonly state: string;
  readonly smallestChange?: NonNullable<Explanation['smallestChange']>;
};

export async function why(
  target: string,
  flags: WhyFlags,
  environment: { readonly kubeconfig: string | undefined },
): Promise<string> {
  const name = podName(target);
  const { namespace = 'default', output = 'text' } = flags;
  if (output !== 'text' && output !== 'json') {
    throw new ConfigError(`--output ${output}: must be text or json`);
  }
  const file = flags.kubeconfig ?? environment.kubeconfig?.split(':')[0];
  const access = readAccess(file ?? join(homedir(), '.kube/config'), flags.context);
  using transport = openHttpTransport(access);
  const space = encodeURIComponent(namespace);
  const path = `/apis/scheduling.coracle.dev/v1/namespaces/${space}/placementreviews`;
  const review = {
    apiVersion: 'scheduling.coracle.dev/v1',
    kind: 'PlacementReview',
    spec: { pod: name },
  };
  const { signal } = new AbortController();
  const headers = { 'content-type': 'application/json', accept: 'application/json' };
  const body = new TextEncoder().encode(JSON.stringify(review));
  const answer = await transport.send({ method: 'POST', path, headers, body }, { signal });
  const parts: Uint8Array[] = [];
  if (answer.body instanceof Uint8Array) parts.push(answer.body);
  else for await (const part of answer.body) parts.push(part);
  // The server answers a review with itself, or with a Status.
  const value = JSON.parse(Buffer.concat(parts).toString('utf8')) as {
    readonly message?: string;
    readonly status: Placement;
  };
  if (answer.status !== 201) throw new Error(value.message ?? `the server said ${answer.status}`);
  if (output === 'json') return JSON.stringify(value.status, undefined, 2);
  return formatPlacement(`${namespace}/${name}`, value.status);
}

/** `pod/web`, `pods/web` or `web`. */
function podName(target: string): string {
  const [kind, name] = target.includes('/') ? target.split('/') : ['pod', target];
  if (!['pod', 'pods', 'po'].includes(kind ?? '') || !name) {
    throw new ConfigError(`${target}: must name a pod, as pod/web`);
  }
  return name;
}

export function formatPlacement(key: string, placement: Placement): string {
  const { state, message, nodes, smallestChange } = placement;
  const words: Readonly<Record<string, string>> = {
    Scheduled: 'has its node',
    Held: 'is held back',
    Fits: 'is about to be placed',
    Unschedulable: 'is pending',
  };
  const lines = [`pod ${key} ${words[state] ?? 'waits'}: ${message}`];
  if (smallestChange !== undefined) {
    const changes = smallestChange.changes.join(', and ');
    lines.push(`would fit on ${smallestChange.node} with: ${changes}`);
  }
  if (nodes.length === 0) return lines.join('\n');
  const rows = nodes.flatMap(({ name, objections }) =>
    objections.length === 0
      ? [[name, '', 'fits', '']]
      : objections.map(({ plugin, reasons, remedies }, index) => [
          index === 0 ? name : '',
          plugin,
          reasons.join(', '),
          remedies.join(', and '),
        ]),
  );
  const table = [['NODE', 'RULE', 'WHY NOT', 'WOULD HELP'], ...rows];
  const widths = [0, 1, 2].map((column) =>
    Math.max(...table.map((row) => (row[column] ?? '').length)),
  );
  const text = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('   ')
      .trimEnd(),
  );
  return [...lines, '', ...text].join('\n');
}
