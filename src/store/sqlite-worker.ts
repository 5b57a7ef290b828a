/**
 * The thread that has the database. It waits for requests of `sqlite-log.ts`, does them in order
 * and answers each; so a wait for the disk never holds up the store's own thread.
 *
 * Between two requests it moves what is in the write-ahead log into the file, once enough has
 * gathered, and goes on with a compaction in small steps.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { present } from '#kit/assert.ts';
import { StoreRefused } from './errors.ts';
import type { Answer, Doing, Request, Requests, WorkerOptions } from './sqlite-messages.ts';
import { SqliteRows } from './sqlite-rows.ts';

export function runLogWorker(): void {
  const port = present(parentPort, 'this runs on a worker');
  // What `sqlite-log.ts` started the worker with.
  const rows = new SqliteRows(workerData as WorkerOptions);
  port.on('message', (request: Request) => {
    serve(request, { port, rows });
    if (request.do === 'append') rows.checkpointWhenDue();
    if (request.do === 'close') port.close();
  });
}

interface Place {
  readonly port: MessagePort;
  readonly rows: SqliteRows;
}

function serve(request: Request, place: Place): void {
  try {
    if (request.do === 'compact') compactOn(request, place);
    else succeed(request.id, perform(request, place.rows), place.port);
  } catch (error) {
    fail(request.id, error, place.port);
  }
}

function perform(
  request: Exclude<Request, Request<'compact'>>,
  rows: SqliteRows,
): Requests[Doing]['answer'] {
  switch (request.do) {
    case 'open':
      return rows.open();
    case 'next':
      return { packed: rows.next() };
    case 'append':
      rows.append(request.ask);
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

/** A compaction goes on step by step; requests that came meanwhile go before the next one. */
function compactOn(request: Request<'compact'>, place: Place): void {
  if (!place.rows.compactStep(request.ask.revision)) succeed(request.id, {}, place.port);
  else setImmediate(() => serve(request, place));
}

function succeed(id: number, answer: Requests[Doing]['answer'], port: MessagePort): void {
  const message: Answer = { id, ok: true, answer };
  const packed = 'packed' in answer ? answer.packed : undefined;
  const bytes = packed?.buffer;
  port.postMessage(message, bytes instanceof ArrayBuffer ? [bytes] : []);
}

function fail(id: number, error: unknown, port: MessagePort): void {
  const message = error instanceof Error ? error.message : String(error);
  const answer: Answer = { id, ok: false, refused: error instanceof StoreRefused, message };
  port.postMessage(answer);
}
