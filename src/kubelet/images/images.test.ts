/** Pulls that are shared, remembered and backed off. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { FakeRuntime } from '#test/fake-runtime.ts';
import { Images } from './images.ts';

const { signal } = new AbortController();
const options = { signal, onPull: () => {} };

function open() {
  const clock = new VirtualClock();
  const runtime = new FakeRuntime({ clock });
  return { clock, runtime, images: new Images({ runtime, clock }, { signal }) };
}

test('two pods share one pull', async () => {
  const { runtime, images } = open();
  runtime.registry.add('app:1');
  const wanted = (owner: string) => ({ image: 'app:1', policy: 'IfNotPresent', owner });
  const both = await Promise.all([
    images.ensure(wanted('a'), options),
    images.ensure(wanted('b'), options),
  ]);
  assert.deepEqual(
    both.map(({ ok }) => ok),
    [true, true],
  );
  assert.deepEqual(runtime.calls, ['pullImage app:1']);
});

test('giving up waiting does not end the pull of others', async () => {
  const { runtime, images } = open();
  runtime.registry.add('app:1');
  const impatient = new AbortController();
  const first = images.ensure(
    { image: 'app:1', policy: 'IfNotPresent', owner: 'a' },
    { signal: impatient.signal, onPull: () => impatient.abort(new Error('no time')) },
  );
  const second = images.ensure({ image: 'app:1', policy: 'IfNotPresent', owner: 'b' }, options);
  await assert.rejects(first, /no time/);
  assert.equal((await second).ok, true);
});

test('failures back off per pod', async () => {
  const { clock, images } = open();
  const delays: number[] = [];
  for (let tries = 0; tries < 3; tries++) {
    const result = await images.ensure({ image: 'x:1', policy: 'Always', owner: 'a' }, options);
    assert.ok(!result.ok && result.waiting.reason === 'ErrImagePull');
    delays.push(result.untilMs - clock.now());
  }
  assert.deepEqual(delays, [10_000, 20_000, 40_000]);
  const other = await images.ensure({ image: 'x:1', policy: 'Always', owner: 'b' }, options);
  assert.ok(!other.ok && other.untilMs - clock.now() === 10_000);
});

test('logins are tried one after the other, and only when something is pulled', async () => {
  const { runtime, images } = open();
  runtime.registry.add('private:1');
  runtime.logins.set('private:1', 'good');
  const login = (username: string) => ({ username, password: 'p', identityToken: '' });
  let asked = 0;
  const wanted = (...names: readonly string[]) => ({
    ...{ image: 'private:1', policy: 'IfNotPresent', owner: 'a' },
    logins: async () => {
      asked += 1;
      return names.map(login);
    },
  });
  assert.equal((await images.ensure(wanted(), options)).ok, false);
  assert.equal((await images.ensure(wanted('bad'), options)).ok, false);
  assert.equal((await images.ensure(wanted('bad', 'good', 'never'), options)).ok, true);
  assert.deepEqual(runtime.calls, [
    'pullImage private:1',
    'pullImage private:1 as bad:p',
    'pullImage private:1 as bad:p',
    'pullImage private:1 as good:p',
  ]);
  assert.equal((await images.ensure(wanted('bad'), options)).ok, true);
  assert.equal(asked, 3);
});
