/**
 * The thread that has the database. It waits for requests of `sqlite-log.ts`, does them in order
 * and answers each; so a wait for the disk never holds up the store's own thread.
 *
 * Between two requests it moves what is in the write-ahead log into the file, once enough has
 * gathered, and goes on with a compaction in small steps.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { present } from '#kit/assert.ts';
import { StoreRefused } from './errors.ts';
import type { Answer, Doing, Request, Requests, WorkerOptions } from './sqlite-messages.ts';
import { SqliteRows } from './sqlite-rows.ts';

const port = present(parentPort, 'this file is the entry of a worker');
// What `sqlite-log.ts` started the worker with.
const rows = new SqliteRows(workerData as WorkerOptions);

port.on('message', (request: Request) => {
  try {
    const answer = perform(request);
    if (request.do === 'compact') step(request.id, request.ask.revision);
    else succeed(request.id, answer);
  } catch (error) {
    fail(request.id, error);
  }
  if (request.do === 'append') rows.checkpointWhenDue();
  if (request.do === 'close') port.close();
});

function perform(request: Request): Requests[Doing]['answer'] {
  switch (request.do) {
    case 'open':
      return rows.open();
    case 'next':
      return { packed: rows.next() };
    case 'append':
      rows.append(request.ask);
      return {};
    case 'compact':
      return {};
    case 'changes':
      return { page: rows.changesAfter(request.ask) };
    case 'rows':
      return { packed: rows.rowsOf(request.ask.revisions) };
    case 'close':
      rows.close(request.ask.reserve);
      return {};
    default:
      return request satisfies never;
  }
}

/** One step of a compaction; requests that came meanwhile go before the next. */
function step(id: number, revision: number): void {
  try {
    if (!rows.compactStep(revision)) {
      succeed(id, {});
      return;
    }
  } catch (error) {
    fail(id, error);
    return;
  }
  setImmediate(() => step(id, revision));
}

function succeed(id: number, answer: Requests[Doing]['answer']): void {
  const message: Answer = { id, ok: true, answer };
  const packed = 'packed' in answer ? answer.packed : undefined;
  const bytes = packed?.buffer;
  port.postMessage(message, bytes instanceof ArrayBuffer ? [bytes] : []);
}

function fail(id: number, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const answer: Answer = { id, ok: false, refused: error instanceof StoreRefused, message };
  port.postMessage(answer);
}
