/**
 * `kubectl logs -f` of a container that writes as fast as it can: bytes a second at the reader,
 * from the first to the last; and beside it the runtime's own pace, without a reader.
 */
import { spawn } from 'node:child_process';
import { systemClock } from '#kit/clock.ts';
import type { BenchNode } from './bench-node.ts';

const clock = systemClock();
const { signal } = new AbortController();
const line = 'x'.repeat(199);

export async function measureLogs(
  node: BenchNode,
  options: {
    readonly bytes: number;
    print(what: string, value: number, goal: number | undefined, unit: string): void;
  },
): Promise<void> {
  const { bytes, print } = options;
  const lines = Math.ceil(bytes / (line.length + 1));
  // It waits for its reader, and leaves time to read the rest.
  const write = `yes ${line} | head -n ${lines}`;
  const script = `while [ ! -e /tmp/go ]; do sleep 0.1; done; ${write}; sleep 1`;
  const spec = (command: string) => () => ({
    restartPolicy: 'Never' as const,
    containers: [{ name: 'main', image: 'localhost/busybox:1.35', command: ['sh', '-c', command] }],
  });
  await node.start(['writer'], spec(script));
  const follow = spawn(
    'kubectl',
    ['--kubeconfig', node.cluster.kubeconfig, 'logs', '-f', 'writer'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let read = 0;
  let firstMs = 0;
  let lastMs = 0;
  follow.stdout.on('data', (chunk: Buffer) => {
    if (read === 0) firstMs = clock.monotonic();
    read += chunk.length;
    lastMs = clock.monotonic();
  });
  await node.cluster.kubectl('exec', 'writer', '--', 'touch', '/tmp/go');
  await new Promise((resolve) => follow.once('close', resolve));
  print('logs -f, of what was written', (100 * read) / (lines * (line.length + 1)), 100, '%');
  print('logs -f', read / 1000 / (lastMs - firstMs), 50, 'MB/s');
  await node.removeAll(['writer']);
  const timed = `s=$(date +%s%N); ${write}; sleep 0`;
  const begin = clock.monotonic();
  await node.start(['unread'], spec(`${timed}; touch /tmp/done; sleep 60`));
  const isDone = async (): Promise<boolean> =>
    (await node.cluster.tryKubectl('exec', 'unread', '--', 'test', '-e', '/tmp/done')).code === 0;
  while (!(await isDone())) await clock.sleep(20, { signal });
  const seconds = (clock.monotonic() - begin) / 1000;
  print('the same without a reader, with its start', bytes / 1e6 / seconds, undefined, 'MB/s');
  await node.removeAll(['unread']);
}
