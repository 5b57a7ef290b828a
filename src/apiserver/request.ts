/**
 * What travels through the lifecycle: an arrival (bytes and who brought them), what its path asks
 * for, and the answer before it has become bytes.
 *
 * `http.ts` and the direct transport make arrivals; `lifecycle.ts` walks them through the stages;
 * verbs return answers; `stages/respond.ts` turns these into a `PlainResponse`.
 */

import type { Served } from '#api/catalog.ts';
import type { KubeObject } from '#api/object.ts';
import type { Verb } from '#api/resource.ts';
import type { Identity, PlainRequest, PlainResponse } from '#kit/transport.ts';
import type { Entry } from '#store';

/**
 * Who is bound to a connection (direct transport, client certificate), if anybody: a bearer token
 * may name somebody where nobody is. A stranger has a certificate of no authority of ours.
 */
export type Peer = Identity | 'stranger' | undefined;

export interface Arrival {
  readonly request: PlainRequest;
  readonly peer: Peer;
  /** Aborts when the client goes away or the server closes. */
  readonly signal: AbortSignal;
}

/** A request for objects: `/api/v1/namespaces/x/pods/y/status?…`. */
export interface ResourceInfo {
  readonly type: 'resource';
  readonly verb: Verb;
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  /** Empty for cluster-scoped kinds and for requests across all namespaces. */
  readonly namespace: string;
  /** Empty for collections. */
  readonly name: string;
  readonly subresource: string;
  /** What follows the sub-resource: the path that a proxy passes on. */
  readonly rest: string;
  readonly path: string;
  readonly query: URLSearchParams;
}

/** Anything else: discovery, health, metrics. */
export interface PathInfo {
  readonly type: 'path';
  readonly verb: string;
  readonly path: string;
  readonly query: URLSearchParams;
}

export type RequestInfo = ResourceInfo | PathInfo;

/** What the client accepts, in order of its preference. */
export interface Output {
  readonly encoding: 'json' | 'yaml' | 'protobuf';
  readonly form: 'object' | 'table' | 'partial';
  /** Of metadata alone: whether it is that of a list. */
  readonly partialList?: boolean;
  /** The older name of Table and PartialObjectMetadata, which old clients know. */
  readonly metaVersion?: 'v1beta1';
}

export type Answer =
  /** A stored object, to be written in the requested view. */
  | {
      readonly type: 'entry';
      readonly status: number;
      readonly served: Served;
      readonly entry: Entry;
      readonly warnings?: readonly string[] | undefined;
    }
  /** A value of the server's own making: Status, discovery document, Scale, token review. */
  | {
      readonly type: 'value';
      readonly status: number;
      readonly value: object;
      readonly warnings?: readonly string[] | undefined;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** An object that was not stored (dry run), on the hub shape. */
  | {
      readonly type: 'hub';
      readonly status: number;
      readonly served: Served;
      readonly hub: KubeObject;
      readonly warnings?: readonly string[] | undefined;
    }
  /** Bytes as they are: lists, watches, logs, plain text. */
  | { readonly type: 'plain'; readonly response: ServerResponse };

export function withWarnings(answer: Answer, warnings: readonly string[]): Answer {
  return answer.type === 'plain' ? answer : { ...answer, warnings };
}

export interface ServerResponse extends PlainResponse {
  /** Parts must reach the client as they come, so they are neither held back nor compressed. */
  readonly live?: boolean;
}

/** Everything a verb needs to know about one request. */
export interface Call {
  readonly info: ResourceInfo;
  readonly served: Served;
  readonly identity: Identity;
  readonly output: Output;
  readonly request: PlainRequest;
  /** Whose signal is made for those who wait on it. */
  readonly arrival: Pick<Arrival, 'signal'>;
  /** Tells the client something besides the answer, whatever that will be. */
  readonly warn: (texts: readonly string[]) => void;
}

export const limits = {
  /** Largest request body. */
  bodyBytesMax: 3 * 1024 * 1024,
  /** Longest path with query; selectors of many values stand there. */
  pathLengthMax: 1024 * 1024,
  /** All headers of a request, its path included. */
  headerBytesMax: 1024 * 1024 + 16 * 1024,
  /** Largest answer that is indented for people. */
  indentedBytesMax: 1024 * 1024,
} as const;
