/**
 * Cluster DNS over real UDP on the loopback: questions for names of 10,000 services (1,000 when
 * small), 64 at a time, answered in this very process. `npm run bench -- dns`.
 *
 * Goal: 5,000 answers a second, client and server sharing the thread.
 */
import { createSocket } from 'node:dgram';
import { runDNS } from '#dns';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { namespaces, services } from '#resources/kinds.ts';
import { FakeInformers } from '#test/fake-informers.ts';

const clock = systemClock();
const goalPerSecond = 5_000;

export default async function run({ small }: { readonly small: boolean }): Promise<void> {
  const count = small ? 1_000 : 10_000;
  const informers = new FakeInformers();
  const stop = new AbortController();
  const bound = Promise.withResolvers<number>();
  const dns = runDNS(
    { informers, clock, log: silentLog },
    {
      ...{ address: '127.0.0.1', port: 0, clusterDomain: 'cluster.local' },
      ...{ clusterCIDR: '10.42.0.0/16', upstreams: [], signal: stop.signal },
      onReady: ({ port }) => bound.resolve(port),
    },
  );
  const metadata = { name: 'default' };
  informers.put(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata });
  for (let i = 0; i < count; i++) {
    informers.put(services, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace: 'default', name: `service-${i}` },
      spec: { clusterIP: `10.43.${i >> 8}.${i & 255}`, ports: [{ port: 80 }] },
    });
  }
  informers.finishList();
  const port = await bound.promise;
  const questions = small ? 4_000 : 40_000;
  await ask(port, { questions: 1_000, names: count });
  const startMs = clock.monotonic();
  const found = await ask(port, { questions, names: count });
  const perSecond = questions / ((clock.monotonic() - startMs) / 1000);
  stop.abort(new Error('measured'));
  await dns;
  console.log(`  answers per second ${perSecond.toFixed(0)} (goal ${goalPerSecond})`);
  if (found !== questions) throw new Error(`${questions - found} answers had no address`);
  // How fast it is, only a quiet machine can say.
  if (!small && perSecond < goalPerSecond) throw new Error('DNS answers too slowly');
}

/** Keeps 64 questions on their way; answers how many came back with one record. */
function ask(
  port: number,
  options: { readonly questions: number; readonly names: number },
): Promise<number> {
  const socket = createSocket('udp4');
  const { questions, names } = options;
  let sent = 0;
  let received = 0;
  let found = 0;
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      cancel();
      socket.close(() => reject(error));
    };
    const cancel = clock.after(60_000, () =>
      fail(new Error(`${received} of ${questions} answered`)),
    );
    const send = (): void => {
      if (sent === questions) return;
      const query = question(sent & 0xffff, `service-${sent % names}`);
      sent += 1;
      socket.send(query, port, '127.0.0.1');
    };
    socket.on('error', fail);
    socket.on('message', (answer) => {
      received += 1;
      if (answer.readUInt16BE(6) === 1) found += 1;
      if (received < questions) {
        send();
        return;
      }
      cancel();
      socket.close(() => resolve(found));
    });
    for (let i = 0; i < 64; i++) send();
  });
}

function question(id: number, name: string): Buffer {
  const labels = [name, 'default', 'svc', 'cluster', 'local'].map((label) =>
    Buffer.from([label.length, ...Buffer.from(label)]),
  );
  const head = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
}
