/**
 * API server, SQLite store and scheduler as a program: what `bench/scheduler.bench.ts` measures
 * beside upstream's. The scheduler, in a worker as in production, starts with the first SIGUSR2, so
 * that everything can be laid out before. Settings come as one JSON argument.
 */
import { MessageChannel, type MessagePort, Worker, workerData } from 'node:worker_threads';
import type { ApiServer } from '#apiserver';
import { openClient, openInformers, openPortTransport, servePort } from '#client';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { systemRandom } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import { runScheduler } from '#scheduler';
import { openServer, type ServerSettings, terminated } from '../api/server.ts';

export async function serve(settings: ServerSettings): Promise<void> {
  {
    await using running = await openServer(settings);
    process.once('SIGUSR2', () => startScheduler(running.server));
    await terminated();
  }
  process.exit(0);
}

function startScheduler(server: ApiServer): void {
  const { port1, port2 } = new MessageChannel();
  servePort(port1, server.direct({ name: 'system:kube-scheduler', groups: ['system:masters'] }));
  new Worker(new URL('./scheduler.worker.js', import.meta.url), {
    workerData: port2,
    transferList: [port2],
    // The flags of the entry, which is text, are not for a file.
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: 16 },
  });
}

export async function runSchedulerWorker(): Promise<void> {
  const clock = systemClock();
  const random = systemRandom();
  // The parent above passes exactly this.
  const transport = openPortTransport(workerData as MessagePort);
  const client = openClient({ transport, clock, userAgent: 'kube-scheduler' });
  const deps = { client, clock, random, log: silentLog };
  const informers = openInformers(deps);
  const scope = new Scope(new AbortController().signal);
  scope.spawn((signal) => informers.run(signal));
  scope.spawn((signal) => runScheduler({ ...deps, informers }, { signal }));
  await scope.join();
}
