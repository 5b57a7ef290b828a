/**
 * Lets promises run (`settle`) and then waits until no file operation of this process is under way.
 *
 * The kubelet walks folders and changes owners on threads of the machine, which a virtual clock
 * does not move: on a busy machine whole virtual minutes would pass before one folder has been
 * read. A `VirtualClock` with this as its `settle` stands still meanwhile. Used by
 * `kubelet-bench.ts`. Sockets, processes, compression and, in this Node, `readFile` and `writeFile`
 * as promises are not seen: wait for what they bring.
 */
import { settle } from '#kit/virtual-clock.ts';

/** In real time: longer than any disk is busy, shorter than a test may take. */
const filesMsMax = 20_000;

/** As Node calls them. */
const fileWork: ReadonlySet<string> = new Set(['FSReqPromise', 'FSReqCallback', 'CloseReq']);

export async function settleFiles(): Promise<void> {
  await settle();
  if (!areFilesBusy()) return;
  const deadline = performance.now() + filesMsMax;
  while (areFilesBusy()) {
    if (performance.now() > deadline) throw new Error('a file operation does not come to its end');
    await settle();
  }
}

function areFilesBusy(): boolean {
  return process.getActiveResourcesInfo().some((kind) => fileWork.has(kind));
}
