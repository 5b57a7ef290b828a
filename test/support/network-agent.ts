/**
 * The network half of a node as a process of its own, so that a test can run it inside a network
 * namespace and kill it. Started by `test/e2e/network.e2e.ts` with an IPC channel: it is told which
 * objects the API has, and says when each part is ready.
 */
import { runDNS } from '#dns';
import { systemClock } from '#kit/clock.ts';
import { openLog } from '#kit/log.ts';
import { Scope } from '#kit/scope.ts';
import { removePodNetwork, runPodNetwork } from '#network';
import { removeServiceProxy, runServiceProxy } from '#proxy';
import { FakeInformers } from './fake-informers.ts';
import type { AgentCommand, AgentReport, AgentSettings } from './network-node.ts';

const clock = systemClock();
const write = (line: string): void => void process.stderr.write(line);
const log = openLog({ clock, level: 'debug', format: 'text', write });
const stop = new AbortController();
const informers = new FakeInformers();
const ended = new Error('the test is over');

function report(message: AgentReport): void {
  process.send?.(message);
}

async function run(settings: AgentSettings): Promise<void> {
  const { nodeName, nodeIP, clusterId, clusterCIDR, podCIDR, dataDir } = settings;
  await using scope = new Scope(stop.signal);
  const deps = { clock, log, informers };
  scope.spawn((signal) =>
    runPodNetwork(deps, {
      ...{ dataDir, clusterId, podCIDR, nodeIP, clusterCIDR, signal },
      onReady: () => report({ ready: 'network' }),
    }),
  );
  scope.spawn((signal) =>
    runServiceProxy(deps, {
      ...{ nodeName, clusterId, clusterCIDR, signal },
      onReady: () => report({ ready: 'proxy' }),
    }),
  );
  scope.spawn((signal) =>
    runDNS(deps, {
      ...{ address: nodeIP, port: settings.dnsPort, clusterDomain: 'cluster.local' },
      ...{ clusterCIDR, upstreams: settings.upstreams, signal },
      onReady: () => report({ ready: 'dns' }),
    }),
  );
  await scope.join();
}

async function leave({ clusterId, clusterCIDR, dataDir }: AgentSettings): Promise<void> {
  const { signal } = stop;
  await removePodNetwork({ log }, { clusterId, clusterCIDR, dataDir, signal });
  await removeServiceProxy({ clusterId, signal });
  report({ ready: 'left' });
}

process.on('message', (command: AgentCommand) => {
  if (command.do === 'put') informers.put(command.kind, command.object);
  else if (command.do === 'remove') informers.remove(command.kind, command.key);
  else if (command.do === 'leave') {
    leave(command.settings).catch((error: unknown) => log.error('not left', { error }));
  } else {
    run(command.settings).catch((error: unknown) => {
      if (error !== ended) log.error('network agent failed', { error });
    });
    informers.finishList();
  }
});
process.on('disconnect', () => stop.abort(ended));
