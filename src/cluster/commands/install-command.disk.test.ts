/** The cluster as a service: files, and what the service manager is told. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { readConfig } from '../settings/config.ts';
import { readUpFlags } from './command-line.ts';
import { type InstallDeps, install, uninstall } from './install-command.ts';
import { serviceFiles } from './service-unit.ts';

let root: string;
let said: string[];
let ran: string[];
let deps: InstallDeps;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'coracle-install-'));
  said = [];
  ran = [];
  const run = async (command: string, args: readonly string[]) => {
    ran.push([command, ...args].join(' '));
  };
  deps = { root, run, say: (line) => said.push(line) };
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function machine(...paths: readonly string[]): void {
  const folders = ['/etc/systemd/system', '/etc/init.d', '/etc/conf.d', ...paths.map(dirname)];
  for (const folder of folders) mkdirSync(join(root, folder), { recursive: true });
  for (const path of paths) writeFileSync(join(root, path), '');
}

const flags = ['--api-port', '7443', '--data-dir', '/data with space'];

function options(start = true) {
  const here = { isRoot: true, platform: 'linux', missing: [] } as const;
  const config = readConfig(readUpFlags(flags), here);
  const program = ['/usr/bin/node', '/opt/coracle/bin/coracle.js'];
  return { name: 'coracle', program, flags, config, start };
}

test('with systemd a unit is written, enabled and started', async () => {
  machine('/run/systemd/system/x', '/usr/bin/systemd-notify');
  await install(deps, options());
  const unit = readFileSync(join(root, '/etc/systemd/system/coracle.service'), 'utf8');
  const command =
    '/usr/bin/node /opt/coracle/bin/coracle.js up --leave-pods --api-port 7443 ' +
    '--data-dir "/data with space"';
  assert.ok(unit.includes(`\nExecStart=${command}\n`), unit);
  for (const line of [
    'Type=notify',
    'Delegate=yes',
    'KillMode=process',
    'LimitNOFILE=1048576',
    'TasksMax=infinity',
    'Restart=always',
    'RestartSec=5s',
    'EnvironmentFile=-/etc/systemd/system/coracle.service.env',
    'WantedBy=multi-user.target',
  ]) {
    assert.ok(unit.split('\n').includes(line), line);
  }
  const environment = statSync(join(root, '/etc/systemd/system/coracle.service.env'));
  assert.equal(environment.mode & 0o777, 0o600);
  assert.deepEqual(ran, ['systemctl daemon-reload', 'systemctl enable --now coracle.service']);
  assert.match(said.at(-1) ?? '', /kubectl --kubeconfig \/data with space\/admin.kubeconfig/);
});

test('a second install keeps what was written into the environment', async () => {
  machine('/run/systemd/system/x');
  await install(deps, options(false));
  const path = join(root, '/etc/systemd/system/coracle.service.env');
  writeFileSync(path, 'A=b\n');
  await install(deps, options(false));
  assert.equal(readFileSync(path, 'utf8'), 'A=b\n');
  assert.deepEqual(ran, ['systemctl daemon-reload', 'systemctl daemon-reload']);
  const unit = readFileSync(join(root, '/etc/systemd/system/coracle.service'), 'utf8');
  assert.match(unit, /^Type=exec$/m, 'nobody could say when it is ready');
});

test('with OpenRC a script is written and added to the default runlevel', async () => {
  machine('/sbin/openrc-run');
  await install(deps, options());
  const path = join(root, '/etc/init.d/coracle');
  assert.equal(statSync(path).mode & 0o777, 0o755);
  const script = readFileSync(path, 'utf8');
  assert.match(script, /^#!\/sbin\/openrc-run\n/);
  assert.match(script, /^command=\/usr\/bin\/node$/m);
  assert.match(
    script,
    /^command_args='.*up --leave-pods --api-port 7443 --data-dir .*data with space/m,
  );
  assert.deepEqual(ran, ['rc-update add coracle default', 'rc-service coracle restart']);
});

test('uninstall ends pods and service, and takes its files away', async () => {
  machine('/run/systemd/system/x');
  await install(deps, options());
  ran.length = 0;
  const stopPods = async ({ dataDir = '' }) => void ran.push(`pods of ${dataDir} stopped`);
  await uninstall(deps, { name: 'coracle', stopPods });
  assert.deepEqual(ran, [
    'pods of /data with space stopped',
    'systemctl disable --now coracle.service',
    'systemctl daemon-reload',
  ]);
  for (const { path } of serviceFiles('systemd', { ...options(), dataDir: '', canNotify: true })) {
    assert.equal(existsSync(root + path), false, path);
  }
  await assert.rejects(uninstall(deps, { name: 'coracle', stopPods }), /there is no service/);
});

test('where no service manager runs, or the name is none, it is said', async () => {
  machine();
  await assert.rejects(install(deps, options()), /neither systemd nor OpenRC/);
  machine('/run/systemd/system/x');
  await assert.rejects(install(deps, { ...options(), name: '../x' }), /not a name/);
});

test('words with a meaning for systemd are doubled or quoted', () => {
  const [unit] = serviceFiles('systemd', {
    name: 'c',
    program: ['/n'],
    flags: ['a%b', 'c$d', 'e"f'],
    dataDir: '/d',
    canNotify: true,
  });
  assert.match(unit.text, /^ExecStart=\/n up --leave-pods a%%b c\$\$d "e\\"f"$/m);
});
