/**
 * The one seam between components: plain requests and bytes, never object references.
 *
 * The API server implements `handle`; a client is given a `Transport`. `direct` (same thread),
 * `port` (a worker of the same process) and HTTPS all have this shape, so a component cannot tell
 * which one it runs over. The identity is bound when the cluster is wired, not sent.
 */
export interface PlainRequest {
  readonly method: string;
  /** Path and query, as on the request line: `/api/v1/pods?limit=5`. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | undefined;
}

export interface PlainResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The whole body, or its parts as they come (a watch, a followed log, a long list). */
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
}

export interface Transport {
  /**
   * Resolves when status and headers are known. Aborting the signal ends the request, and a body
   * still being read ends with the signal's reason. Rejects only when no answer could be had
   * (connection refused or lost); an answer of 4xx or 5xx is an answer.
   */
  send(request: PlainRequest, options: { readonly signal: AbortSignal }): Promise<PlainResponse>;
}

/** Who a request comes from, after authentication. */
export interface Identity {
  readonly name: string;
  readonly uid?: string | undefined;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined;
}
