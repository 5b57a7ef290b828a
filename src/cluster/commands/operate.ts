/**
 * `coracle down`, `status` and `reset`: the commands that speak to a running cluster, or clean up.
 */
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { systemClock } from '#kit/clock.ts';
import { openLog } from '#kit/log.ts';
import { askCluster, type ClusterStatus } from '../control-socket.ts';
import type { ClusterConfig } from '../settings/config.ts';
import { statePath } from '../state.ts';

export async function down(config: ClusterConfig): Promise<void> {
  const request = { do: 'stop', leavePods: config.leavePods } as const;
  const answer = await askCluster(systemClock(), config.dataDir, request);
  console.log(answer === undefined ? notRunning(config) : 'coracle: stopped');
}

export async function status(config: ClusterConfig): Promise<void> {
  const { text, isRunning } = await statusText(config);
  console.log(text);
  if (!isRunning) process.exitCode = 3;
}

export async function statusText(
  config: ClusterConfig,
): Promise<{ readonly text: string; readonly isRunning: boolean }> {
  const answer = await askCluster(systemClock(), config.dataDir, { do: 'status' });
  if (answer === undefined) return { text: notRunning(config), isRunning: false };
  // The other end is our own process of the same data dir.
  const running = answer as ClusterStatus;
  const lines = [
    `version     ${running.version}`,
    `process     ${running.pid}, since ${running.startedAt}`,
    `data dir    ${config.dataDir}`,
    ...running.components.map(
      ({ name, state, detail }) => `${name.padEnd(14)} ${state.padEnd(9)} ${detail}`,
    ),
  ];
  return { text: lines.join('\n'), isRunning: true };
}

export async function reset(config: ClusterConfig, options: { readonly yes: boolean }) {
  if (!existsSync(statePath(config.dataDir))) {
    console.log(`coracle: no cluster in ${config.dataDir}`);
    return;
  }
  if (!options.yes && !(await confirm(`Delete the cluster in ${config.dataDir} and its pods?`))) {
    console.log('coracle: nothing was deleted');
    process.exitCode = 1;
    return;
  }
  const clock = systemClock();
  await askCluster(clock, config.dataDir, { do: 'stop', leavePods: false });
  const { resetCluster } = await import('../teardown.ts');
  const write = (line: string): boolean => process.stderr.write(line);
  const log = openLog({ clock, level: 'warn', format: 'text', write });
  await resetCluster({ clock, log }, config.dataDir);
  console.log('coracle: deleted');
}

function notRunning(config: ClusterConfig): string {
  return `coracle: not running from ${config.dataDir}`;
}

async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new Error('reset asks first; say --yes where nobody can answer');
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await lines.question(`${question} [y/N] `);
  lines.close();
  return /^y(es)?$/i.test(answer.trim());
}
