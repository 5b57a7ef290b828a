/**
 * The thread that has the database. It waits for requests of `sqlite-log.ts`, does them in order
 * and answers each; so a wait for the disk never holds up the store's own thread.
 *
 * Between two requests it moves what is in the write-ahead log into the file, once enough has
 * gathered, and goes on with a compaction or a copy in small steps. A compaction waits while a copy
 * is made, because a copy reads rows that it would drop.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { present } from '#kit/assert.ts';
import { messageOf } from '#kit/error-message.ts';
import { StoreRefused } from './errors.ts';
import type { FileCopy } from './sqlite-copy.ts';
import type { Answer, Doing, Request, Requests, WorkerOptions } from './sqlite-messages.ts';
import { SqliteRows } from './sqlite-rows.ts';

export function runLogWorker(): void {
  const port = present(parentPort, 'this runs on a worker');
  // What `sqlite-log.ts` started the worker with.
  const rows = new SqliteRows(workerData as WorkerOptions);
  const place: Place = { port, rows, parked: [], copies: new Set() };
  port.on('message', (request: Request) => {
    serve(request, place);
    if (request.do === 'append') rows.checkpointWhenDue();
    if (request.do === 'close') port.close();
  });
}

interface Place {
  readonly port: MessagePort;
  readonly rows: SqliteRows;
  readonly copies: Set<FileCopy>;
  /** Compactions that wait for the end of the copies. */
  readonly parked: Request<'compact'>[];
}

function serve(request: Request, place: Place): void {
  try {
    if (request.do === 'compact') compactOn(request, place);
    else if (request.do === 'backup') startCopy(request, place);
    else succeed(request.id, perform(request, place.rows), place.port);
  } catch (error) {
    fail(request.id, error, place.port);
  }
}

function perform(
  request: Exclude<Request, Request<'compact' | 'backup'>>,
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
  if (place.copies.size > 0) {
    place.parked.push(request);
    return;
  }
  if (!place.rows.compactStep(request.ask.revision)) succeed(request.id, {}, place.port);
  else setImmediate(() => serve(request, place));
}

function startCopy(request: Request<'backup'>, place: Place): void {
  const copy = place.rows.copyTo(request.ask);
  place.copies.add(copy);
  copyOn(request, copy, place);
}

/** The same for a copy. */
function copyOn(request: Request<'backup'>, copy: FileCopy, place: Place): void {
  const end = (): void => {
    place.copies.delete(copy);
    for (const waiting of place.parked.splice(0)) serve(waiting, place);
  };
  const broken = (error: unknown): void => {
    copy.discard();
    fail(request.id, error, place.port);
    end();
  };
  try {
    if (copy.step()) {
      setImmediate(() => copyOn(request, copy, place));
      return;
    }
    // The file is synced elsewhere, so that commits do not wait for it.
    copy.finish((error, copied) => {
      if (copied === undefined) broken(error);
      else {
        succeed(request.id, copied, place.port);
        end();
      }
    });
  } catch (error) {
    broken(error);
  }
}

function succeed(id: number, answer: Requests[Doing]['answer'], port: MessagePort): void {
  const message: Answer = { id, ok: true, answer };
  const packed = 'packed' in answer ? answer.packed : undefined;
  const bytes = packed?.buffer;
  port.postMessage(message, bytes instanceof ArrayBuffer ? [bytes] : []);
}

function fail(id: number, error: unknown, port: MessagePort): void {
  const message = messageOf(error);
  const answer: Answer = { id, ok: false, refused: error instanceof StoreRefused, message };
  port.postMessage(answer);
}
