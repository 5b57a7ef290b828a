/**
 * Liveness, readiness and startup probes with real programs: what they ask, whom they restart, and
 * whom Services leave out.
 */
import assert from 'node:assert/strict';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import {
  condition,
  configMap,
  nginx,
  podOf,
  secret,
  service,
  shell,
  statusOf,
  stay,
  type Walkthroughs,
  type WatchedCluster,
} from '#test/watched-cluster.ts';

const quick = { periodSeconds: 1, failureThreshold: 1 } as const;
/** A busy machine may take its time: that is no failure. */
const patient = { timeoutSeconds: 30 } as const;

/** Says who asked, and is well as long as there is no file /tmp/sick. */
const healthConf = [
  "log_format asked '$request; $http_x_custom_header; $http_user_agent';",
  'server { listen 8080; location /healthz { access_log /dev/stdout asked;',
  'if (-f /tmp/sick) { return 500; } return 200; }',
  'location /edge { return 304; } }',
].join('\n');

function restarted(walk: WatchedCluster, name: string, container?: string): Promise<unknown> {
  const again = (pod: Parameters<typeof statusOf>[0]): boolean =>
    pod.status?.containerStatuses !== undefined && statusOf(pod, container).restartCount > 0;
  return walk.until(name, again, 'restarted');
}

function endpoints(walk: WatchedCluster, name: string): Promise<string> {
  const path = 'jsonpath={.subsets[*].addresses[*].ip}';
  return walk.kubectl('get', 'endpoints', name, '-o', path);
}

function kubeletPort(walk: WatchedCluster): Promise<string> {
  const path = 'jsonpath={.status.daemonEndpoints.kubeletEndpoint.Port}';
  return walk.kubectl('get', 'node', walk.nodeName, '-o', path);
}

export const probes: Walkthroughs = {
  'liveness-exec: a file that goes': async (walk) => {
    covers('POD-166', 'POD-294', 'POD-261');
    const now = 'columns Type, Reason, Age, From, Message; the path is in the Event alone';
    superseded('CLI-158', { by: 'v1.8', now });
    const script = 'touch /tmp/healthy; sleep 2; rm -f /tmp/healthy; sleep 600';
    const probe = { exec: { command: ['cat', '/tmp/healthy'] }, initialDelaySeconds: 1 };
    await walk.create(
      podOf('liveness-exec', {
        containers: [
          {
            ...shell(script, { name: 'liveness' }),
            livenessProbe: { ...probe, ...quick, ...patient },
          },
        ],
      }),
      // Not a probe's doing, and yet the container comes again.
      podOf('oom-again', {
        containers: [
          shell('sleep 0.3; head -c 100m /dev/zero | tail', {
            resources: { limits: { memory: '20Mi' } },
          }),
        ],
      }),
    );
    await walk.until('liveness-exec', (pod) => statusOf(pod).ready, 'ready at first');
    await restarted(walk, 'liveness-exec');
    const describe = () => walk.kubectl('describe', 'pod', 'liveness-exec');
    const failed = /Warning +Unhealthy .*Liveness probe failed: cat: can't open '\/tmp\/healthy'/;
    await walk.answer(describe, failed);
    const text = await walk.answer(describe, /will be restarted/);
    assert.match(
      text,
      /Normal +Killing .*Container liveness failed liveness probe, will be restarted/,
    );
    assert.match(text, /Restart Count: +[1-9]/);
    assert.match(text, /^Events:\n +Type +Reason +Age +From +Message$/m);
    const field = 'jsonpath={.items[*].involvedObject.fieldPath}';
    const about = 'involvedObject.name=liveness-exec,reason=Unhealthy';
    const path = await walk.kubectl('get', 'events', '--field-selector', about, '-o', field);
    assert.match(path, /^spec\.containers\{liveness\}/);
    // The reason may be told after the end.
    const isKilled = (pod: Pod): boolean =>
      statusOf(pod).lastState?.terminated?.reason === 'OOMKilled' && statusOf(pod).restartCount > 0;
    const killed = await walk.until('oom-again', isKilled, 'again');
    assert.equal(statusOf(killed).lastState?.terminated?.exitCode, 137);
  },

  'liveness-http: a server that begins to fail, a header of the probe': async (walk) => {
    covers('POD-017', 'POD-167', 'POD-042', 'POD-319', 'POD-102', 'POD-101');
    const httpGet = {
      ...{ path: '/healthz', port: 8080, scheme: 'HTTP', host: '' },
      httpHeaders: [{ name: 'X-Custom-Header', value: 'Awesome' }],
    } as const;
    await walk.create(
      secret('liveness-secret', { word: 'open sesame' }),
      configMap('liveness-conf', { 'health.conf': healthConf }),
      podOf('liveness-http', {
        containers: [
          {
            ...{ name: 'liveness', image: nginx },
            livenessProbe: { httpGet, initialDelaySeconds: 1, periodSeconds: 1, ...patient },
            readinessProbe: { httpGet: { path: '/edge', port: 8080 }, ...quick, ...patient },
            volumeMounts: [
              { name: 'words', mountPath: '/words' },
              { name: 'conf', mountPath: '/etc/nginx/conf.d' },
            ],
          },
        ],
        volumes: [
          { name: 'words', secret: { secretName: 'liveness-secret' } },
          { name: 'conf', configMap: { name: 'liveness-conf' } },
        ],
      }),
      // The server of the API, at an address that is not the pod's.
      podOf('asks-the-server', {
        containers: [
          shell(stay, {
            readinessProbe: {
              httpGet: {
                ...{ scheme: 'HTTPS', host: '127.0.0.1', path: '/livez' },
                port: walk.cluster.apiPort,
              },
              ...quick,
              ...patient,
            },
          }),
        ],
      }),
      // Whom the probe comes from, in the server's own words.
      podOf('probed-from', {
        containers: [
          {
            ...{ name: 'web', image: nginx },
            readinessProbe: { httpGet: { path: '/', port: 80 }, ...quick, ...patient },
          },
        ],
      }),
    );
    await walk.until('liveness-http', (pod) => statusOf(pod).ready, 'ready');
    assert.equal(await walk.exec('liveness-http', 'cat', '/words/word'), 'open sesame');
    const asked = /^GET \/healthz HTTP\/1\.1; Awesome; kube-probe\/1\.36/m;
    await walk.answer(() => walk.logs('liveness-http'), asked);
    await walk.exec('liveness-http', 'touch', '/tmp/sick');
    await restarted(walk, 'liveness-http');
    await walk.untilEvent('liveness-http', /HTTP probe failed with statuscode: 500/);
    const again = await walk.until('liveness-http', (pod) => statusOf(pod).ready, 'ready again');
    assert.equal(again.status?.phase, 'Running');
    await walk.untilReady('asks-the-server');
    const { status } = await walk.untilReady('probed-from');
    const from = new RegExp(`^${status?.hostIP?.replaceAll('.', '\\.')} .*kube-probe`, 'm');
    await walk.answer(() => walk.logs('probed-from'), from);
    await walk.kubectl('delete', 'pod', 'probed-from', 'asks-the-server');
    await walk.untilGone('probed-from');
  },

  'liveness and readiness by TCP, by a port with a name, over TLS': async (walk) => {
    covers('POD-316', 'POD-317', 'POD-314', 'POD-093', 'POD-168', 'POD-169');
    const exec = { command: ['true'] };
    const tcp = { tcpSocket: { port: 8080 }, initialDelaySeconds: 1, periodSeconds: 1, ...patient };
    await walk.create(
      podOf('goproxy', {
        securityContext: { runAsUser: 1000, fsGroup: 1000 },
        containers: [
          {
            ...shell(`httpd -p 8080; ${stay}`),
            ports: [{ name: 'liveness-port', containerPort: 8080 }],
            readinessProbe: tcp,
            livenessProbe: { tcpSocket: { port: 'liveness-port' }, periodSeconds: 1, ...patient },
            startupProbe: { exec: { command: ['true'] }, periodSeconds: 1, ...patient },
            securityContext: { capabilities: { add: ['NET_ADMIN'] } },
          },
          {
            ...shell(stay, { name: 'other' }),
            readinessProbe: { exec, initialDelaySeconds: 1, ...quick, ...patient },
            livenessProbe: { exec, initialDelaySeconds: 1, ...quick, ...patient },
          },
        ],
      }),
      service('goproxy', {
        selector: { app: 'goproxy' },
        ports: [{ port: 90, targetPort: 'liveness-port' }],
      }),
    );
    await walk.kubectl('label', 'pod', 'goproxy', 'app=goproxy');
    await walk.untilReady('goproxy');
    const path = 'jsonpath={.subsets[*].ports[*].port}';
    const get = () => walk.kubectl('get', 'endpoints', 'goproxy', '-o', path);
    await walk.answer(get, /^8080$/);
    // The kernel keeps the capability in the bounding set of a user who is not root.
    const bounding = await walk.exec('goproxy', 'grep', 'CapBnd', '/proc/1/status');
    assert.match(bounding, /a80435fb/);
    assert.match(await walk.exec('goproxy', 'id'), /uid=1000 gid=0\(root\) groups=0\(root\),1000/);
    // One that only answers a probe may have ended by itself meanwhile.
    const end = 'kill $(pidof httpd) || true';
    await walk.kubectl('exec', 'goproxy', '-c', 'main', '--', 'sh', '-c', end);
    await restarted(walk, 'goproxy', 'main');
    const pod = await walk.until('goproxy', (each) => statusOf(each, 'main').ready, 'well again');
    assert.equal(statusOf(pod, 'other').restartCount, 0);
  },

  'readiness decides who is behind a Service': async (walk) => {
    covers('POD-295', 'POD-296', 'POD-304', 'POD-098', 'POD-097', 'POD-170');
    const command = ['test', '-e', '/tmp/ready'];
    const readinessProbe = { exec: { command }, ...quick, ...patient };
    await walk.create(
      podOf(
        'db-0',
        {
          terminationGracePeriodSeconds: 600,
          containers: [
            // Ends only when it is killed, so that there is time to look at its end.
            {
              ...shell('trap "" TERM; while true; do sleep 1; done', { name: 'db' }),
              readinessProbe,
            },
            shell(stay, { name: 'side' }),
          ],
        },
        { labels: { app: 'db', only: 'db-0' } },
      ),
      service('db', { selector: { only: 'db-0' }, ports: [{ port: 3306 }] }),
      service('db-all', { selector: { app: 'db' }, ports: [{ port: 3306 }] }),
    );
    const { status } = await walk.until(
      'db-0',
      (pod) => statusOf(pod, 'db').started === true,
      'up',
    );
    // Of each Service that it is behind.
    const behind = async (wanted: RegExp): Promise<void> => {
      for (const name of ['db', 'db-all']) await walk.answer(() => endpoints(walk, name), wanted);
    };
    for (const name of ['db', 'db-all']) {
      assert.equal(await endpoints(walk, name), '', 'not before the first success');
    }
    const row = () => walk.kubectl('get', 'pod', 'db-0', '--no-headers');
    assert.match(await row(), /1\/2 +Running/);
    const setReady = (command: string) =>
      walk.kubectl('exec', 'db-0', '-c', 'db', '--', ...command.split(' '));
    await setReady('touch /tmp/ready');
    await walk.untilReady('db-0');
    const ip = new RegExp(`^${status?.podIP}$`);
    await behind(ip);
    await setReady('mv /tmp/ready /tmp/away');
    await behind(/^$/);
    assert.match(await row(), /1\/2 +Running +0/);
    await walk.untilEvent('db-0', /Unhealthy: Readiness probe failed/);
    await setReady('mv /tmp/away /tmp/ready');
    await behind(ip);
    await walk.kubectl('delete', 'pod', 'db-0', '--wait=false');
    await behind(/^$/);
    const slices = ['get', 'endpointslices', '-l', 'kubernetes.io/service-name=db', '-o'];
    const path = 'jsonpath={.items[*].endpoints[*].conditions}';
    const conditions = () => walk.kubectl(...slices, path);
    await walk.answer(conditions, /(?=.*"ready":false)(?=.*"terminating":true)/);
    assert.ok(!walk.isGone('db-0'), 'its processes still run meanwhile');
    await walk.kubectl('delete', 'pod', 'db-0', '--grace-period=1', '--wait=false');
    await walk.untilGone('db-0');
  },

  'a server of TLS with a certificate of its own making': async (walk) => {
    covers('CFG-014', 'CFG-033', 'SVC-041', 'NET-027');
    const certificate = await walk.run('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=nginxsvc'],
      ...['-keyout', `${walk.cluster.folder}/tls.key`, '-out', `${walk.cluster.folder}/tls.crt`],
      ...['-addext', 'subjectAltName=DNS:nginxsvc'],
    ]);
    assert.equal(certificate.code, 0, certificate.stderr);
    const pair = [`--cert=${walk.cluster.folder}/tls.crt`, `--key=${walk.cluster.folder}/tls.key`];
    await walk.kubectl('create', 'secret', 'tls', 'nginxsecret', ...pair);
    const conf = [
      'server { listen 443 ssl; root /usr/share/nginx/html;',
      'ssl_certificate /etc/nginx/ssl/tls.crt; ssl_certificate_key /etc/nginx/ssl/tls.key; }',
    ].join('\n');
    await walk.create(
      configMap('nginx-conf', { 'default.conf': conf }),
      service('nginxsvc', {
        selector: { app: 'nginxsecure' },
        ports: [
          { name: 'http', port: 8080, targetPort: 80 },
          { name: 'https', port: 443 },
        ],
      }),
      podOf(
        'nginx-https',
        {
          containers: [
            {
              ...{ name: 'nginxhttps', image: nginx },
              // Nobody has signed the certificate, and yet the probe is content.
              livenessProbe: {
                httpGet: { port: 443, scheme: 'HTTPS' },
                periodSeconds: 2,
                ...patient,
              },
              readinessProbe: { httpGet: { port: 443, scheme: 'HTTPS' }, ...quick, ...patient },
              volumeMounts: [
                { name: 'secret-volume', mountPath: '/etc/nginx/ssl' },
                { name: 'configmap-volume', mountPath: '/etc/nginx/conf.d' },
              ],
            },
          ],
          volumes: [
            { name: 'secret-volume', secret: { secretName: 'nginxsecret' } },
            { name: 'configmap-volume', configMap: { name: 'nginx-conf' } },
          ],
        },
        { labels: { app: 'nginxsecure' } },
      ),
    );
    await walk.untilReady('nginx-https');
    const ip = await walk.kubectl('get', 'svc', 'nginxsvc', '-o', 'jsonpath={.spec.clusterIP}');
    const curl = async (...args: readonly string[]): Promise<string> =>
      (await walk.run('curl', ['-sS', '--max-time', '30', ...args])).stdout;
    const resolve = [
      '--resolve',
      `nginxsvc:443:${ip}`,
      '--cacert',
      `${walk.cluster.folder}/tls.crt`,
    ];
    await walk.answer(() => curl(...resolve, 'https://nginxsvc/'), /Welcome aboard/);
    assert.match(await curl(`http://${ip}:8080/`), /Welcome aboard/);
    // The server of the API passes on over TLS, and believes whomever it speaks with.
    const api = '/api/v1/namespaces/default';
    for (const path of ['services/https:nginxsvc:https', 'pods/https:nginx-https:443']) {
      const passed = () => walk.kubectl('get', '--raw', `${api}/${path}/proxy/`);
      await walk.answer(passed, /Welcome aboard/);
    }
    const health = `/api/v1/nodes/https:${walk.nodeName}:${await kubeletPort(walk)}/proxy/healthz`;
    assert.equal(await walk.kubectl('get', '--raw', health), 'ok');
  },

  'failing probes in words, and what the defaults are': async (walk) => {
    covers('POD-286', 'POD-285');
    const same = { path: '/', port: 80 };
    await walk.create(
      podOf('my-scheduler-like', {
        ...{ hostNetwork: false, hostPID: false, volumes: [] },
        containers: [
          {
            ...{ name: 'web', image: nginx, volumeMounts: [], env: [], ports: [] },
            securityContext: { privileged: false },
            livenessProbe: { httpGet: same, initialDelaySeconds: 15 },
            readinessProbe: { httpGet: same },
          },
        ],
      }),
    );
    const pod = await walk.untilReady('my-scheduler-like');
    assert.equal(condition(pod, 'ContainersReady'), 'True');
    const row = await walk.kubectl('get', 'pod', 'my-scheduler-like', '--no-headers');
    assert.match(row, /1\/1 +Running +0/);
    const text = await walk.kubectl('describe', 'pod', 'my-scheduler-like');
    for (const line of [
      /Liveness: +http-get http:\/\/:80\/ delay=15s timeout=1s period=10s #success=1 #failure=3/,
      /Readiness: +http-get http:\/\/:80\/ delay=0s timeout=1s period=10s #success=1 #failure=3/,
      new RegExp(`^Node: +${walk.nodeName}/`, 'm'),
      /^Status: +Running$/m,
      /^QoS Class: +BestEffort$/m,
      /^ +State: +Running$/m,
      /^ +Restart Count: +0$/m,
    ]) {
      assert.match(text, line);
    }
  },
};
