/**
 * One change of one object, on its way to the watchers.
 *
 * Decoding and encoding happen at most once, when the first watcher needs them: all watchers of the
 * same version and form share the bytes. Made by `watch-hub.ts`, read by its watchers.
 */
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import { assert } from '#kit/assert.ts';
import type { StoreEvent } from '#store';
import { decodeEntry, decodeStored, parseKey } from '../registry.ts';

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED';

/** Writes objects of one view in one form (object, Table, metadata only). */
export interface EventEncoder {
  /** Equal keys mean equal bytes. */
  readonly key: string;
  encode(type: WatchEventType, value: Uint8Array, revision: number): Uint8Array;
}

export interface Bookmark {
  readonly initialEventsEnd: boolean;
  /** Nothing was sent before it. */
  readonly isFirst: boolean;
}

/** What a watch writes: events, how far it has come, and what went wrong. */
export interface WatchFrames {
  /** Of Tables only the first that a client reads has the columns. */
  encoder(isFirst: boolean): EventEncoder;
  readonly contentType: string;
  /**
   * Tells the client how far it has seen everything; the last one of the initial state says so.
   */
  bookmark(revision: number, mark: Bookmark): Uint8Array;
  /** The last frame of a watch that failed. */
  error(status: object): Uint8Array;
}

export class HubEvent {
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
  readonly source: StoreEvent;
  #next: KubeObject | undefined;
  #previous: KubeObject | undefined;
  #encoded: Map<string, Uint8Array> | undefined;

  constructor(resource: Resource, source: StoreEvent) {
    const at = parseKey(resource, source.key);
    this.resource = resource;
    this.namespace = at.namespace;
    this.name = at.name;
    this.source = source;
  }

  get revision(): number {
    return this.source.revision;
  }

  /** The object after the change, or undefined when it is gone. */
  next(): KubeObject | undefined {
    const { value, revision } = this.source;
    if (value === undefined) return undefined;
    this.#next ??= decodeStored(value, revision);
    return this.#next;
  }

  /** The object before the change, or undefined when it is new. */
  previous(): KubeObject | undefined {
    const { previous } = this.source;
    if (previous === undefined) return undefined;
    this.#previous ??= decodeEntry(previous);
    return this.#previous;
  }

  /** A deleted object is shown as it last was, carrying the revision of its deletion. */
  encode(type: WatchEventType, encoder: EventEncoder): Uint8Array {
    const key = `${type}|${encoder.key}`;
    let bytes = this.#encoded?.get(key);
    if (bytes !== undefined) return bytes;
    const { source } = this;
    // An object that leaves a selection is shown as it was; one that is gone has nothing newer.
    const value = type === 'DELETED' ? source.previous?.value : source.value;
    assert(value !== undefined, 'an event has a value to show');
    bytes = encoder.encode(type, value, source.revision);
    this.#encoded ??= new Map();
    this.#encoded.set(key, bytes);
    return bytes;
  }
}
