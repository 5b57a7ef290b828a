/** A container that the runtime never stops holds up neither the others nor the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { FakeRuntime } from '#test/fake-runtime.ts';
import { stopAllPods } from './stop-pods.ts';

const { signal } = new AbortController();

class StuckRuntime extends FakeRuntime {
  stuck = '';

  override stopContainer(
    id: string,
    options: { readonly signal: AbortSignal; readonly graceSeconds: number },
  ): Promise<void> {
    if (id !== this.stuck) return super.stopContainer(id, options);
    return new Promise((_, reject) => {
      options.signal.addEventListener('abort', () => reject(options.signal.reason));
    });
  }
}

test('one container that never stops is given up, all else goes', async () => {
  const clock = new VirtualClock();
  const runtime = new StuckRuntime({ clock });
  runtime.images.add('image');
  const sandboxConfig = { metadata: { name: 'p', uid: 'u', namespace: 'default', attempt: 0 } };
  const podSandboxId = await runtime.runPodSandbox({ config: sandboxConfig });
  for (const name of ['stuck', 'other']) {
    const config = { metadata: { name, attempt: 0 }, image: { image: 'image' } };
    const id = await runtime.createContainer({ podSandboxId, config, sandboxConfig });
    await runtime.startContainer(id);
  }
  runtime.stuck = runtime.idOf('stuck');
  const stopping = stopAllPods({ runtime, clock, log: silentLog }, { signal });
  await clock.advance(10_000);
  assert.deepEqual(runtime.running(), ['stuck']);
  assert.equal(runtime.sandboxCount, 1);
  await clock.advance(60_000);
  await stopping;
  assert.equal(runtime.sandboxCount, 0);
});
