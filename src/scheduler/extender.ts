/**
 * An extender: a program outside that has a say over HTTP. It may take nodes away (`filter`), give
 * points (`prioritize`), choose other victims (`preempt`) and bind the pods itself (`bind`).
 *
 * Bodies are those of upstream's `extender/v1`; their names begin with capitals, and answers are
 * read in either spelling. An extender that may be ignored does no harm by failing.
 */
import type { Cancel } from '#client';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import type { Cluster, NodeInfo, PodFacts, Victims } from '#scheduling';
import type { ExtenderOptions } from './configuration/extender-options.ts';

/** Sends a body as JSON and gives the parsed answer; throws where there is none. */
export type Post = (
  extender: ExtenderOptions,
  verb: string,
  body: unknown,
  options: { readonly signal: AbortSignal },
) => Promise<unknown>;

export interface Sifted {
  readonly nodes: readonly NodeInfo[];
  /** Node → why not. */
  readonly failed: ReadonlyMap<string, string>;
  /** The same, where removing pods would not help. */
  readonly unresolvable: ReadonlyMap<string, string>;
}

/** The most that an extender gives to a node. */
const pointsMax = 10;

export class Extender {
  readonly options: ExtenderOptions;
  readonly #post: Post;

  constructor(options: ExtenderOptions, post: Post) {
    this.options = options;
    this.#post = post;
  }

  get filters(): boolean {
    return this.options.filterVerb !== '';
  }

  get scores(): boolean {
    return this.options.prioritizeVerb !== '';
  }

  get preempts(): boolean {
    return this.options.preemptVerb !== '';
  }

  get binds(): boolean {
    return this.options.bindVerb !== '';
  }

  isInterested({ spec }: Pod): boolean {
    const { managedResources } = this.options;
    if (managedResources.length === 0) return true;
    return [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].some(({ resources }) =>
      managedResources.some(
        (name) =>
          resources?.requests?.[name] !== undefined || resources?.limits?.[name] !== undefined,
      ),
    );
  }

  async filter(pod: Pod, nodes: readonly NodeInfo[], options: Cancel): Promise<Sifted> {
    const { filterVerb } = this.options;
    const body = { Pod: pod, ...this.#nodesIn(nodes) };
    const answer = fields(await this.#post(this.options, filterVerb, body, options));
    const error = answer.get('error');
    if (typeof error === 'string' && error !== '') throw new Error(error);
    const kept = keptNames(answer);
    return {
      nodes: kept === undefined ? nodes : nodes.filter(({ name }) => kept.has(name)),
      failed: textMap(answer.get('failednodes')),
      unresolvable: textMap(answer.get('failedandunresolvablenodes')),
    };
  }

  /** Node → points, in the scheduler's own measure. */
  async prioritize(
    pod: Pod,
    nodes: readonly NodeInfo[],
    options: Cancel,
  ): Promise<ReadonlyMap<string, number>> {
    const { prioritizeVerb, weight } = this.options;
    const body = { Pod: pod, ...this.#nodesIn(nodes) };
    const answer = await this.#post(this.options, prioritizeVerb, body, options);
    const points = new Map<string, number>();
    for (const one of Array.isArray(answer) ? answer : []) {
      const entry = fields(one);
      const [host, score] = [entry.get('host'), entry.get('score')];
      if (typeof host !== 'string' || typeof score !== 'number') continue;
      points.set(host, score * weight * (100 / pointsMax));
    }
    return points;
  }

  /** The candidates that it leaves, with the victims that it chose. */
  async preempt(
    pod: Pod,
    candidates: readonly Victims[],
    cluster: Cluster,
    options: Cancel,
  ): Promise<readonly Victims[]> {
    const { preemptVerb, nodeCacheCapable } = this.options;
    const byNode = Object.fromEntries(
      candidates.map(({ node, pods, budgetsBroken }) => {
        const listed = nodeCacheCapable
          ? pods.map(({ uid }) => ({ UID: uid }))
          : pods.map((victim) => victim.pod);
        return [node.name, { Pods: listed, NumPDBViolations: budgetsBroken }];
      }),
    );
    const name = nodeCacheCapable ? 'NodeNameToMetaVictims' : 'NodeNameToVictims';
    const body = { Pod: pod, [name]: byNode };
    const answer = fields(await this.#post(this.options, preemptVerb, body, options));
    const left = answer.get('nodenametometavictims');
    if (typeof left !== 'object' || left === null) return [];
    return Object.entries(left).flatMap(([nodeName, meta]) => victimsOf(nodeName, meta, cluster));
  }

  async bind(pod: Pod, nodeName: string, options: Cancel): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    const body = { PodName: name, PodNamespace: namespace, PodUID: uid, Node: nodeName };
    const answer = fields(await this.#post(this.options, this.options.bindVerb, body, options));
    const error = answer.get('error');
    if (typeof error === 'string' && error !== '') throw new Error(error);
  }

  #nodesIn(nodes: readonly NodeInfo[]): Readonly<Record<string, unknown>> {
    if (this.options.nodeCacheCapable) return { NodeNames: nodes.map(({ name }) => name) };
    const items = nodes.flatMap(({ node }): readonly Node[] => (node === undefined ? [] : [node]));
    return { Nodes: { apiVersion: 'v1', kind: 'NodeList', metadata: {}, items } };
  }
}

/** The fields of an answer by their names in small letters. */
function fields(value: unknown): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null) return new Map();
  return new Map(Object.entries(value).map(([name, inner]) => [name.toLowerCase(), inner]));
}

function keptNames(answer: ReadonlyMap<string, unknown>): ReadonlySet<string> | undefined {
  const names = answer.get('nodenames');
  if (Array.isArray(names)) return new Set(names.map(String));
  const list = fields(answer.get('nodes')).get('items');
  if (!Array.isArray(list)) return undefined;
  return new Set(
    list.map((node) => String(fields(fields(node).get('metadata')).get('name') ?? '')),
  );
}

function textMap(value: unknown): ReadonlyMap<string, string> {
  if (typeof value !== 'object' || value === null) return new Map();
  return new Map(Object.entries(value).map(([name, text]) => [name, String(text)]));
}

function victimsOf(nodeName: string, meta: unknown, cluster: Cluster): readonly Victims[] {
  const node = cluster.get(nodeName);
  const entry = fields(meta);
  const listed = entry.get('pods');
  if (node === undefined || !Array.isArray(listed)) return [];
  const pods = listed.flatMap((one): readonly PodFacts[] => {
    const pod = node.pods.get(String(fields(one).get('uid') ?? ''));
    return pod === undefined ? [] : [pod];
  });
  const broken = entry.get('numpdbviolations');
  return [{ node, pods, budgetsBroken: typeof broken === 'number' ? broken : 0 }];
}
