/** Slices asked for on a bus that is made up: names, properties, jobs, and a bus that goes away. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { systemClock } from '#kit/clock.ts';
import { type DBusMessage, decodeMessage, encodeMessage } from '#kit/dbus-message.ts';
import { silentLog } from '#kit/log.ts';
import { openCgroups } from './cgroups.ts';
import { openSystemdCgroups } from './systemd-cgroups.ts';
import { SystemdUnits } from './systemd-units.ts';

const { signal } = new AbortController();

/** Takes calls as systemd does, and says how the jobs ended before or after the answer. */
class MadeUpBus {
  readonly calls: string[] = [];
  readonly units = new Map<string, Map<string, unknown>>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  result = 'done';
  /** A method that is refused to all. */
  refused = '';
  #job = 0;

  constructor(path: string) {
    this.#server = createServer((socket) => this.#serve(socket)).listen(path);
  }

  breakOff(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Connections that nobody has given up. */
  get open(): number {
    return [...this.#sockets].filter(({ destroyed }) => !destroyed).length;
  }

  close(): void {
    this.breakOff();
    this.#server.close();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let bytes = Buffer.alloc(0);
    let isIn = false;
    socket.on('error', () => {});
    socket.on('data', (more) => {
      bytes = Buffer.concat([bytes, Buffer.from(more)]);
      if (!isIn) {
        const text = bytes.toString('latin1');
        if (text === `\0AUTH EXTERNAL ${Buffer.from('0').toString('hex')}\r\n`) {
          bytes = Buffer.alloc(0);
          socket.write('OK 1234\r\n');
        }
        if (!text.startsWith('BEGIN\r\n')) return;
        isIn = true;
        bytes = bytes.subarray('BEGIN\r\n'.length);
      }
      for (;;) {
        const decoded = decodeMessage(bytes);
        if (decoded === undefined) return;
        bytes = bytes.subarray(decoded.length);
        this.#answer(socket, decoded.message);
      }
    });
  }

  #answer(socket: Socket, { serial, member = '', body }: DBusMessage): void {
    const [name] = body;
    this.calls.push(typeof name === 'string' ? `${member} ${name}` : member);
    const send = (message: Omit<DBusMessage, 'serial'>): void =>
      void socket.write(encodeMessage({ serial: 1, ...message }));
    const fail = (errorName: string): void => {
      const named = `org.freedesktop.systemd1.${errorName}`;
      const words = { signature: 's', body: [`it is ${errorName}`] };
      send({ type: 'error', replySerial: serial, errorName: named, ...words });
    };
    const job = (change: () => void): void => {
      const path = `/org/freedesktop/systemd1/job/${++this.#job}`;
      change();
      const removed = [this.#job, path, String(name), this.result];
      const tell = (): void =>
        send({
          ...{ type: 'signal', path: '/m', interface: 'i.M', member: 'JobRemoved' },
          ...{ signature: 'uoss', body: removed },
        });
      if (this.#job % 2 === 0) tell();
      send({ type: 'return', replySerial: serial, signature: 'o', body: [path] });
      if (this.#job % 2 === 1) tell();
    };
    const unit = this.units.get(String(name));
    const done = (): void => send({ type: 'return', replySerial: serial, body: [] });
    const isStart = member === 'StartTransientUnit';
    if (member === this.refused) fail('AccessDenied');
    else if (isStart && unit !== undefined) fail('UnitExists');
    else if (isStart) job(() => this.units.set(String(name), new Map(pairs(body[2]))));
    else if (!['StopUnit', 'SetUnitProperties'].includes(member)) done();
    else if (unit === undefined) fail('NoSuchUnit');
    else if (member === 'StopUnit') job(() => this.units.delete(String(name)));
    else {
      for (const [property, value] of pairs(body[2])) unit.set(property, value);
      done();
    }
  }
}

function pairs(value: unknown): readonly (readonly [string, unknown])[] {
  // What the tests send is a list of pairs.
  return value as readonly (readonly [string, unknown])[];
}

let root: string;
let bus: MadeUpBus;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'coracle-slices-'));
  bus = new MadeUpBus(join(root, 'bus'));
});

afterEach(() => {
  bus.close();
  rmSync(root, { recursive: true, force: true });
});

function open() {
  const mounts = ['cpu', 'memory', 'pids'].map((controller) => {
    const mountPoint = join(root, controller);
    mkdirSync(mountPoint, { recursive: true });
    return { mountPoint, type: 'cgroup', options: [controller] };
  });
  const sockets = [{ socketPath: join(root, 'bus'), isBus: true }];
  const units = new SystemdUnits({ clock: systemClock() }, { sockets, userId: 0 });
  const files = openCgroups({ log: silentLog }, mounts);
  const deps = { files, units, log: silentLog, scopePrefix: 'cri-containerd', signal };
  return { cgroups: openSystemdCgroups(deps), units };
}

const pod = '/kubepods/burstable/pod1-2';
const podUnit = 'kubepods-burstable-pod1_2.slice';
const resources = { cpuShares: 512, cpuPeriod: 100_000, cpuQuota: 12_345, pidsMax: 10 };

test('a pod gets a slice, after those above it, and files for what systemd does not know', async () => {
  const { cgroups } = open();
  await cgroups.create(pod, resources);
  const above = ['kubepods.slice', 'kubepods-burstable.slice'];
  assert.deepEqual([...bus.units.keys()], [...above, podUnit]);
  const unit = bus.units.get(podUnit);
  assert.deepEqual(unit?.get('Wants'), ['kubepods-burstable.slice']);
  assert.deepEqual(bus.units.get('kubepods.slice')?.get('Wants'), ['-.slice']);
  for (const name of ['CPUAccounting', 'MemoryAccounting', 'TasksAccounting']) {
    assert.equal(unit?.get(name), true, name);
  }
  assert.equal(unit?.get('DefaultDependencies'), false);
  assert.equal(unit?.get('CPUShares'), 512n);
  assert.equal(unit?.get('CPUQuotaPerSecUSec'), 130_000n);
  assert.equal(unit?.get('TasksMax'), 10n);
  const path = cgroups.pathOf(pod);
  assert.equal(path, `/kubepods.slice/kubepods-burstable.slice/${podUnit}`);
  assert.equal(readFileSync(join(root, 'cpu', path, 'cpu.cfs_quota_us'), 'utf8'), '13000');
  assert.equal(cgroups.containerPath(pod, 'c1'), `${path}/cri-containerd-c1.scope`);
  assert.deepEqual(cgroups.children('/kubepods/burstable'), ['pod1-2']);
});

test('limits of one that is there are set, and no limit is said as well', async () => {
  const { cgroups } = open();
  await cgroups.create(pod, resources);
  await cgroups.update(pod, { cpuShares: 100, cpuPeriod: 100_000 });
  assert.equal(bus.calls.at(-1), `SetUnitProperties ${podUnit}`);
  const unit = bus.units.get(podUnit);
  assert.equal(unit?.get('CPUShares'), 100n);
  assert.equal(unit?.get('CPUQuotaPerSecUSec'), 2n ** 64n - 1n);
  assert.equal(unit?.get('MemoryLimit'), 2n ** 64n - 1n);
});

test('a kubelet that comes again finds its slices, and one that somebody ended is made anew', async () => {
  await open().cgroups.create(pod, resources);
  const { cgroups } = open();
  await cgroups.limit('/kubepods', { memoryLimitBytes: 77 });
  assert.equal(bus.units.get('kubepods.slice')?.get('MemoryLimit'), 77n);
  bus.units.delete('kubepods.slice');
  await cgroups.limit('/kubepods', { memoryLimitBytes: 78 });
  assert.equal(bus.units.get('kubepods.slice')?.get('MemoryLimit'), 78n);
});

test('removal ends the slice, once, and leaves those above', async () => {
  const { cgroups } = open();
  await cgroups.create(pod, resources);
  const path = cgroups.pathOf(pod);
  // Files in folders that are none of the kernel's would keep them.
  for (const tree of ['cpu', 'memory', 'pids']) {
    rmSync(join(root, tree, path), { recursive: true });
    mkdirSync(join(root, tree, path));
  }
  assert.equal(await cgroups.remove(pod), true);
  assert.equal(bus.units.has(podUnit), false);
  assert.equal(bus.units.has('kubepods-burstable.slice'), true);
  assert.equal(existsSync(join(root, 'cpu', path)), false);
  const before = bus.calls.length;
  assert.equal(await cgroups.remove(pod), true);
  assert.equal(bus.calls.length, before, 'nobody is asked about what is not there');
});

test('a bus that has gone is opened again, and a job that fails is told of', async () => {
  const { units } = open();
  assert.equal(await units.start('a.slice', [], { signal }), true);
  assert.equal(await units.start('a.slice', [], { signal }), false);
  const waiting = units.stop('b.slice', { signal });
  await waiting;
  bus.breakOff();
  // The next call may still be on its way to the old connection.
  await assert.doesNotReject(async () => {
    await units.set('a.slice', [], { signal }).catch(() => {});
    assert.equal(await units.set('a.slice', [], { signal }), true);
  });
  bus.result = 'failed';
  await assert.rejects(units.start('c.slice', [], { signal }), /`c\.slice`: got `failed`/);
});

test('a bus that refuses itself is left, each time', async () => {
  const { units } = open();
  for (const refused of ['Hello', 'AddMatch', 'Subscribe']) {
    bus.refused = refused;
    await assert.rejects(units.stop('a.slice', { signal }), /it is AccessDenied/);
  }
  while (bus.open > 0) await setImmediate();
  bus.refused = '';
  await units.start('a.slice', [], { signal });
  assert.equal(bus.open, 1);
});

test('without systemd it is said where it was looked for', async () => {
  const sockets = [{ socketPath: join(root, 'nobody'), isBus: true }];
  const units = new SystemdUnits({ clock: systemClock() }, { sockets, userId: 0 });
  await assert.rejects(units.stop('a.slice', { signal }), /systemd does not run here.*nobody/);
});
