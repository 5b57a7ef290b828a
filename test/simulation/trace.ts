/**
 * What can be seen of a simulated cluster, as events and as text: one line per event with virtual
 * time. The text is what a person reads, and its SHA-256 is how two runs are compared: revisions
 * are part of the lines, so a write more or less anywhere changes everything after it.
 */
import { createHash, type Hash } from 'node:crypto';
import type { KubeObject } from '#api/object.ts';
import type { Deployment, ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Node, Pod, ResourceQuota } from '#resources/types/core-v1.ts';
import { isNodeReady, isPodReady } from './states.ts';

export type WorldEvent =
  /** Committed by the store. Of a delete, `object` is what was there last. */
  | {
      readonly what: 'put' | 'delete';
      readonly object: KubeObject;
      readonly revision: number;
      /** What was there before, of what the truth keeps. */
      readonly before?: KubeObject | undefined;
    }
  /** A node began or ended running a pod. */
  | {
      readonly what: 'podStarted' | 'podStopped';
      readonly uid: string;
      readonly node: string;
    }
  | { readonly what: 'nodeDown' | 'nodeUp'; readonly node: string }
  /** Something went wrong that components may rightly notice: a request, a component, a disk. */
  | Disturbance
  /** The user takes the finalizer off that only the user knows. */
  | { readonly what: 'released'; readonly namespace: string; readonly name: string }
  /** A copy of a component that only one copy may be sends a write. */
  | { readonly what: 'acted'; readonly copy: string; readonly request: string }
  /** A client of the registers was answered. */
  | Answered
  /** A watch that nothing disturbs delivered this. */
  | {
      readonly what: 'watched';
      readonly kind: string;
      /** `LISTED` and how many, or the type of the event. */
      readonly did: string;
      readonly revision: number;
    }
  /** The user, the simulator and its faults. */
  | { readonly what: 'note'; readonly text: string };

export interface Disturbance {
  readonly what: 'disturbed';
  /** Of a request, the fault; else what it is that happens. */
  readonly by: string;
  readonly component: string;
  readonly method?: string | undefined;
  readonly path?: string | undefined;
}

export interface Answered {
  readonly what: 'answered';
  readonly did: 'read' | 'create' | 'update' | 'delete' | 'list';
  readonly startMs: number;
  readonly name: string;
  /** Of the object answered; undefined: there is none. */
  readonly revision: number | undefined;
  readonly value: string | undefined;
  /** What the write was to replace; undefined: nothing. */
  readonly expected?: number | undefined;
  readonly listed?:
    | { readonly revision: number; readonly shown: ReadonlyMap<string, string> }
    | undefined;
}

export class Trace {
  readonly #hash: Hash = createHash('sha256');
  readonly #lines: string[] = [];

  add(line: string): void {
    this.#hash.update(`${line}\n`);
    this.#lines.push(line);
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  digest(): string {
    return this.#hash.copy().digest('hex');
  }
}

/** Undefined: not worth a line (Leases are renewed all the time, and revisions show it). */
export function describe(event: WorldEvent): string | undefined {
  switch (event.what) {
    case 'note':
      return event.text;
    case 'disturbed':
    case 'acted':
    case 'watched':
      // The fault itself has its line; the rest follows from what is printed.
      return undefined;
    case 'released':
      return `released ${event.namespace}/${event.name}`;
    case 'answered':
      return `answered ${event.did} ${event.name} ${event.revision ?? event.listed?.revision}`;
    case 'nodeDown':
    case 'nodeUp':
      return `${event.what} ${event.node}`;
    case 'podStarted':
    case 'podStopped':
      return `${event.what} ${event.uid.slice(0, 8)} on ${event.node}`;
    case 'put':
    case 'delete': {
      const { kind, metadata } = event.object;
      if (kind === 'Lease') return undefined;
      const name = metadata.namespace ? `${metadata.namespace}/${metadata.name}` : metadata.name;
      const facts = factsOf(event.object);
      return `${event.what} ${kind} ${name} @${event.revision}${facts === '' ? '' : ` ${facts}`}`;
    }
    default:
      return event satisfies never;
  }
}

/** Whole milliseconds as seconds: `   12.345`. */
export function formatSeconds(ms: number): string {
  return (ms / 1000).toFixed(3).padStart(9);
}

function factsOf(object: KubeObject): string {
  // What the store holds has been validated: the kind says the type.
  switch (object.kind) {
    case 'Pod':
      return podText(object as Pod);
    case 'Node':
      return nodeText(object as Node);
    case 'Deployment':
    case 'ReplicaSet':
      return replicasText(object as Deployment | ReplicaSet);
    case 'ResourceQuota':
      return quotaText(object as ResourceQuota);
    case 'Event':
      return eventText(object);
    default:
      return '';
  }
}

function podText(pod: Pod): string {
  const parts = [
    pod.metadata.uid?.slice(0, 8),
    pod.status?.phase,
    isPodReady(pod) ? 'ready' : '',
    pod.spec?.nodeName ? `on ${pod.spec.nodeName}` : '',
    pod.metadata.deletionTimestamp === undefined ? '' : 'terminating',
  ];
  return parts.filter(Boolean).join(' ');
}

function nodeText(node: Node): string {
  const taints = (node.spec?.taints ?? []).map(({ key, effect }) => `${key}:${effect}`);
  return [isNodeReady(node) ? 'ready' : 'notReady', ...taints].join(' ');
}

function replicasText({ metadata, spec, status }: Deployment | ReplicaSet): string {
  const { replicas = 0, readyReplicas = 0, availableReplicas = 0 } = status ?? {};
  const seen = `generation ${status?.observedGeneration ?? 0}/${metadata.generation}`;
  const counts = `${replicas} made, ${readyReplicas} ready, ${availableReplicas} available`;
  return `wants ${spec?.replicas}: ${counts}, ${seen}`;
}

function quotaText({ spec, status }: ResourceQuota): string {
  const { hard = {}, used = {} } = status ?? {};
  return `allows ${spec?.hard?.['pods']} pods: ${used['pods']} of ${hard['pods']} used`;
}

function eventText(object: KubeObject): string {
  // Core Events have a message, those of events.k8s.io a note; stored is one of the two shapes.
  const { reason, message, note } = object as KubeObject & Record<string, unknown>;
  return `${reason}: ${message ?? note}`;
}
