/** Pulls that are shared, remembered and backed off. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { FakeRuntime } from '#test/fake-runtime.ts';
import { defaultSettings } from '../settings.ts';
import { Images, type PullSettings } from './images.ts';
import { PullRecords, type RecordFiles } from './pull-records.ts';
import type { TrackedLogin } from './registry-logins.ts';

const { signal } = new AbortController();
const options = { signal, onPull: () => {} };

function memoryFiles(): RecordFiles & { readonly texts: Map<string, string> } {
  const texts = new Map<string, string>();
  return {
    texts,
    read: (folder) =>
      [...texts].flatMap(([key, text]) => (key.startsWith(folder) ? [JSON.parse(text)] : [])),
    write: (folder, subject, content) => {
      texts.set(`${folder} ${subject}`, JSON.stringify(content));
    },
    remove: (folder, subject) => {
      texts.delete(`${folder} ${subject}`);
    },
  };
}

function open(
  more: Partial<PullSettings> = {},
  { files = memoryFiles(), loaded }: { files?: RecordFiles; loaded?: Promise<unknown> } = {},
) {
  const clock = new VirtualClock();
  const runtime = new FakeRuntime({ clock });
  const records = new PullRecords({ log: silentLog, files });
  const settings = { ...defaultSettings, ...more };
  const deps = { runtime, clock, log: silentLog, records, loaded };
  const images = new Images(deps, { settings, signal });
  return { clock, runtime, images, files };
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

test('an image that was here before is not lost to a pull that fails meanwhile', async () => {
  const { runtime, images } = open();
  runtime.images.add('app:1');
  runtime.pullFailure = 'connection refused';
  const wanted = (owner: string, policy: string) => ({ image: 'app:1', policy, owner });
  const [always, ifNotPresent] = await Promise.all([
    images.ensure(wanted('a', 'Always'), options),
    images.ensure(wanted('b', 'IfNotPresent'), options),
  ]);
  assert.equal(always.ok, false);
  assert.equal(ifNotPresent.ok, true);
});

test('what is being loaded is waited for, not pulled', async () => {
  const loading = Promise.withResolvers<void>();
  const { runtime, images } = open({}, { loaded: loading.promise });
  const image = images.ensure({ image: 'app:1', policy: 'Never', owner: 'a' }, options);
  runtime.images.add('app:1');
  loading.resolve();
  assert.equal((await image).ok, true);
  assert.deepEqual(runtime.calls, []);
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

function nodeLogin(username: string, password = 'p'): TrackedLogin {
  return { login: { username, password, identityToken: '' }, source: {} };
}

test('logins are tried one after the other, and only when something is pulled', async () => {
  const { runtime, images } = open();
  runtime.registry.add('private:1');
  runtime.logins.set('private:1', 'good');
  let asked = 0;
  const wanted = (...names: readonly string[]) => ({
    ...{ image: 'private:1', policy: 'IfNotPresent', owner: 'a' },
    logins: async () => {
      asked += 1;
      return names.map((username) => nodeLogin(username));
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

function ofSecret(name: string, username: string, password = 'p'): TrackedLogin {
  const secret = { uid: `uid-${name}`, namespace: 'default', name };
  return { login: { username, password, identityToken: '' }, source: { secret } };
}

test('an image that one Secret brought is not for those who cannot show it', async () => {
  const { clock, runtime, images, files } = open();
  runtime.registry.add('private:1');
  runtime.logins.set('private:1', 'good');
  const ask = async (policy: string, ...logins: readonly TrackedLogin[]): Promise<string> => {
    await clock.advance(20_000);
    runtime.calls.length = 0;
    const result = await images.ensure(
      { image: 'private:1', policy, owner: 'a', logins: async () => logins },
      options,
    );
    const pulled = runtime.calls.some((call) => call.startsWith('pullImage'));
    return `${result.ok ? 'has it' : result.waiting.reason}${pulled ? ', pulled' : ''}`;
  };
  assert.equal(await ask('IfNotPresent', ofSecret('s', 'good')), 'has it, pulled');
  assert.equal(await ask('IfNotPresent', ofSecret('s', 'good')), 'has it');
  assert.equal(await ask('IfNotPresent'), 'ErrImagePull, pulled');
  assert.equal(await ask('IfNotPresent', ofSecret('t', 'bad')), 'ErrImagePull, pulled');
  assert.equal(await ask('Never'), 'ErrImageNeverPull');
  assert.equal(await ask('Never', ofSecret('s', 'good')), 'has it');
  // Another Secret with the same content is as good, and is known from then on by its name.
  assert.equal(await ask('Never', ofSecret('copy', 'good')), 'has it');
  assert.equal(await ask('Never', ofSecret('copy', 'good', 'new password')), 'has it');
  assert.equal(await ask('Never', ofSecret('other', 'other')), 'ErrImageNeverPull');
  // A new process knows what the old one wrote.
  const next = open({}, { files });
  next.runtime.images.add('private:1');
  const asked = { image: 'private:1', policy: 'Never', owner: 'b' };
  const again = async (...logins: readonly TrackedLogin[]): Promise<boolean> =>
    (await next.images.ensure({ ...asked, logins: async () => logins }, options)).ok;
  assert.equal(await again(ofSecret('s', 'good')), true);
  assert.equal(await again(), false);
  // Once a login of the node was good, the image is everybody's.
  assert.equal(await ask('Always', nodeLogin('good')), 'has it, pulled');
  assert.equal(await ask('Never'), 'has it');
});

test('images that were here before are for all, unless a policy says otherwise', async () => {
  const may = async (more: Partial<PullSettings>): Promise<boolean> => {
    const { runtime, images } = open(more);
    runtime.images.add('r.example.com/team/app:1');
    const wanted = { image: 'r.example.com/team/app:1', policy: 'Never', owner: 'a' };
    return (await images.ensure(wanted, options)).ok;
  };
  assert.equal(await may({}), true);
  assert.equal(await may({ imagePullCredentialsVerificationPolicy: 'NeverVerify' }), true);
  assert.equal(await may({ imagePullCredentialsVerificationPolicy: 'AlwaysVerify' }), false);
  const listed = (pattern: string): Promise<boolean> =>
    may({
      imagePullCredentialsVerificationPolicy: 'NeverVerifyAllowlistedImages',
      preloadedImagesVerificationAllowlist: [pattern],
    });
  assert.equal(await listed('r.example.com/team/app'), true);
  assert.equal(await listed('r.example.com/*'), true);
  assert.equal(await listed('r.example.com/other/*'), false);
});

test('a pull that an earlier process began leaves an image that is nobody’s', async () => {
  const files = memoryFiles();
  files.write('pulling', 'app:1', { image: 'app:1' });
  const { runtime, images } = open({}, { files });
  runtime.images.add('app:1');
  runtime.registry.add('app:1');
  const wanted = { image: 'app:1', policy: 'IfNotPresent', owner: 'a' };
  assert.equal((await images.ensure(wanted, options)).ok, true);
  assert.deepEqual(runtime.calls, ['pullImage app:1']);
  assert.deepEqual(
    [...files.texts.keys()].map((key) => key.split(' ')[0]),
    ['pulled'],
    'the note of the pull is gone',
  );
});

test('pulls of an earlier process are looked for again when the runtime did not answer', async () => {
  const files = memoryFiles();
  files.write('pulling', 'old:1', { image: 'old:1' });
  const { runtime, images } = open({}, { files });
  runtime.images.add('app:1');
  const list = runtime.listImages.bind(runtime);
  runtime.listImages = () => Promise.reject(new Error('no answer'));
  const wanted = { image: 'app:1', policy: 'IfNotPresent', owner: 'a' };
  await assert.rejects(images.ensure(wanted, options), /no answer/);
  runtime.listImages = list;
  assert.equal((await images.ensure(wanted, options)).ok, true);
});

test('one image at a time, or so many, or any number', async () => {
  const mostAtOnce = async (more: Partial<PullSettings>): Promise<number> => {
    const { runtime, images } = open(more);
    let [now, most] = [0, 0];
    const pull = runtime.pullImage.bind(runtime);
    runtime.pullImage = async (request) => {
      now += 1;
      most = Math.max(most, now);
      await new Promise((resolve) => setImmediate(resolve));
      now -= 1;
      return pull(request);
    };
    const names = ['a:1', 'b:1', 'c:1', 'd:1'];
    for (const name of names) runtime.registry.add(name);
    const results = await Promise.all(
      names.map((image) => images.ensure({ image, policy: 'Always', owner: image }, options)),
    );
    assert.deepEqual(
      results.map(({ ok }) => ok),
      names.map(() => true),
    );
    return most;
  };
  assert.equal(await mostAtOnce({}), 1);
  assert.equal(await mostAtOnce({ serializeImagePulls: false, maxParallelImagePulls: 2 }), 2);
  assert.equal(await mostAtOnce({ serializeImagePulls: false }), 4);
});

test('a registry is not asked too often', async () => {
  const { runtime, images } = open({ registryPullQPS: 1, registryBurst: 2 });
  for (const name of ['a:1', 'b:1', 'c:1']) runtime.registry.add(name);
  const pull = (image: string) => images.ensure({ image, policy: 'Always', owner: image }, options);
  const results = await Promise.all(['a:1', 'b:1', 'c:1'].map(pull));
  assert.deepEqual(
    results.map((result) => (result.ok ? 'ok' : result.waiting.message)),
    ['ok', 'ok', 'pull QPS exceeded'],
  );
});

test('reasons are the runtime’s where it gives one', async () => {
  const { runtime, images } = open();
  const fail = async (text: string) => {
    runtime.pullFailure = text;
    const result = await images.ensure({ image: 'x:1', policy: 'Always', owner: text }, options);
    assert.ok(!result.ok);
    return [result.waiting.reason, result.waiting.message];
  };
  assert.deepEqual(await fail('no such host'), [
    'ErrImagePull',
    'rpc error: code = Unknown desc = no such host',
  ]);
  assert.deepEqual(await fail('RegistryUnavailable: dial tcp'), [
    'RegistryUnavailable',
    'image pull failed for x:1 because the registry is unavailable: dial tcp',
  ]);
  assert.deepEqual(await fail('SignatureValidationFailed: none'), [
    'SignatureValidationFailed',
    'image pull failed for x:1 because the signature validation failed: none',
  ]);
  const wrong = await images.ensure({ image: 'X:1', policy: 'Always', owner: 'a' }, options);
  assert.ok(!wrong.ok && wrong.waiting.reason === 'InvalidImageName');
});
