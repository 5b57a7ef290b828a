/**
 * Records Events: what a component tells people about an object (`kubectl describe`, `kubectl
 * events`).
 *
 * `record` only notes the event and returns at once; `run` writes what was noted (`event-queue.ts`)
 * and drops what it cannot write. The same event again raises a count instead of making another
 * object; many alike with different texts are combined into one; and an object that causes a flood
 * is silenced for a while (`event-correlation.ts`, with upstream's numbers).
 */
import { isReason } from '#api/errors.ts';
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import { type Clock, formatTime } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import type { Event } from '#resources/types/core-v1.ts';
import type { Client } from './client.ts';
import { EventCorrelation } from './event-correlation.ts';
import { EventQueue } from './event-queue.ts';

export interface EventText {
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, for machines. */
  readonly reason: string;
  readonly message: string;
  /** Which part of the object: `spec.containers{web}`. */
  readonly fieldPath?: string | undefined;
  /** What was being done; for events of `events.k8s.io/v1` (`series-recorder.ts`). */
  readonly action?: string | undefined;
  /** Another object that has to do with it; for those as well. */
  readonly related?: KubeObject | undefined;
}

export interface Recorder {
  /** Never waits and never throws. */
  record(about: KubeObject, text: EventText): void;
  /** Writes what is recorded until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export interface RecorderDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  /** Who speaks: `deployment-controller`, `kubelet`. */
  readonly component: string;
  readonly log?: Logger | undefined;
  /** The machine that the component runs on, where that matters (kubelet). */
  readonly host?: string | undefined;
  /** How long an event rests before it is written (default: not at all). */
  readonly restMs?: number | undefined;
}

export const recorderLimits = {
  /** Events noted and not yet written; more are dropped. */
  queueLengthMax: 1000,
  /** Events about different objects, written at a time. */
  writesMax: 8,
  attemptsMax: 12,
  retryMs: 1000,
  messageLengthMax: 1024,
} as const;

/** The same as the queue of events names them. */
export const queueOptions = {
  lengthMax: recorderLimits.queueLengthMax,
  writesMax: recorderLimits.writesMax,
  attemptsMax: recorderLimits.attemptsMax,
  retryMs: recorderLimits.retryMs,
  restMs: 0,
} as const;

const coreEvents: KindOf<Event> = {
  group: '',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
};

/** Also what is then dropped, or counted only. */
export function logEvent(
  log: Logger | undefined,
  { kind, metadata }: KubeObject,
  { type, reason, message }: EventText,
): void {
  const { namespace, name } = metadata;
  const about = namespace === undefined ? name : `${namespace}/${name}`;
  log?.debug('event', { kind, about, type, reason, message });
}

export function openRecorder(deps: RecorderDeps): Recorder {
  return new QueueingRecorder(deps);
}

class QueueingRecorder implements Recorder {
  readonly #deps: RecorderDeps;
  readonly #correlation: EventCorrelation;
  readonly #queue: EventQueue<Event>;

  constructor(deps: RecorderDeps) {
    this.#deps = deps;
    this.#correlation = new EventCorrelation({ clock: deps.clock });
    this.#queue = new EventQueue<Event>(deps, {
      ...queueOptions,
      restMs: deps.restMs ?? 0,
      objectOf,
      writeOf: (event) => this.#writeOf(event),
    });
  }

  record(about: KubeObject, text: EventText): void {
    logEvent(this.#deps.log, about, text);
    if (!this.#queue.isFull) this.#queue.put(this.#eventOf(about, text));
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#queue.run(signal);
  }

  #writeOf(event: Event): ((signal: AbortSignal) => Promise<void>) | undefined {
    const decision = this.#correlation.decide(event);
    if (decision.do === 'drop') return undefined;
    return async (signal) => {
      const written = await this.#send(decision, signal);
      this.#correlation.written(decision, written);
    };
  }

  async #send(
    decision: Exclude<ReturnType<EventCorrelation['decide']>, { readonly do: 'drop' }>,
    signal: AbortSignal,
  ): Promise<Event> {
    const { client } = this.#deps;
    const { event } = decision;
    if (decision.do === 'create') return client.create(coreEvents, event, { signal });
    const { count, lastTimestamp, message } = event;
    const { namespace, name = '' } = event.metadata;
    try {
      const patch = { count, lastTimestamp, message };
      return await client.patch(coreEvents, { namespace, name }, patch, { type: 'merge', signal });
    } catch (error) {
      // It has outlived its time: begin again under a new name.
      if (!isReason(error, 'NotFound')) throw error;
      const metadata = {
        namespace,
        name: eventName(this.#deps.random, event.involvedObject.name ?? ''),
      };
      return client.create(coreEvents, { ...event, metadata }, { signal });
    }
  }

  #eventOf(about: KubeObject, text: EventText): Event {
    const { namespace = '', name = '', uid, resourceVersion } = about.metadata;
    const now = formatTime(this.#deps.clock.now());
    const { component, host } = this.#deps;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      // Events about what has no namespace are kept in `default`.
      metadata: { namespace: namespace || 'default', name: eventName(this.#deps.random, name) },
      involvedObject: {
        apiVersion: about.apiVersion,
        kind: about.kind,
        ...(namespace === '' ? {} : { namespace }),
        name,
        uid,
        resourceVersion,
        fieldPath: text.fieldPath,
      },
      type: text.type,
      reason: text.reason,
      message: text.message.slice(0, recorderLimits.messageLengthMax),
      source: { component, host },
      reportingComponent: component,
      reportingInstance: host ?? '',
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    };
  }
}

/** `web-1.186f1e0a3b5c7d9f`: the object's name and 16 hexadecimal digits that never repeat. */
export function eventName(random: Random, name: string): string {
  const bytes = random.bytes(8);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${name.slice(0, 236)}.${hex}`;
}

function objectOf({ involvedObject: { kind, namespace, name, uid } }: Event): string {
  return [kind, namespace, name, uid].join(' ');
}
