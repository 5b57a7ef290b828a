/**
 * Whether the machine itself is on its way down. A service leaves its pods running when it ends,
 * since it is usually about to come again; not so when the machine ends: then they get their time
 * to end, and nothing of them holds the machine up. `cluster.ts` and `agent.ts` ask.
 */
import { existsSync } from 'node:fs';
import { runCommand } from '#kit/run-command.ts';

const limits = { askMs: 5000 } as const;

export interface ServiceManagerPrograms {
  /** It is there where systemd has started the machine. */
  readonly runFolder: string;
  readonly systemctl: string;
  readonly openrc: string;
}

const machine: ServiceManagerPrograms = {
  runFolder: '/run/systemd/system',
  systemctl: 'systemctl',
  openrc: '/sbin/rc-status',
};

export async function isMachineEnding({
  runFolder,
  systemctl,
  openrc,
}: ServiceManagerPrograms = machine): Promise<boolean> {
  const { signal } = new AbortController();
  const ask = async (program: string, flag: string): Promise<string> => {
    try {
      const { stdout } = await runCommand(program, [flag], { signal, timeoutMs: limits.askMs });
      return stdout.trim();
    } catch (error) {
      // Who asks is about to end, and has to do so in order whatever is the matter here.
      if (!(error instanceof Error)) throw error;
      return '';
    }
  };
  if (existsSync(runFolder)) return (await ask(systemctl, 'is-system-running')) === 'stopping';
  return existsSync(openrc) && ['shutdown', 'reboot'].includes(await ask(openrc, '--runlevel'));
}
