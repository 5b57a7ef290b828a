/**
 * `coracle store get KEY` and `coracle store delete KEY`: the store by its keys, beside the API.
 *
 * A running cluster is asked over its control socket; the file of a stopped one is read directly.
 * What is printed is the key and below it the value, byte for byte as it is kept: encrypted values
 * are shown so.
 */
import { systemClock } from '#kit/clock.ts';
import { storedInSqliteFile } from '#store';
import { storePath } from '../control-plane/backups.ts';
import { askCluster } from '../control-socket.ts';
import type { ClusterConfig } from '../settings/config.ts';

export async function storeGet({ dataDir }: ClusterConfig, key: string): Promise<void> {
  const answer = await askCluster(systemClock(), dataDir, { do: 'stored', key });
  let value: Uint8Array | undefined;
  if (answer === undefined) {
    value = await storedInSqliteFile({ file: storePath(dataDir), key });
  } else {
    // The other end is our own process of the same data dir.
    const { stored } = answer as { readonly stored?: string };
    value = stored === undefined ? undefined : Buffer.from(stored, 'base64');
  }
  if (value === undefined) throw new Error(`there is no key ${key}`);
  process.stdout.write(Buffer.concat([Buffer.from(`${key}\n`), value, Buffer.from('\n')]));
}

export async function storeDelete({ dataDir }: ClusterConfig, key: string): Promise<void> {
  const answer = await askCluster(systemClock(), dataDir, { do: 'removeUnreadable', key });
  if (answer === undefined) throw new Error('the cluster is not running; start it first');
  console.log(`removed  ${key}`);
}
