/**
 * What the store's thread and the worker that has the database say to one another. Every request
 * gets one answer with its `id`; they are worked on in order. Rows travel packed.
 */
import type { ChangePage, ChangeRange, Copied, Loaded } from './log.ts';

export interface Requests {
  open: { readonly ask: object; readonly answer: Loaded };
  /** The next piece of all rows, in order of revision; undefined behind the last. */
  next: { readonly ask: object; readonly answer: { readonly packed: Uint8Array | undefined } };
  append: {
    readonly ask: {
      readonly packed: Uint8Array;
      readonly reserve: number | undefined;
      /** Rows behind this revision are of a batch that failed, and go. */
      readonly discardAfter: number | undefined;
    };
    readonly answer: object;
  };
  compact: { readonly ask: { readonly revision: number }; readonly answer: object };
  changes: {
    readonly ask: ChangeRange;
    readonly answer: { readonly page: ChangePage | 'compacted' };
  };
  rows: {
    readonly ask: { readonly revisions: readonly number[] };
    /** Undefined when one of them was compacted. */
    readonly answer: { readonly packed: Uint8Array | undefined };
  };
  /** Copies what is there up to a revision to a new file; appends go on in between. */
  backup: {
    readonly ask: { readonly to: string; readonly through: number };
    readonly answer: Copied;
  };
  close: { readonly ask: { readonly reserve: number | undefined }; readonly answer: object };
}

export type Doing = keyof Requests;

export type Request<Name extends Doing = Doing> = {
  [Key in Name]: { readonly id: number; readonly do: Key; readonly ask: Requests[Key]['ask'] };
}[Name];

export type Answer =
  | { readonly id: number; readonly ok: true; readonly answer: Requests[Doing]['answer'] }
  | {
      readonly id: number;
      readonly ok: false;
      readonly refused: boolean;
      readonly message: string;
    };

export interface WorkerOptions {
  readonly file: string;
  readonly fileBytesMax: number;
}
