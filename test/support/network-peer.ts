/**
 * The ends of the connections in tests of the network, as a program that runs inside a namespace:
 * servers that say who they are and whom they see, and clients that print what they got as JSON.
 * Clients wait for an answer as long as `CORACLE_PEER_WAIT_MS` says.
 *
 *     serve                             TCP and UDP on port 8080, until killed
 *     serve-dns PORT ADDRESS            answers every question with this address, until killed
 *     call ADDRESS PORT COUNT [FROM]    [{ server, client } | "refused" | "silent", …]
 *     send ADDRESS PORT FROMPORT        the UDP server's address, or "silent"
 *     resolve NAME TYPE SERVER PORT     records, or the error's code
 *     resolve-tcp NAME SERVER PORT      addresses, asked over TCP
 */
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { systemClock } from '#kit/clock.ts';

export type CallOutcome =
  | { readonly server: string; readonly client: string }
  | 'refused'
  | 'silent';

const clock = systemClock();
const waitMs = Number(process.env['CORACLE_PEER_WAIT_MS']);
const serverPort = 8080;

const [command = '', ...args] = process.argv.slice(2);
const [first = '', second = '', third = '', fourth = ''] = args;
switch (command) {
  case 'serve':
    await serve();
    break;
  case 'serve-dns':
    await serveDns(Number(first), second);
    break;
  case 'call':
    print(await callOften(first, Number(second), Number(third), fourth));
    break;
  case 'send':
    print(await send(first, Number(second), Number(third)));
    break;
  case 'resolve':
    print(await resolve(first, second, `${third}:${fourth}`));
    break;
  case 'resolve-tcp':
    print(await resolveOverTcp(first, second, Number(third)));
    break;
  default:
    throw new Error(`unknown command ${command}`);
}

function print(value: unknown): void {
  process.stdout.write(JSON.stringify(value));
}

async function serve(): Promise<void> {
  const tcp = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(
      JSON.stringify({ server: plain(socket.localAddress), client: plain(socket.remoteAddress) }),
    );
  });
  const udp = createSocket('udp4');
  const own = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const name = own.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '';
  udp.on('message', (_, from) => udp.send(name, from.port, from.address));
  await new Promise<void>((done) => udp.bind(serverPort, () => done()));
  await new Promise<void>((done) => tcp.listen(serverPort, () => done()));
  process.stdout.write('ready\n');
}

/** Copies the question and adds one A record to it. */
async function serveDns(port: number, address: string): Promise<void> {
  const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split('.').map(Number)];
  const answer = (query: Buffer): Buffer => {
    const end = query.indexOf(0, 12) + 5;
    const head = Buffer.from(query.subarray(0, end));
    head.set([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], 2);
    return Buffer.concat([head, Buffer.from(record)]);
  };
  const udp = createSocket('udp4');
  udp.on('message', (query, from) => udp.send(answer(query), from.port, from.address));
  const tcp = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (query: Buffer) => {
      const bytes = answer(query.subarray(2));
      socket.end(Buffer.concat([Buffer.from([0, bytes.length]), bytes]));
    });
  });
  await new Promise<void>((done) => udp.bind(port, () => done()));
  await new Promise<void>((done) => tcp.listen(port, () => done()));
  process.stdout.write('ready\n');
}

async function callOften(
  host: string,
  port: number,
  count: number,
  localAddress: string,
): Promise<readonly CallOutcome[]> {
  const outcomes: CallOutcome[] = [];
  for (let i = 0; i < count; i++) outcomes.push(await call(host, port, localAddress));
  return outcomes;
}

function call(host: string, port: number, localAddress: string): Promise<CallOutcome> {
  return new Promise((done) => {
    const socket = connect({ host, port, ...(localAddress === '' ? {} : { localAddress }) });
    let text = '';
    const finish = (outcome: CallOutcome): void => {
      cancel();
      socket.destroy();
      done(outcome);
    };
    const cancel = clock.after(waitMs, () => finish('silent'));
    socket.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    socket.on('end', () => finish(text === '' ? 'silent' : JSON.parse(text)));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      finish(error.code === 'ECONNREFUSED' ? 'refused' : 'silent'),
    );
  });
}

function send(host: string, port: number, localPort: number): Promise<string> {
  return new Promise((done) => {
    const socket = createSocket('udp4');
    const finish = (outcome: string): void => {
      cancel();
      socket.close(() => done(outcome));
    };
    const cancel = clock.after(waitMs, () => finish('silent'));
    socket.on('message', (message) => finish(String(message)));
    socket.on('error', () => finish('refused'));
    socket.bind(localPort, () => socket.send('hello', port, host));
  });
}

async function resolve(name: string, type: string, server: string): Promise<unknown> {
  const resolver = new Resolver({ timeout: waitMs, tries: 1 });
  resolver.setServers([server]);
  try {
    return await resolver.resolve(name, type);
  } catch (error) {
    // Node's DNS errors carry a code.
    return (error as NodeJS.ErrnoException).code;
  }
}

/** A question by hand, since the system's resolver chooses TCP by itself; reads A records only. */
function resolveOverTcp(name: string, server: string, port: number): Promise<readonly string[]> {
  const labels = name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)]));
  const head = Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  const question = Buffer.concat([head, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
  const length = Buffer.from([question.length >> 8, question.length & 255]);
  return new Promise((done, fail) => {
    const socket = connect({ host: server, port });
    const cancel = clock.after(waitMs, () => socket.destroy(new Error('no answer')));
    socket.on('error', fail);
    socket.on('data', (answer: Buffer) => {
      cancel();
      socket.destroy();
      const count = answer.readUInt16BE(2 + 6);
      // Each A record with a shortened name has 16 bytes, the address at its end.
      const records = answer.subarray(2 + question.length);
      done(
        Array.from({ length: count }, (_, i) =>
          records.subarray(i * 16 + 12, i * 16 + 16).join('.'),
        ),
      );
    });
    socket.on('connect', () => socket.write(Buffer.concat([length, question])));
  });
}

function plain(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:/, '');
}
