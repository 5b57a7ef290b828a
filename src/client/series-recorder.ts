/**
 * Records Events of `events.k8s.io/v1`, as upstream's scheduler does: what happens again to the
 * same object, for the same reason, becomes a series of one event instead of more events.
 *
 * The first is created; the second makes it a series of two, by a patch. From then on it is only
 * counted here, and the count is written when nothing has come for six minutes, and every half hour
 * so that the event is not forgotten meanwhile. The text is that of the first. Nothing is silenced.
 *
 * Example: a pod that fits nowhere is tried every few minutes: `FailedScheduling` with `series:
 * {count: 2}`, and an hour later `{count: 13}`. `recorder.ts` is the older kind.
 */
import { isReason } from '#api/errors.ts';
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import { formatMicroTime } from '#kit/clock.ts';
import type { ObjectReference } from '#resources/types/core-v1.ts';
import type { Event, EventSeries } from '#resources/types/events-v1.ts';
import { EventQueue } from './event-queue.ts';
import {
  type EventText,
  eventName,
  logEvent,
  queueOptions,
  type Recorder,
  type RecorderDeps,
  recorderLimits,
} from './recorder.ts';

export const seriesLimits = {
  /** Written at a time: what is told comes after what is done. */
  writesMax: 2,
  /** Events that are remembered; the least recently seen is forgotten. */
  keysMax: 4096,
  /** A series ends when nothing has come for so long. */
  finishMs: 6 * 60 * 1000,
  /** How often the count of a series that goes on is written. */
  refreshMs: 30 * 60 * 1000,
} as const;

const newEvents: KindOf<Event> = {
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
};

interface Known {
  readonly event: Event;
  series: EventSeries | undefined;
  seenMs: number;
  writtenMs: number;
}

export function openSeriesRecorder(deps: RecorderDeps): Recorder {
  return new SeriesRecorder(deps);
}

class SeriesRecorder implements Recorder {
  readonly #deps: RecorderDeps;
  readonly #known = new Map<string, Known>();
  readonly #queue: EventQueue<Event>;

  constructor(deps: RecorderDeps) {
    this.#deps = deps;
    this.#queue = new EventQueue<Event>(deps, {
      ...queueOptions,
      writesMax: seriesLimits.writesMax,
      objectOf: ({ regarding }) => JSON.stringify(regarding),
      writeOf: (event) => (signal) => this.#send(event, signal),
    });
  }

  record(about: KubeObject, text: EventText): void {
    logEvent(this.#deps.log, about, text);
    if (this.#queue.isFull) return;
    const nowMs = this.#deps.clock.monotonic();
    const event = this.#eventOf(about, text);
    const key = keyOf(event);
    const known = this.#known.get(key);
    if (known === undefined) {
      this.#remember(key, { event, series: undefined, seenMs: nowMs, writtenMs: nowMs });
      this.#queue.put(event);
      return;
    }
    const isSecond = known.series === undefined;
    known.series = { count: (known.series?.count ?? 1) + 1, lastObservedTime: event.eventTime };
    known.seenMs = nowMs;
    this.#remember(key, known);
    if (isSecond) this.#queue.put({ ...known.event, series: known.series });
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#queue.run(signal), this.#lookNowAndThen(signal)]);
  }

  async #lookNowAndThen(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    for (;;) {
      await clock.sleep(seriesLimits.finishMs, { signal });
      this.#look(clock.monotonic());
    }
  }

  /** Ends what has not come again, and writes the counts of what goes on. */
  #look(nowMs: number): void {
    const { finishMs, refreshMs } = seriesLimits;
    for (const [key, known] of this.#known) {
      const { event, series } = known;
      const isOver = nowMs - known.seenMs > finishMs;
      if (isOver) this.#known.delete(key);
      if (series === undefined || (!isOver && nowMs - known.writtenMs < refreshMs)) continue;
      known.writtenMs = nowMs;
      this.#queue.put({ ...event, series });
    }
  }

  #remember(key: string, known: Known): void {
    this.#known.delete(key);
    this.#known.set(key, known);
    if (this.#known.size <= seriesLimits.keysMax) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      return;
    }
  }

  async #send(event: Event, signal: AbortSignal): Promise<void> {
    const { client } = this.#deps;
    const { series } = event;
    const { namespace, name = '' } = event.metadata;
    if (series !== undefined) {
      try {
        const options = { type: 'merge', signal } as const;
        await client.patch(newEvents, { namespace, name }, { series }, options);
        return;
      } catch (error) {
        // It has outlived its time, or was never written: begin again, with the count so far.
        if (!isReason(error, 'NotFound')) throw error;
      }
    }
    await client.create(newEvents, event, { signal });
  }

  #eventOf(
    about: KubeObject,
    { type, reason, message, action, related, fieldPath }: EventText,
  ): Event {
    const { clock, random, component, host } = this.#deps;
    const { namespace = '', name = '' } = about.metadata;
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      // Events about what has no namespace are kept in `default`.
      metadata: { namespace: namespace || 'default', name: eventName(random, name) },
      eventTime: formatMicroTime(clock.now()),
      reportingController: component,
      reportingInstance: host === undefined ? component : `${component}-${host}`,
      action: action ?? reason,
      reason,
      regarding: { ...referenceTo(about), fieldPath },
      ...(related === undefined ? {} : { related: referenceTo(related) }),
      note: message.slice(0, recorderLimits.messageLengthMax),
      type,
    };
  }
}

/** The text is no part of it: another text is told by the count alone. */
function keyOf({ type, action, reason, regarding, related }: Event): string {
  return JSON.stringify([type, action, reason, regarding, related]);
}

function referenceTo({ apiVersion, kind, metadata }: KubeObject): ObjectReference {
  const { namespace, name, uid, resourceVersion } = metadata;
  return { apiVersion, kind, ...(namespace && { namespace }), name, uid, resourceVersion };
}
