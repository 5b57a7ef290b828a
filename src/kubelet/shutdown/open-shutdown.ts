/**
 * Whether shutdowns of the machine are held up: where the settings say for how long. Only then
 * anything is loaded, and systemd's logind asked. Called once, by `kubelet.ts`.
 */
import type { KubeletSettings } from '../settings.ts';
import { gracePeriods } from './plan-shutdown.ts';
import type { GracefulShutdown, ShutdownDeps, ShutdownSource } from './shutdown.ts';

export async function openShutdown(
  deps: Omit<ShutdownDeps, 'source'>,
  {
    settings,
    source,
    rootDir,
  }: {
    readonly settings: KubeletSettings;
    /** Default: logind. */
    readonly source: ShutdownSource | undefined;
    readonly rootDir: string;
  },
): Promise<GracefulShutdown | undefined> {
  const periods = gracePeriods(settings);
  if (periods.length === 0) return undefined;
  const { GracefulShutdown: Shutdown } = await import('./shutdown.ts');
  const asked = source ?? (await import('./logind.ts')).openLogind();
  return new Shutdown({ ...deps, source: asked }, periods, { rootDir });
}
