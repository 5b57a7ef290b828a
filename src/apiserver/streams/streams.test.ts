/** WebSockets that end here: channels become SPDY streams, and tunnels are unpacked. */
import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { readStreamWishes, serveStreams } from './websocket-streams.ts';
import { serveTunnel } from './websocket-tunnel.ts';

class Wire extends Duplex {
  written = Buffer.alloc(0);
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written = Buffer.concat([this.written, chunk]);
    done();
  }
}

/** A client's message, masked with zeros. */
const message = (...bytes: readonly number[]): Buffer =>
  Buffer.from([0x82, 0x80 | bytes.length, 0, 0, 0, 0, ...bytes]);

const text = (value: string): readonly number[] => [...Buffer.from(value)];

/** A frame of data of the kubelet. */
const data = (stream: number, value: string): Buffer =>
  Buffer.concat([Buffer.from([0, 0, 0, stream, 0, 0, 0, value.length]), Buffer.from(value)]);

function openStreams(query: string) {
  const client = new Wire();
  const kubelet = new Wire();
  const wishes = readStreamWishes(new URLSearchParams(query));
  const streams = { socket: kubelet, head: Buffer.alloc(0) };
  serveStreams(client, { key: 'k', head: Buffer.alloc(0) }, { streams, wishes });
  const opened = [...kubelet.written.toString('latin1').matchAll(/streamtype.{4}([a-z]+)/gs)];
  kubelet.written = Buffer.alloc(0);
  client.written = client.written.subarray(client.written.indexOf('\r\n\r\n') + 4);
  return { client, kubelet, opened: opened.map(([, type]) => type) };
}

test('the query says which streams there are: a terminal has one output and a size', () => {
  assert.deepEqual(openStreams('stdout=true').opened, ['error', 'stdout']);
  const piped = openStreams('stdin=1&stdout=true&stderr=true&tty=false');
  assert.deepEqual(piped.opened, ['error', 'stdin', 'stdout', 'stderr']);
  const terminal = openStreams('stdin=true&stdout=true&stderr=true&tty=true');
  assert.deepEqual(terminal.opened, ['error', 'stdin', 'stdout', 'resize']);
});

test('input goes to its stream, and its end is passed on', async () => {
  const { client, kubelet } = openStreams('stdin=true&stdout=true');
  client.push(message(0, ...text('hi')));
  client.push(message(255, 0));
  await turn();
  const wanted = [data(3, 'hi'), Buffer.from([0, 0, 0, 3, 1, 0, 0, 0])];
  assert.deepEqual(kubelet.written, Buffer.concat(wanted));
});

test('output and outcome come on their channels, and the end of the kubelet ends all', async () => {
  const { client, kubelet } = openStreams('stdout=true&stderr=true');
  kubelet.push(data(3, 'out'));
  kubelet.push(data(5, 'err'));
  kubelet.push(data(1, '{}'));
  kubelet.push(null);
  kubelet.destroy();
  for (let turns = 0; turns < 10; turns++) await turn();
  const frame = (channel: number, value: string): Buffer =>
    Buffer.from([0x82, 1 + value.length, channel, ...text(value)]);
  const closing = Buffer.from([0x88, 2, 3, 232]);
  assert.deepEqual(
    client.written,
    Buffer.concat([frame(1, 'out'), frame(2, 'err'), frame(3, '{}'), closing]),
  );
});

test('an end of the kubelet without an outcome is a failure', async () => {
  const { client, kubelet } = openStreams('stdout=true');
  kubelet.push(data(3, 'out'));
  kubelet.destroy();
  for (let turns = 0; turns < 10; turns++) await turn();
  // Behind the byte of its channel, and before the end.
  const [json = ''] = /(?<=\W)\{.*\}/s.exec(client.written.toString()) ?? [];
  const { status, code, message } = JSON.parse(json);
  assert.deepEqual([status, code], ['Failure', 500]);
  assert.match(message, /the connection to the kubelet ended before the command did/);
  assert.deepEqual(client.written.subarray(-4), Buffer.from([0x88, 2, 3, 232]));
});

test('a client that goes away ends the connection to the kubelet', async () => {
  const { client, kubelet } = openStreams('stdout=true');
  client.destroy();
  await turn();
  assert.equal(kubelet.destroyed, true);
});

test('a tunnel carries bytes both ways, those behind the answer first', async () => {
  const client = new Wire();
  const kubelet = new Wire();
  const handshake = { key: 'k', protocol: 'SPDY/3.1+portforward.k8s.io', head: Buffer.alloc(0) };
  serveTunnel(client, handshake, { socket: kubelet, head: Buffer.from('early') });
  assert.match(client.written.toString(), /Protocol: SPDY\/3\.1\+portforward\.k8s\.io\r\n/);
  client.written = Buffer.alloc(0);
  client.push(message(...text('there')));
  kubelet.push('back');
  await turn();
  await turn();
  assert.equal(kubelet.written.toString(), 'there');
  assert.match(client.written.toString('latin1'), /early.*back$/s);
  kubelet.destroy();
  await turn();
  assert.equal(client.writableEnded, true);
});
