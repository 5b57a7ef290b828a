/**
 * The settings of pulls in a `KubeletConfiguration`, with upstream's defaults and words. Read by
 * `kubelet-settings.ts`. Pure.
 */
import {
  defaultSettings,
  imagePatternProblem,
  type KubeletSettings,
  verificationPolicies,
} from '#kubelet';
import { ConfigError } from '../settings/config.ts';

export interface PullFields {
  readonly serializeImagePulls?: boolean;
  readonly maxParallelImagePulls?: number;
  readonly registryPullQPS?: number;
  readonly registryBurst?: number;
  readonly imagePullCredentialsVerificationPolicy?: string;
  readonly preloadedImagesVerificationAllowlist?: readonly string[];
}

export const pullFields =
  'serializeImagePulls maxParallelImagePulls registryPullQPS registryBurst ' +
  'imagePullCredentialsVerificationPolicy preloadedImagesVerificationAllowlist';

type PullSettings = Pick<KubeletSettings, keyof PullFields>;

export function pullSettings(fields: PullFields): PullSettings {
  const { maxParallelImagePulls: atOnce } = fields;
  const settings = {
    // More than one at a time is wished for by saying how many.
    serializeImagePulls: fields.serializeImagePulls ?? (atOnce === undefined || atOnce < 2),
    maxParallelImagePulls: atOnce,
    registryPullQPS: fields.registryPullQPS ?? defaultSettings.registryPullQPS,
    // Upstream cannot tell 0 from nothing here.
    registryBurst: fields.registryBurst || defaultSettings.registryBurst,
    imagePullCredentialsVerificationPolicy: policyOf(fields),
    preloadedImagesVerificationAllowlist: fields.preloadedImagesVerificationAllowlist ?? [],
  };
  const problem = problemOf(settings);
  if (problem !== undefined) throw new ConfigError(`invalid configuration: ${problem}`);
  return settings;
}

function policyOf({ imagePullCredentialsVerificationPolicy: name = '' }: PullFields) {
  if (name === '') return defaultSettings.imagePullCredentialsVerificationPolicy;
  const policy = verificationPolicies.find((each) => each === name);
  if (policy !== undefined) return policy;
  const [first, second, third, last] = verificationPolicies.map((each) => `"${each}"`);
  throw new ConfigError(
    `invalid configuration: option "${name}" specified for ` +
      'imagePullCredentialsVerificationPolicy. ' +
      `Valid options are ${first}, ${second}, ${third} or ${last}`,
  );
}

function problemOf(settings: PullSettings): string | undefined {
  const { registryBurst, registryPullQPS, maxParallelImagePulls: atOnce } = settings;
  if (registryBurst < 0) {
    return `registryBurst (--registry-burst) ${registryBurst} must not be a negative number`;
  }
  if (registryPullQPS < 0) {
    return `registryPullQPS (--registry-qps) ${registryPullQPS} must not be a negative number`;
  }
  if (atOnce !== undefined && atOnce < 1) {
    return `maxParallelImagePulls ${atOnce} must be a positive number`;
  }
  if (settings.serializeImagePulls && (atOnce ?? 0) > 1) {
    return (
      'maxParallelImagePulls cannot be larger than 1 unless SerializeImagePulls ' +
      '(--serialize-image-pulls) is set to false'
    );
  }
  const { preloadedImagesVerificationAllowlist: list } = settings;
  if (list.length === 0) return undefined;
  if (settings.imagePullCredentialsVerificationPolicy !== 'NeverVerifyAllowlistedImages') {
    return (
      "can't set `preloadedImagesVerificationAllowlist` if " +
      '`imagePullCredentialsVertificationPolicy` is not "NeverVerifyAllowlistedImages"'
    );
  }
  const wrong = list.map(imagePatternProblem).find((each) => each !== undefined);
  return wrong === undefined
    ? undefined
    : `invalid image pattern in \`preloadedImagesVerificationAllowlist\`: ${wrong}`;
}
