/** Events: counted, combined, silenced, and never in the way of who records them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import type { PlainRequest, PlainResponse } from '#kit/transport.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import type { Event } from '#resources/types/core-v1.ts';
import { openClient, openRecorder } from './client.ts';

const about = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'shop', name: 'web-1', uid: 'u1', resourceVersion: '7' },
};

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body: Partial<Event>;
}

function open(
  answer: (request: PlainRequest) => number | Error = () => 200,
  { unanswered = '' } = {},
) {
  const clock = new VirtualClock();
  const sent: Sent[] = [];
  const send = async (request: PlainRequest): Promise<PlainResponse> => {
    const status = answer(request);
    if (status instanceof Error) throw status;
    // The recorder's own words.
    const body = JSON.parse(new TextDecoder().decode(request.body)) as Partial<Event>;
    sent.push({ method: request.method, path: request.path, body });
    if (body.reason === unanswered) await new Promise(() => {});
    const reasons: Record<number, string> = { 404: 'NotFound', 403: 'Forbidden' };
    const failed = { kind: 'Status', reason: reasons[status], code: status };
    const created = sent.findLast(({ method }) => method === 'POST')?.body;
    const whole = status < 400 ? { ...created, ...body } : failed;
    return { status, headers: {}, body: new TextEncoder().encode(JSON.stringify(whole)) };
  };
  const client = openClient({ transport: { send }, clock });
  const random = seededRandom(1);
  const lines: string[] = [];
  const write = (line: string) => lines.push(line.replace(/^D \S+ /, '').trimEnd());
  const log = openLog({ clock, level: 'debug', format: 'text', write });
  const recorder = openRecorder({ client, clock, random, log, component: 'kubelet', host: 'n1' });
  const aborter = new AbortController();
  const running = recorder.run(aborter.signal).catch(() => {});
  const stop = async (): Promise<void> => {
    aborter.abort(new Error('the test is over'));
    await running;
  };
  return { clock, recorder, sent, stop, lines };
}

test('an event says what, about whom, by whom and when', async () => {
  const { recorder, sent, stop, lines } = open();
  const fieldPath = 'spec.containers{web}';
  recorder.record(about, { type: 'Normal', reason: 'Pulled', message: 'Image is here', fieldPath });
  await settle();
  assert.deepEqual(lines, [
    'event kind="Pod" about="shop/web-1" type="Normal" reason="Pulled" message="Image is here"',
  ]);
  const [{ method, path, body } = assert.fail()] = sent;
  assert.deepEqual([method, path], ['POST', '/api/v1/namespaces/shop/events']);
  assert.match(body.metadata?.name ?? '', /^web-1\.[0-9a-f]{16}$/);
  const { metadata: _, ...rest } = body;
  assert.deepEqual(rest, {
    apiVersion: 'v1',
    kind: 'Event',
    involvedObject: {
      apiVersion: 'v1',
      kind: 'Pod',
      namespace: 'shop',
      name: 'web-1',
      uid: 'u1',
      resourceVersion: '7',
      fieldPath,
    },
    type: 'Normal',
    reason: 'Pulled',
    message: 'Image is here',
    source: { component: 'kubelet', host: 'n1' },
    reportingComponent: 'kubelet',
    reportingInstance: 'n1',
    firstTimestamp: '2026-01-01T00:00:00Z',
    lastTimestamp: '2026-01-01T00:00:00Z',
    count: 1,
  });
  await stop();
});

test('the same event again raises the count of the first', async () => {
  const { clock, recorder, sent, stop } = open();
  for (let time = 0; time < 3; time++) {
    recorder.record(about, { type: 'Warning', reason: 'BackOff', message: 'Back-off' });
    await clock.advance(1000);
  }
  assert.deepEqual(
    sent.map(({ method, body }) => [method, body.count, body.lastTimestamp]),
    [
      ['POST', 1, '2026-01-01T00:00:00Z'],
      ['PATCH', 2, '2026-01-01T00:00:01Z'],
      ['PATCH', 3, '2026-01-01T00:00:02Z'],
    ],
  );
  await stop();
});

test('an event that has outlived its time begins again', async () => {
  const { clock, recorder, sent, stop } = open(({ method }) => (method === 'PATCH' ? 404 : 200));
  for (let time = 0; time < 2; time++) {
    recorder.record(about, { type: 'Warning', reason: 'BackOff', message: 'Back-off' });
    await clock.advance(1000);
  }
  assert.deepEqual(
    sent.map(({ method }) => method),
    ['POST', 'PATCH', 'POST'],
  );
  assert.notEqual(sent[0]?.body.metadata?.name, sent[2]?.body.metadata?.name);
  await stop();
});

test('what the server refuses holds up no other', async () => {
  const { clock, recorder, sent, stop } = open(() => (sent.length === 0 ? 500 : 200));
  recorder.record(about, { type: 'Warning', reason: 'BackOff', message: 'Back-off' });
  recorder.record(about, { type: 'Normal', reason: 'Pulled', message: 'Image is here' });
  await clock.advance(1);
  assert.deepEqual(
    sent.map(({ body }) => body.reason),
    ['BackOff', 'Pulled'],
  );
  await stop();
});

test('a slow answer holds up only what is about the same object', async () => {
  const { recorder, sent } = open(() => 200, { unanswered: 'Slow' });
  const other = { ...about, metadata: { ...about.metadata, name: 'other', uid: 'u2' } };
  recorder.record(about, { type: 'Normal', reason: 'Slow', message: 'one' });
  recorder.record(about, { type: 'Normal', reason: 'After', message: 'two' });
  recorder.record(other, { type: 'Normal', reason: 'Beside', message: 'three' });
  await settle();
  assert.deepEqual(
    sent.map(({ body }) => body.reason),
    ['Slow', 'Beside'],
  );
});

test('many alike are combined; a flood is silenced and trickles on', async () => {
  const { clock, recorder, sent, stop } = open();
  for (let index = 0; index < 40; index++) {
    recorder.record(about, { type: 'Warning', reason: 'Failed', message: `attempt ${index}` });
    await settle();
  }
  assert.equal(sent.length, 25, 'the burst');
  assert.equal(sent.filter(({ method }) => method === 'POST').length, 10);
  assert.match(sent[9]?.body.message ?? '', /^\(combined from similar events\): attempt 9$/);
  assert.equal(sent[9]?.body.reportingComponent, '');
  assert.equal(sent[24]?.body.count, 16);
  await clock.advance(5 * 60_000);
  recorder.record(about, { type: 'Warning', reason: 'Failed', message: 'attempt 40' });
  recorder.record(about, { type: 'Normal', reason: 'Other', message: 'much later' });
  await settle();
  assert.equal(sent.length, 26);
  assert.equal(sent[25]?.body.count, 32, 'what was silenced counts');
  await stop();
});

test('a server that is away is asked again; one that refuses is not', async () => {
  let failures = 3;
  const away = open(() => (failures-- > 0 ? new Error('connection refused') : 200));
  away.recorder.record(about, { type: 'Normal', reason: 'Started', message: 'Started' });
  await away.clock.advance(10_000);
  assert.equal(away.sent.length, 1);
  await away.stop();
  const refusing = open(() => 403);
  refusing.recorder.record(about, { type: 'Normal', reason: 'Started', message: 'Started' });
  await refusing.clock.advance(60_000);
  assert.equal(refusing.sent.length, 1);
  await refusing.stop();
});
