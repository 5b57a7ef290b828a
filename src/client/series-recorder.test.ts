/** Events of `events.k8s.io/v1`: what happens again becomes a series, written now and then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import type { PlainRequest, PlainResponse } from '#kit/transport.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import type { Event } from '#resources/types/events-v1.ts';
import { openClient, openSeriesRecorder } from './client.ts';

const about = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'shop', name: 'web-1', uid: 'u1', resourceVersion: '7' },
};
const failed = { type: 'Warning', reason: 'FailedScheduling', action: 'Scheduling' } as const;
const minuteMs = 60_000;

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body: Partial<Event>;
}

function open(answer: (request: PlainRequest) => number = () => 200) {
  const clock = new VirtualClock();
  const sent: Sent[] = [];
  const send = async (request: PlainRequest): Promise<PlainResponse> => {
    // The recorder's own words.
    const body = JSON.parse(new TextDecoder().decode(request.body)) as Partial<Event>;
    sent.push({ method: request.method, path: request.path, body });
    const status = answer(request);
    const reasons: Record<number, string> = { 404: 'NotFound', 403: 'Forbidden' };
    const refusal = { kind: 'Status', reason: reasons[status], code: status };
    const text = JSON.stringify(status < 400 ? body : refusal);
    return { status, headers: {}, body: new TextEncoder().encode(text) };
  };
  const client = openClient({ transport: { send }, clock });
  const deps = { client, clock, random: seededRandom(1), component: 'default-scheduler' };
  const recorder = openSeriesRecorder(deps);
  const aborter = new AbortController();
  const running = recorder.run(aborter.signal).catch(() => {});
  const stop = async (): Promise<void> => {
    aborter.abort(new Error('the test is over'));
    await running;
  };
  return { clock, recorder, sent, stop };
}

test('the first is an event, the second makes it a series, the others are counted', async () => {
  const { clock, recorder, sent, stop } = open();
  recorder.record(about, { ...failed, message: '0/1 nodes are available' });
  await settle();
  const [first = assert.fail()] = sent;
  const name = first.body.metadata?.name ?? '';
  assert.match(name, /^web-1\.[0-9a-f]{16}$/);
  assert.equal(first.path, '/apis/events.k8s.io/v1/namespaces/shop/events');
  assert.deepEqual(
    { ...first.body, metadata: undefined },
    {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: undefined,
      eventTime: '2026-01-01T00:00:00.000000Z',
      reportingController: 'default-scheduler',
      reportingInstance: 'default-scheduler',
      action: 'Scheduling',
      reason: 'FailedScheduling',
      regarding: { apiVersion: 'v1', kind: 'Pod', ...about.metadata },
      note: '0/1 nodes are available',
      type: 'Warning',
    },
  );
  for (let times = 0; times < 3; times++) {
    await clock.advance(minuteMs);
    recorder.record(about, { ...failed, message: 'another text' });
  }
  await settle();
  const series = { count: 2, lastObservedTime: '2026-01-01T00:01:00.000000Z' };
  assert.deepEqual(sent.slice(1), [
    { method: 'PATCH', path: `${first.path}/${name}`, body: { series } },
  ]);
  // Six minutes later (they are looked at every six) it is over.
  await clock.advance(12 * minuteMs);
  const final = { count: 4, lastObservedTime: '2026-01-01T00:03:00.000000Z' };
  assert.deepEqual(sent.at(-1)?.body, { series: final });
  assert.equal(sent.length, 3);
  recorder.record(about, { ...failed, message: 'again' });
  await settle();
  assert.equal(sent.at(-1)?.method, 'POST', 'a new one begins');
  await stop();
});

test('what goes on is written every half hour', async () => {
  const { clock, recorder, sent, stop } = open();
  for (let minute = 0; minute < 61; minute++) {
    recorder.record(about, { ...failed, message: 'no' });
    await clock.advance(minuteMs);
  }
  const counts = sent.map(({ body }) => body.series?.count);
  assert.deepEqual(counts.slice(0, 2), [undefined, 2]);
  assert.equal(counts.length, 4);
  await stop();
});

test('other objects, reasons and versions of an object are other events', async () => {
  const { recorder, sent, stop } = open();
  const { metadata } = about;
  recorder.record(about, { ...failed, message: 'no' });
  recorder.record({ ...about, metadata: { ...metadata, uid: 'u2' } }, { ...failed, message: 'no' });
  const changed = { ...about, metadata: { ...metadata, resourceVersion: '8' } };
  recorder.record(changed, { ...failed, message: 'no' });
  const related = { ...about, metadata: { ...metadata, name: 'web-2' } };
  recorder.record(about, { ...failed, reason: 'Preempted', message: 'away', related });
  await settle();
  assert.deepEqual(
    sent.map(({ method }) => method),
    ['POST', 'POST', 'POST', 'POST'],
  );
  assert.equal(sent[3]?.body.related?.name, 'web-2');
  await stop();
});

test('a series whose event is gone begins anew, with its count', async () => {
  const { recorder, sent, stop } = open(({ method }) => (method === 'PATCH' ? 404 : 200));
  recorder.record(about, { ...failed, message: 'no' });
  recorder.record(about, { ...failed, message: 'no' });
  await settle();
  assert.deepEqual(
    sent.map(({ method, body }) => [method, body.series?.count]),
    [
      ['POST', undefined],
      ['PATCH', 2],
      ['POST', 2],
    ],
  );
  await stop();
});

test('what is refused is dropped, and the next is written', async () => {
  const { recorder, sent, stop } = open(({ path }) => (path.includes('/ended/') ? 403 : 200));
  const ended = { ...about, metadata: { ...about.metadata, namespace: 'ended' } };
  recorder.record(ended, { ...failed, message: 'no' });
  recorder.record(about, { ...failed, message: 'no' });
  await settle();
  assert.equal(sent.length, 2);
  await stop();
});
