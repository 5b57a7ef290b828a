/**
 * Upstream's flags about where and how the API server keeps objects. Here that is the cluster's own
 * store, always in JSON and below `/registry`; so what these flags can say is either that, or is
 * refused, since who gives them counts on something that is not here. Called by
 * `server-settings.ts`.
 */
import { ConfigError } from './config-error.ts';
import type { FlagValues } from './flag-values.ts';

const mediaTypes = ['application/json', 'application/vnd.kubernetes.protobuf', 'application/yaml'];

/** Throws `ConfigError`, in upstream's words where upstream would refuse it too. */
export function checkStoreFlags(values: FlagValues): void {
  const backend = values.text('storage-backend');
  if (backend !== undefined && backend !== 'etcd3') {
    const allowed = "allowed values: etcd3. If not specified, it will default to 'etcd3'";
    throw new ConfigError(`--storage-backend invalid, ${allowed}`);
  }
  if (backend !== undefined) {
    throw new ConfigError(
      '--storage-backend etcd3: objects are kept in the store of the cluster itself',
    );
  }
  const prefix = values.text('etcd-prefix') ?? '/registry';
  if (`/${prefix}`.replace(/^\/+/, '/').replace(/\/+$/, '') !== '/registry') {
    throw new ConfigError(`--etcd-prefix ${prefix}: the keys of the store begin with /registry`);
  }
  const mediaType = values.text('storage-media-type') ?? 'application/json';
  if (!mediaTypes.includes(mediaType)) {
    const allowed = `allowed values: ${mediaTypes.join(', ')}`;
    throw new ConfigError(`--storage-media-type ${JSON.stringify(mediaType)} invalid, ${allowed}`);
  }
  if (mediaType !== 'application/json') {
    throw new ConfigError(
      `--storage-media-type ${mediaType}: objects are kept as application/json`,
    );
  }
}
