/**
 * A client on a thread of its own that gets one object after another while lists are made, so that
 * the work of reading the lists does not show in its latencies. `workloads.ts` starts it with a
 * target and a path; any message ends it, and it answers with its latencies.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { present } from '#kit/assert.ts';
import { systemClock } from '#kit/clock.ts';
import { Connection, type Target } from './connection.ts';

export interface GetterData {
  readonly target: Target;
  /** Ends where the number of the object follows. */
  readonly path: string;
  readonly count: number;
}

const clock = systemClock();
const never = new AbortController().signal;
const pauseMs = 2;

const port = present(parentPort, 'this runs on a worker');
// What `workloads.ts` started the worker with.
const { target, path, count } = workerData as GetterData;
let isOver = false;
port.once('message', () => {
  isOver = true;
});
const connection = await Connection.open(target);
const timesMs: number[] = [];
for (let n = 0; !isOver; n++) {
  const sentMs = clock.monotonic();
  const { status } = await connection.send({ method: 'GET', path: `${path}${n % count}` });
  if (status !== 200) throw new Error(`get: ${status}`);
  timesMs.push(clock.monotonic() - sentMs);
  await clock.sleep(pauseMs, { signal: never });
}
connection.close();
port.postMessage(timesMs);
