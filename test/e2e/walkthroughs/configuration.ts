/**
 * ConfigMaps, Secrets and the downward API, as variables and as files: what kubectl makes of files
 * and words, what a container sees, what changes later, and what happens while they are missing.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { covers, superseded } from '#test/covers.ts';
import {
  condition,
  configMap,
  podOf,
  readProcess,
  secret,
  shell,
  stateOf,
  statusOf,
  stay,
  type Walkthroughs,
  type WatchedCluster,
} from '#test/watched-cluster.ts';

const never = { restartPolicy: 'Never' } as const;

/** A folder of text files beside the cluster. */
function folder(
  walk: WatchedCluster,
  name: string,
  files: Readonly<Record<string, string>>,
): string {
  const path = join(walk.cluster.folder, name);
  mkdirSync(path, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text);
  return path;
}

export const configuration: Walkthroughs = {
  'ConfigMaps of folders, files and words': async (walk) => {
    covers('CFG-032', 'CFG-034', 'CFG-017');
    const game = 'enemies=aliens\nlives=3\nsecret.code.lives=30\n';
    const path = folder(walk, 'configmap', {
      'game.properties': game,
      'ui.properties': 'color=good\nhow=fine',
    });
    const create = (name: string, ...more: readonly string[]) =>
      walk.kubectl('create', 'configmap', name, ...more);
    assert.equal(
      await create('game-config', `--from-file=${path}/`),
      'configmap/game-config created\n',
    );
    await create('game-config-2', `--from-file=${path}/game.properties`);
    await create('game-config-3', `--from-file=special-key=${path}/game.properties`);
    const words = ['--from-literal=special.how=very', '--from-literal=special.type=charm'];
    await create('special-words', ...words);
    const data = async (name: string): Promise<unknown> =>
      JSON.parse(await walk.kubectl('get', 'configmap', name, '-o', 'jsonpath={.data}'));
    assert.deepEqual(await data('game-config'), {
      'game.properties': game,
      'ui.properties': 'color=good\nhow=fine',
    });
    assert.deepEqual(await data('game-config-2'), { 'game.properties': game });
    assert.deepEqual(await data('game-config-3'), { 'special-key': game });
    assert.deepEqual(await data('special-words'), {
      'special.how': 'very',
      'special.type': 'charm',
    });
    const yaml = await walk.kubectl('get', 'configmap', 'game-config-2', '-o', 'yaml');
    assert.match(yaml, /game\.properties: \|\n {4}enemies=aliens\n {4}lives=3\n/);
    const both = await walk.kubectl('get', 'configmap', 'game-config', '-o', 'yaml');
    assert.match(both, /ui\.properties: \|-\n {4}color=good\n {4}how=fine\n/);
  },

  'ConfigMaps in a pod: variables, all variables, arguments, files, some files': async (walk) => {
    covers('CFG-018', 'CFG-019', 'CFG-020', 'CFG-021', 'CFG-022', 'CFG-039', 'VOL-132');
    const volume = { name: 'config-volume', mountPath: '/etc/config' };
    const from = (name: string, key: string) => ({ valueFrom: { configMapKeyRef: { name, key } } });
    const test = (name: string, script: string, more: object, volumes: readonly object[] = []) =>
      podOf(name, { ...never, containers: [shell(script, more)], volumes: volumes as never });
    await walk.create(
      configMap('special-config', {
        'special.how': 'very',
        SPECIAL_TYPE: 'charm',
        SPECIAL_LEVEL: 'very',
      }),
      configMap('env-config', { log_level: 'INFO' }),
      configMap('level-config', { 'special.level': 'very', 'special.type': 'charm' }),
      test('dapi-env', 'env', {
        env: [
          { name: 'SPECIAL_LEVEL_KEY', ...from('special-config', 'special.how') },
          { name: 'LOG_LEVEL', ...from('env-config', 'log_level') },
          {
            name: 'ABSENT',
            valueFrom: { configMapKeyRef: { name: 'env-config', key: 'none', optional: true } },
          },
        ],
      }),
      test('dapi-envfrom', 'env', {
        envFrom: [
          { configMapRef: { name: 'special-config' } },
          { configMapRef: { name: 'env-config' }, prefix: 'MY_' },
          { configMapRef: { name: 'no-such-config', optional: true } },
        ],
      }),
      test(
        'dapi-volume',
        'ls /etc/config/; cat /etc/config/special.level',
        { volumeMounts: [volume] },
        [{ name: volume.name, configMap: { name: 'level-config' } }],
      ),
      test(
        'dapi-items',
        'ls /etc/config/; cat /etc/config/path/to/keys',
        { volumeMounts: [volume] },
        [
          {
            name: volume.name,
            configMap: {
              name: 'level-config',
              items: [{ key: 'special.level', path: 'path/to/keys' }],
            },
          },
        ],
      ),
    );
    const log = async (name: string): Promise<string> => {
      assert.equal((await walk.untilEnded(name)).status?.phase, 'Succeeded', name);
      return await walk.logs(name);
    };
    const one = (await log('dapi-env')).split('\n');
    assert.ok(one.includes('SPECIAL_LEVEL_KEY=very') && one.includes('LOG_LEVEL=INFO'));
    assert.ok(!one.some((line) => line.startsWith('ABSENT=')));
    const all = (await log('dapi-envfrom')).split('\n');
    for (const line of ['SPECIAL_LEVEL=very', 'SPECIAL_TYPE=charm', 'MY_log_level=INFO']) {
      assert.ok(all.includes(line), line);
    }
    assert.equal(await log('dapi-volume'), 'special.level\nspecial.type\nvery');
    assert.equal(await log('dapi-items'), 'path\nvery');
  },

  'names that no shell would take': async (walk) => {
    const now = 'any printable name without = becomes a variable; nothing is skipped';
    superseded('CFG-009', { by: 'v1.34', now });
    superseded('CFG-026', { by: 'v1.34', now });
    await walk.create(
      configMap('odd-config', { '1badkey': 'one', 'also.odd-key': 'two', good: 'three' }),
      secret('odd-secret', { '1badkey': 'four' }),
      podOf('odd-names', {
        ...never,
        containers: [
          shell('cat /proc/1/environ | tr "\\0" "\\n"', {
            envFrom: [
              { configMapRef: { name: 'odd-config' } },
              { secretRef: { name: 'odd-secret' }, prefix: 'S.' },
            ],
          }),
        ],
      }),
    );
    await walk.untilEnded('odd-names');
    const lines = (await walk.logs('odd-names')).split('\n');
    for (const line of ['1badkey=one', 'also.odd-key=two', 'good=three', 'S.1badkey=four']) {
      assert.ok(lines.includes(line), `${line} in ${lines.join(' ')}`);
    }
    assert.ok(!walk.events('odd-names').some((event) => /Invalid/.test(event)));
  },

  'what is missing is waited for, unless it is optional': async (walk) => {
    covers('CFG-008', 'CFG-025', 'POD-132', 'VOL-119', 'VOL-047');
    const key = (optional: boolean) => [
      {
        name: 'WORD',
        valueFrom: { secretKeyRef: { name: 'late-secret', key: 'word', optional } },
      },
    ];
    const words = [{ name: 'words', mountPath: '/words' }];
    // What another namespace has helps nobody here.
    await walk.kubectl('create', 'namespace', 'with-words');
    await walk.create(
      {
        ...secret('', { word: 'foreign' }),
        metadata: { name: 'late-secret', namespace: 'with-words' },
      },
      {
        ...configMap('', { a: 'foreign' }),
        metadata: { name: 'late-map', namespace: 'with-words' },
      },
    );
    await walk.create(
      podOf('needs-key', { containers: [shell(stay, { env: key(false) })] }),
      podOf('needs-map', {
        containers: [shell(stay, { envFrom: [{ configMapRef: { name: 'late-map' } }] })],
      }),
      podOf('needs-volume', {
        containers: [shell(stay, { volumeMounts: words }), shell(stay, { name: 'other' })],
        volumes: [{ name: 'words', secret: { secretName: 'late-secret' } }],
      }),
      podOf('needs-projected', {
        containers: [shell(stay, { volumeMounts: words })],
        volumes: [{ name: 'words', projected: { sources: [{ configMap: { name: 'late-map' } }] } }],
      }),
      podOf('needs-nothing', {
        containers: [
          shell(stay, {
            env: key(true),
            volumeMounts: words,
            envFrom: [{ secretRef: { name: 'never-there', optional: true } }],
          }),
        ],
        volumes: [{ name: 'words', configMap: { name: 'never-there', optional: true } }],
      }),
    );
    await walk.untilReady('needs-nothing');
    assert.equal(await walk.exec('needs-nothing', 'ls', '/words'), '');
    for (const name of ['needs-key', 'needs-map']) {
      const isStuck = (pod: Parameters<typeof stateOf>[0]) =>
        stateOf(pod) === 'Waiting: CreateContainerConfigError';
      const pod = await walk.until(name, isStuck, 'held back');
      const missing = name === 'needs-key' ? 'secret "late-secret"' : 'configmap "late-map"';
      assert.equal(statusOf(pod).state?.waiting?.message, `${missing} not found`);
      await walk.untilEvent(name, new RegExp(`Failed: Error: ${missing} not found`));
    }
    await walk.untilEvent(
      'needs-volume',
      /FailedMount: MountVolume.SetUp failed for volume "words" : secret "late-secret" not found/,
    );
    await walk.untilEvent(
      'needs-projected',
      /FailedMount: .*configmap "late-map" not found|FailedMount: .*references non-existent config/,
    );
    const isHeld = (pod: Parameters<typeof stateOf>[0]) =>
      ['main', 'other'].every((each) => stateOf(pod, each) === 'Waiting: ContainerCreating');
    await walk.until('needs-volume', isHeld, 'held back');
    await walk.create(
      secret('late-secret', { word: 'at last' }),
      configMap('late-map', { a: 'b' }),
    );
    const late = ['needs-key', 'needs-map', 'needs-volume', 'needs-projected'];
    for (const name of late) await walk.untilReady(name);
    const keyOf = (kind: 'secretKeyRef' | 'configMapKeyRef', name: string) => ({
      env: [{ name: 'WORD', valueFrom: { [kind]: { name, key: 'none' } } }],
    });
    await walk.create(
      podOf('lacks-key', { containers: [shell(stay, keyOf('secretKeyRef', 'late-secret'))] }),
      podOf('lacks-map-key', { containers: [shell(stay, keyOf('configMapKeyRef', 'late-map'))] }),
    );
    for (const [name, source] of [
      ['lacks-key', 'Secret default/late-secret'],
      ['lacks-map-key', 'ConfigMap default/late-map'],
    ] as const) {
      const isStuck = (pod: Parameters<typeof stateOf>[0]) =>
        stateOf(pod) === 'Waiting: CreateContainerConfigError';
      const pod = await walk.until(name, isStuck, 'held back');
      assert.equal(statusOf(pod).state?.waiting?.message, `couldn't find key none in ${source}`);
    }
    await walk.kubectl('delete', 'pod', 'lacks-key', 'lacks-map-key');
    const mount = await walk.exec('needs-volume', 'grep', ' /words ', '/proc/mounts');
    assert.match(mount, /^tmpfs \/words tmpfs ro/);
    const { metadata } = await walk.untilReady('needs-volume');
    const memory = join(walk.cluster.dataDir, 'agent/kubelet/memory');
    const mounted = readProcess(process.pid, 'mountinfo');
    assert.ok(
      mounted
        .split('\n')
        .some((line) => line.includes(` ${memory} `) && line.includes(' - tmpfs ')),
    );
    const onNode = (): boolean => existsSync(join(memory, metadata.uid ?? ''));
    assert.ok(onNode());
    await walk.kubectl('delete', 'pod', ...late, 'needs-nothing');
    assert.ok(!onNode(), 'it goes with the pod');
  },

  'Secrets: made, shown, in variables and files, to whom they are mounted': async (walk) => {
    covers('CFG-006', 'CFG-012', 'CFG-015', 'CFG-029', 'CFG-030', 'CFG-031', 'CFG-036', 'CFG-037');
    covers('CFG-038', 'VOL-019', 'VOL-021', 'VOL-020', 'CLI-169', 'CLI-170');
    const path = folder(walk, 'secret', { username: 'my-app', password: '39528$vdg7Jb' });
    const files = [`--from-file=${path}/username`, `--from-file=${path}/password`];
    await walk.kubectl('create', 'secret', 'generic', 'test-secret', ...files);
    const list = await walk.kubectl('get', 'secret', 'test-secret', '--no-headers');
    assert.match(list, /^test-secret +Opaque +2 /);
    const described = await walk.kubectl('describe', 'secret', 'test-secret');
    assert.match(described, /^password: +12 bytes$/m);
    assert.match(described, /^username: +6 bytes$/m);
    assert.doesNotMatch(described + list, /39528/);
    const literal = '--from-literal=password=YOUR_PASSWORD';
    await walk.kubectl('create', 'secret', 'generic', 'mysql-pass', literal);
    const mysql = await walk.kubectl('get', 'secrets', 'mysql-pass', '--no-headers');
    assert.match(mysql, /^mysql-pass +Opaque +1 /);
    const withEnds = ['--from-literal=password=39528$vdg7Jb\n', '--from-literal=username=my-app\n'];
    await walk.kubectl('create', 'secret', 'generic', 'with-ends', ...withEnds);
    const ends = await walk.kubectl('describe', 'secret', 'with-ends');
    assert.match(ends, /^password: +13 bytes$/m);
    assert.match(ends, /^username: +7 bytes$/m);
    const octal = [
      'apiVersion: v1\nkind: Pod\nmetadata: {name: octal}\nspec:',
      '  containers: [{name: main, image: none}]',
      '  volumes: [{name: v, secret: {secretName: s, defaultMode: 0400}}]\n',
    ].join('\n');
    const dry = ['create', '--dry-run=client', '-o', 'json', '-f', '-'];
    const read = await walk.cluster.kubectlWith({ input: octal }, ...dry);
    assert.equal(JSON.parse(read.stdout).spec.volumes[0].secret.defaultMode, 256, read.stderr);
    const key = (name: string) => ({
      valueFrom: { secretKeyRef: { name: 'test-secret', key: name } },
    });
    const at = (name: string) => ({ name, mountPath: `/etc/${name}`, readOnly: true });
    const [username, password] = ['username', 'password'].map((name) => ({ key: name }));
    await walk.create(
      podOf('secret-test-pod', {
        containers: [
          shell(stay, {
            volumeMounts: [at('secret-volume'), at('narrow'), at('foo')],
            env: [
              { name: 'SECRET_USERNAME', ...key('username') },
              { name: 'SECRET_PASSWORD', ...key('password') },
            ],
          }),
          shell(stay, { name: 'stranger' }),
        ],
        volumes: [
          { name: 'secret-volume', secret: { secretName: 'test-secret' } },
          { name: 'narrow', secret: { secretName: 'test-secret', defaultMode: 0o400 } },
          {
            name: 'foo',
            secret: {
              secretName: 'test-secret',
              items: [{ ...username, key: 'username', path: 'my-group/my-username', mode: 511 }],
            },
          },
        ],
      }),
      podOf('unknown-key', {
        containers: [shell(stay, { volumeMounts: [at('foo')] })],
        volumes: [
          {
            name: 'foo',
            secret: { secretName: 'test-secret', items: [{ ...password, key: 'none', path: 'x' }] },
          },
        ],
      }),
    );
    await walk.untilReady('secret-test-pod');
    const exec = (...command: readonly string[]) =>
      walk.kubectl('exec', 'secret-test-pod', '-c', 'main', '--', ...command);
    assert.equal(await exec('ls', '/etc/secret-volume'), 'password\nusername\n');
    assert.equal(await exec('cat', '/etc/secret-volume/password'), '39528$vdg7Jb');
    const modes = [
      '/etc/secret-volume/username',
      '/etc/narrow/username',
      '/etc/foo/my-group/my-username',
    ];
    assert.equal(await exec('stat', '-L', '-c', '%a', ...modes), '644\n400\n777\n');
    assert.equal(
      await exec('find', '/etc/foo/..data/', '-type', 'f'),
      '/etc/foo/..data/my-group/my-username\n',
    );
    const lines = (await exec('env')).split('\n');
    assert.ok(lines.includes('SECRET_USERNAME=my-app'));
    assert.ok(lines.includes('SECRET_PASSWORD=39528$vdg7Jb'), 'no shell has touched it');
    const stranger = [
      'exec',
      'secret-test-pod',
      '-c',
      'stranger',
      '--',
      'ls',
      '/etc/secret-volume',
    ];
    assert.match((await walk.tryKubectl(...stranger)).stderr, /No such file/);
    await walk.untilEvent('unknown-key', /FailedMount: .*references non-existent secret key: none/);
    const held = await walk.until(
      'unknown-key',
      (pod) => condition(pod, 'Initialized') === 'True',
      'held',
    );
    assert.equal(stateOf(held), 'Waiting: ContainerCreating');
  },

  'one template, two identities; files that hide': async (walk) => {
    covers('CFG-010', 'CFG-011');
    const client = (name: string, secretName: string, serviceAccountName = 'default') =>
      podOf(name, {
        serviceAccountName,
        containers: [
          shell(stay, {
            volumeMounts: [{ name: 'secret-volume', mountPath: '/etc/secret-volume' }],
          }),
        ],
        volumes: [{ name: 'secret-volume', secret: { secretName } }],
      });
    const account = {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'other-client' },
    };
    await walk.create(account);
    await walk.create(
      secret('prod-db-secret', { username: 'produser', password: 'Y4nys7f11' }),
      secret('test-db-secret', { username: 'testuser', password: 'iluvtests' }),
      { ...secret('dotfile-secret', {}), data: { '.secret-file': 'dmFsdWUtMg0KDQo=' } },
      client('prod-db-client', 'prod-db-secret'),
      client('test-db-client', 'test-db-secret'),
      client('secret-dotfiles', 'dotfile-secret'),
      client('by-account', 'test-db-secret', 'other-client'),
    );
    const cat = async (name: string, file: string): Promise<string> => {
      await walk.untilReady(name);
      return await walk.exec(name, 'cat', `/etc/secret-volume/${file}`);
    };
    assert.equal(await cat('prod-db-client', 'username'), 'produser');
    assert.equal(await cat('test-db-client', 'username'), 'testuser');
    // The same but for its account: other words in the same file.
    const subjectOf = async (name: string): Promise<string> => {
      await walk.untilReady(name);
      const token = '/var/run/secrets/kubernetes.io/serviceaccount/token';
      const [, claims = ''] = (await walk.exec(name, 'cat', token)).split('.');
      return JSON.parse(Buffer.from(claims, 'base64url').toString()).sub;
    };
    const subject = 'system:serviceaccount:default:';
    assert.equal(await subjectOf('test-db-client'), `${subject}default`);
    assert.equal(await subjectOf('by-account'), `${subject}other-client`);
    assert.equal(await cat('secret-dotfiles', '.secret-file'), 'value-2\r\n\r\n');
    const ls = (option: string) => walk.exec('secret-dotfiles', 'ls', option, '/etc/secret-volume');
    assert.equal(await ls('-1'), '');
    assert.match(await ls('-la'), / \.secret-file -> \.\.data\/\.secret-file$/m);
  },

  'a Secret reaches the nodes that need it, and no disk of theirs': async (walk) => {
    covers('CFG-013');
    const word = 'never-on-any-disk-of-a-node';
    await walk.create(secret('for-memory', { word }));
    const mayRead = async (node: string): Promise<boolean> => {
      const as = ['--as', `system:node:${node}`, '--as-group', 'system:nodes'];
      const get = ['get', 'secret', 'for-memory', '-o', 'name', ...as];
      const { code, stderr } = await walk.tryKubectl(...get);
      if (code !== 0) assert.match(stderr, /Error from server \(Forbidden\)/);
      return code === 0;
    };
    assert.equal(await mayRead(walk.nodeName), false, 'no pod of the node needs it yet');
    const volumeMounts = [{ name: 'words', mountPath: '/words' }];
    await walk.create(
      podOf('in-memory', {
        containers: [shell(stay, { volumeMounts })],
        volumes: [{ name: 'words', secret: { secretName: 'for-memory' } }],
      }),
    );
    const { metadata } = await walk.untilReady('in-memory');
    assert.equal(await walk.exec('in-memory', 'cat', '/words/word'), word);
    assert.equal(await mayRead(walk.nodeName), true);
    assert.equal(await mayRead('another-node'), false);
    const agent = join(walk.cluster.dataDir, 'agent');
    const memory = join(agent, 'kubelet/memory');
    const mounts = readProcess(process.pid, 'mounts').split('\n');
    assert.ok(
      mounts.some((line) => line.startsWith('tmpfs ') && line.includes(` ${memory} tmpfs`)),
    );
    const inMemory = join(memory, metadata.uid ?? 'none');
    const find = (...more: readonly string[]) =>
      walk.run('grep', ['-rlsF', '-D', 'skip', ...more, word, agent]);
    assert.match((await find()).stdout, new RegExp(`^${inMemory}/`), 'where it is looked for');
    assert.equal((await find('--exclude-dir=memory')).stdout, '');
    await walk.kubectl('delete', 'pod', 'in-memory');
    assert.ok(!existsSync(inMemory), 'it goes with the pod');
    assert.equal((await find()).stdout, '');
    assert.equal(await mayRead(walk.nodeName), false);
  },

  'what is mounted follows its object, all at once': async (walk) => {
    covers('CFG-001', 'CFG-024', 'VOL-022', 'VOL-117');
    const at = (name: string) => ({ name, mountPath: `/etc/${name}` });
    await walk.create(
      configMap('changing-map', { one: 'old', two: 'old' }),
      secret('changing-secret', { word: 'old' }),
      podOf(
        'follower',
        {
          containers: [
            shell(stay, {
              volumeMounts: [
                at('map'),
                at('secret'),
                at('info'),
                { ...at('map'), mountPath: '/one', subPath: 'one' },
              ],
            }),
          ],
          volumes: [
            { name: 'map', configMap: { name: 'changing-map' } },
            { name: 'secret', secret: { secretName: 'changing-secret' } },
            {
              name: 'info',
              downwardAPI: {
                items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }],
              },
            },
          ],
        },
        { labels: { zone: 'us-est-coast' } },
      ),
    );
    await walk.untilReady('follower');
    const cat = (path: string) => () => walk.exec('follower', 'cat', path);
    const before = await walk.exec('follower', 'ls', '-la', '/etc/map');
    assert.match(before, /\.\.data -> \.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+$/m);
    assert.match(before, / one -> \.\.data\/one$/m);
    await walk.replace(
      configMap('changing-map', { one: 'new', three: 'new' }),
      secret('changing-secret', { word: 'new' }),
    );
    await walk.kubectl('label', 'pod', 'follower', 'zone=elsewhere', '--overwrite');
    await walk.answer(cat('/etc/map/one'), /^new$/);
    await walk.answer(cat('/etc/secret/word'), /^new$/);
    await walk.answer(cat('/etc/info/labels'), /^zone="elsewhere"$/);
    assert.equal(await walk.exec('follower', 'ls', '/etc/map'), 'one\nthree\n');
    const after = await walk.exec('follower', 'ls', '-la', '/etc/map');
    const target = (text: string): string | undefined => /\.\.data -> (.*)$/m.exec(text)?.[1];
    assert.notEqual(target(after), target(before));
    assert.equal(await cat('/one')(), 'old', 'a sub path stays what it was');
  },

  'the downward API, as variables and as files': async (walk) => {
    covers('POD-187', 'POD-188', 'POD-072', 'POD-185', 'POD-186', 'VOL-049');
    const field = (name: string, fieldPath: string) => ({
      name,
      valueFrom: { fieldRef: { fieldPath } },
    });
    const amount = (name: string, resource: string) => ({
      name,
      valueFrom: { resourceFieldRef: { resource } },
    });
    const file = (resource: string) => ({
      path: resource,
      resourceFieldRef: { containerName: 'main', resource },
    });
    const info = [{ name: 'podinfo', mountPath: '/etc/podinfo' }];
    const names = ['labels', 'annotations', 'name', 'namespace', 'uid'];
    await walk.create(
      podOf(
        'dapi-all',
        {
          containers: [
            shell(`env; echo that is all; ${stay}`, {
              resources: {
                requests: { memory: '32Mi', cpu: '125m' },
                limits: { memory: '64Mi', cpu: '250m' },
              },
              env: [
                field('MY_NODE_NAME', 'spec.nodeName'),
                field('MY_NODE_IP', 'status.hostIP'),
                field('MY_POD_NAME', 'metadata.name'),
                field('MY_POD_NAMESPACE', 'metadata.namespace'),
                field('MY_POD_IP', 'status.podIP'),
                field('MY_POD_UID', 'metadata.uid'),
                field('MY_POD_SERVICE_ACCOUNT', 'spec.serviceAccountName'),
                field('MY_LABEL', "metadata.labels['zone']"),
                amount('MY_CPU_REQUEST', 'requests.cpu'),
                amount('MY_CPU_LIMIT', 'limits.cpu'),
                amount('MY_MEM_REQUEST', 'requests.memory'),
                amount('MY_MEM_LIMIT', 'limits.memory'),
              ],
              volumeMounts: info,
            }),
          ],
          volumes: [
            {
              name: 'podinfo',
              downwardAPI: {
                items: [
                  ...names.map((name) => ({
                    path: name,
                    fieldRef: { fieldPath: `metadata.${name}` },
                  })),
                  ...['limits.cpu', 'requests.cpu', 'limits.memory', 'requests.memory'].map(file),
                  {
                    ...file('requests.cpu'),
                    path: 'milli',
                    resourceFieldRef: { ...file('requests.cpu').resourceFieldRef, divisor: '1m' },
                  },
                ],
              },
            },
          ],
        },
        {
          labels: { zone: 'us-est-coast', cluster: 'one' },
          annotations: { builder: 'john-doe', build: 'two' },
        },
      ),
    );
    const pod = await walk.untilReady('dapi-all');
    const said = await walk.answer(() => walk.logs('dapi-all'), /^that is all$/m);
    const lines = said.split('\n');
    for (const line of [
      `MY_NODE_NAME=${walk.nodeName}`,
      `MY_NODE_IP=${pod.status?.hostIP}`,
      'MY_POD_NAME=dapi-all',
      'MY_POD_NAMESPACE=default',
      `MY_POD_IP=${pod.status?.podIP}`,
      `MY_POD_UID=${pod.metadata.uid}`,
      'MY_POD_SERVICE_ACCOUNT=default',
      'MY_LABEL=us-est-coast',
      'MY_CPU_REQUEST=1',
      'MY_CPU_LIMIT=1',
      'MY_MEM_REQUEST=33554432',
      'MY_MEM_LIMIT=67108864',
    ]) {
      assert.ok(lines.includes(line), line);
    }
    const wanted: Record<string, string> = {
      labels: 'cluster="one"\nzone="us-est-coast"',
      annotations: 'build="two"\nbuilder="john-doe"',
      name: 'dapi-all',
      namespace: 'default',
      uid: pod.metadata.uid ?? '',
      ...{ 'limits.cpu': '1', 'requests.cpu': '1', milli: '125' },
      ...{ 'limits.memory': '67108864', 'requests.memory': '33554432' },
    };
    for (const all of ['metadata.labels', 'metadata.annotations']) {
      const env = [field('ALL', all)];
      const wrong = podOf('all-in-one-variable', { containers: [shell(stay, { env })] });
      const answer = await walk.cluster.kubectlWith(
        { input: JSON.stringify(wrong) },
        ...['create', '-f', '-'],
      );
      assert.match(answer.stderr, /fieldRef\.fieldPath: /, `${all} are for files`);
    }
    const script = 'cd /etc/podinfo; for f in *; do echo "$f:$(cat $f)"; done';
    const text = await walk.exec('dapi-all', 'sh', '-c', script);
    for (const [name, content] of Object.entries(wanted)) {
      assert.ok(text.includes(`${name}:${content}`), `${name} in ${text}`);
    }
  },

  'one volume of many sources': async (walk) => {
    covers('VOL-050', 'VOL-051', 'VOL-052', 'VOL-053', 'VOL-054', 'VOL-115');
    const path = folder(walk, 'projected', {
      'username.txt': 'admin',
      'password.txt': '1f2d1e2e67df',
    });
    for (const [name, file] of [
      ['user', 'username.txt'],
      ['pass', 'password.txt'],
    ]) {
      await walk.kubectl('create', 'secret', 'generic', name ?? '', `--from-file=${path}/${file}`);
    }
    const mount = [{ name: 'all-in-one', mountPath: '/projected-volume', readOnly: true }];
    const limits = { resources: { limits: { cpu: '500m', memory: '20Mi' } } };
    await walk.create(
      configMap('myconfigmap', { config: 'of the map' }),
      podOf('test-projected-volume', {
        containers: [shell(stay, { volumeMounts: mount })],
        volumes: [
          {
            name: 'all-in-one',
            projected: { sources: [{ secret: { name: 'user' } }, { secret: { name: 'pass' } }] },
          },
        ],
      }),
      podOf(
        'volume-test',
        {
          containers: [shell(stay, { ...limits, name: 'container-test', volumeMounts: mount })],
          volumes: [
            {
              name: 'all-in-one',
              projected: {
                defaultMode: 0o440,
                sources: [
                  {
                    secret: {
                      name: 'user',
                      items: [{ key: 'username.txt', path: 'my-group/my-username' }],
                    },
                  },
                  {
                    secret: {
                      name: 'pass',
                      items: [{ key: 'password.txt', path: 'my-group/my-password', mode: 511 }],
                    },
                  },
                  {
                    downwardAPI: {
                      items: [
                        { path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } },
                        {
                          path: 'cpu_limit',
                          resourceFieldRef: {
                            containerName: 'container-test',
                            resource: 'limits.cpu',
                            divisor: '1m',
                          },
                        },
                      ],
                    },
                  },
                  {
                    configMap: {
                      name: 'myconfigmap',
                      items: [{ key: 'config', path: 'my-group/my-config' }],
                    },
                  },
                ],
              },
            },
          ],
        },
        { labels: { app: 'projected' } },
      ),
    );
    await walk.untilReady('test-projected-volume');
    const listed = await walk.exec('test-projected-volume', 'ls', '/projected-volume/');
    assert.equal(listed, 'password.txt\nusername.txt\n');
    await walk.untilReady('volume-test');
    const script =
      'cd /projected-volume; for f in my-group/* labels cpu_limit; do echo "$f $(stat -L -c %a $f) $(cat $f)"; done';
    assert.deepEqual((await walk.exec('volume-test', 'sh', '-c', script)).trim().split('\n'), [
      'my-group/my-config 440 of the map',
      'my-group/my-password 777 1f2d1e2e67df',
      'my-group/my-username 440 admin',
      'labels 440 app="projected"',
      'cpu_limit 440 500',
    ]);
    const wrong = podOf('wrong-name', {
      containers: [shell(stay)],
      volumes: [
        {
          name: 'x',
          projected: {
            sources: [
              { secret: { secretName: 'user', defaultMode: 256, namespace: 'other' } as never },
            ],
          },
        },
      ],
    });
    const input = JSON.stringify(wrong);
    const refused = await walk.cluster.kubectlWith({ input }, 'create', '-f', '-');
    assert.match(
      refused.stderr,
      /unknown field "spec\.volumes\[0\]\.projected\.sources\[0\]\.secret\.secretName"/,
    );
    assert.match(
      refused.stderr,
      /unknown field "[^"]*projected\.sources\[0\]\.secret\.defaultMode"/,
    );
    assert.match(refused.stderr, /unknown field "[^"]*sources\[0\]\.secret\.namespace"/);
  },

  'a program configured by a ConfigMap; a pod that names its account': async (walk) => {
    covers('POD-133', 'CFG-023');
    const account = { name: 'prod-db-client-account' };
    const imagePullSecrets = [{ name: 'of-the-account' }];
    await walk.create({
      ...{ apiVersion: 'v1', kind: 'ServiceAccount', metadata: account, imagePullSecrets },
    });
    const token = { path: 'token', expirationSeconds: 600, audience: 'vault' };
    await walk.create(
      configMap('redis-config', {
        'redis-config': 'maxmemory 2mb\nmaxmemory-policy allkeys-lru\n',
      }),
      podOf('redis-like', {
        serviceAccount: 'prod-db-client-account',
        containers: [
          shell(stay, {
            volumeMounts: [
              { name: 'config', mountPath: '/redis-master' },
              { name: 'vault', mountPath: '/var/run/vault' },
              { name: 'info', mountPath: '/info' },
            ],
          }),
        ],
        volumes: [
          {
            name: 'config',
            configMap: {
              name: 'redis-config',
              items: [{ key: 'redis-config', path: 'redis.conf', mode: 0o600 }],
            },
          },
          { name: 'vault', projected: { sources: [{ serviceAccountToken: token }] } },
          {
            name: 'info',
            downwardAPI: {
              items: [{ path: 'name', mode: 0o440, fieldRef: { fieldPath: 'metadata.name' } }],
            },
          },
        ],
      }),
    );
    const pod = await walk.untilReady('redis-like');
    assert.equal(pod.spec?.serviceAccountName, 'prod-db-client-account');
    assert.deepEqual(pod.spec.imagePullSecrets, imagePullSecrets);
    const config = await walk.exec('redis-like', 'cat', '/redis-master/redis.conf');
    assert.equal(config, 'maxmemory 2mb\nmaxmemory-policy allkeys-lru\n');
    const mode = await walk.exec(
      'redis-like',
      'stat',
      '-L',
      '-c',
      '%a',
      '/redis-master/redis.conf',
      '/info/name',
    );
    assert.equal(mode, '600\n440\n');
    const claims = async (path: string): Promise<Readonly<Record<string, unknown>>> => {
      const text = await walk.exec('redis-like', 'cat', path);
      return JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString());
    };
    const own = await claims('/var/run/secrets/kubernetes.io/serviceaccount/token');
    assert.equal(own['sub'], 'system:serviceaccount:default:prod-db-client-account');
    const other = await claims('/var/run/vault/token');
    assert.deepEqual(other['aud'], ['vault']);
    assert.equal(Number(other['exp']) - Number(other['iat']), 600);
    const bearer = await walk.exec(
      'redis-like',
      'cat',
      '/var/run/secrets/kubernetes.io/serviceaccount/token',
    );
    const server = `https://127.0.0.1:${walk.cluster.apiPort}`;
    const as = ['--kubeconfig=/dev/null', '--server', server, '--insecure-skip-tls-verify'];
    const whoami = ['auth', 'whoami', '--token', bearer, '-o', 'jsonpath={.status.userInfo}'];
    const who = (await walk.run('kubectl', [...as, ...whoami])).stdout;
    assert.match(who, /"username":"system:serviceaccount:default:prod-db-client-account"/);
    assert.match(who, /authentication.kubernetes.io\/pod-name":\["redis-like"\]/);
  },
};
