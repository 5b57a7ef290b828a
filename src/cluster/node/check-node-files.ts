/**
 * Refuses settings about registries and the kubelet that cannot be used, before anything is
 * started. What reads them is loaded only where there is something to read. Called by `cluster.ts`
 * and `agent.ts`.
 */
import type { ImageSources } from '../settings/image-sources.ts';

export async function checkNodeFiles(config: {
  readonly images: ImageSources;
  readonly kubeletConfig: string | undefined;
}): Promise<void> {
  await checkImageSources(config.images);
  if (config.kubeletConfig !== undefined) {
    const { readNodeKubelet } = await import('../kubelet-settings/node-kubelet-config.ts');
    await readNodeKubelet(config.kubeletConfig);
  }
}

async function checkImageSources(sources: ImageSources): Promise<void> {
  const { registryPath, pluginConfig, pluginFolder } = sources;
  if (registryPath === undefined && pluginConfig === undefined && pluginFolder === undefined)
    return;
  const { readPlugins, readRegistries } = await import('./image-source-files.ts');
  readRegistries(sources);
  readPlugins(sources, {});
}
