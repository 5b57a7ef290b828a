/**
 * The words of the parity run: a request, the scenario that it belongs to, and the answer.
 *
 * Requests are data. What is only known when they are sent stands in them as a word: `$UID` and
 * `$RV` are uid and resourceVersion of the last object that the scenario was shown, `$LARGE` is a
 * text that is too large for annotations.
 */
export interface ParityRequest {
  /** Distinct within its scenario: `without spec.selector`. */
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  /** Content-Type; default `application/json` where there is a body. */
  readonly type?: string;
  readonly accept?: string;
  /** JSON, or a text that is sent as it is. */
  readonly body?: unknown;
  /** Only makes ready for others; its answer is not compared. */
  readonly setup?: true;
}

export interface Scenario {
  /** Title of the kind. */
  readonly kind: string;
  readonly name: string;
  readonly requests: readonly ParityRequest[];
}

/** An answer without what no two servers have in common (`normalize.ts`). */
export interface ParityAnswer {
  readonly code: number;
  readonly warnings: readonly string[];
  readonly body: unknown;
}

/** One line of `recorded/`. */
export interface Recorded {
  readonly kind: string;
  readonly scenario: string;
  readonly request: ParityRequest;
  readonly answer: ParityAnswer;
}
