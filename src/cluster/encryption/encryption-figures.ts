/**
 * What encryption at rest tells on `/metrics`, under upstream's names: how often values were
 * changed on their way, by resource and provider, and with what success; and how often the
 * configuration was read again. Where nothing is configured nothing is told. The API server asks
 * for the text.
 */
import { Family } from '#kit/metric-family.ts';

export type Direction = 'to_storage' | 'from_storage';

export class EncryptionFigures {
  readonly #operations = new Family('counter', {
    name: 'apiserver_storage_transformation_operations_total',
    help: 'Values encrypted and decrypted, by resource, provider and outcome.',
    labels: ['resource', 'status', 'transformation_type', 'transformer_prefix'],
  });
  readonly #reloads = new Family('counter', {
    name: 'apiserver_encryption_config_controller_automatic_reloads_total',
    help: 'Times that a changed encryption configuration was read, by outcome.',
    labels: ['apiserver_id_hash', 'status'],
  });
  readonly #reloadedAt = new Family('gauge', {
    name: 'apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds',
    help: 'When a changed encryption configuration was read last, by outcome.',
    labels: ['apiserver_id_hash', 'status'],
  });
  readonly #configuration = new Family('gauge', {
    name: 'apiserver_encryption_config_controller_last_config_info',
    help: 'Hash of the encryption configuration in use.',
    labels: ['apiserver_id_hash', 'hash'],
  });

  countTransformation(
    direction: Direction,
    { resource, prefix, isDone }: { resource: string; prefix: string; isDone: boolean },
  ): void {
    const status = isDone ? 'OK' : 'unknown-non-grpc';
    this.#operations.add([resource, status, direction, prefix], 1);
  }

  noteConfiguration(hash: string): void {
    this.#configuration.clear();
    this.#configuration.set(['', `sha256:${hash}`], 1);
  }

  countReload(status: 'success' | 'failure', nowMs: number): void {
    // Servers of a cluster are told apart by it; here is one.
    const labels = ['', status];
    this.#reloads.add(labels, 1);
    this.#reloadedAt.set(labels, nowMs / 1000);
  }

  format(): string {
    const families = [this.#operations, this.#reloads, this.#reloadedAt, this.#configuration];
    return families.flatMap((one) => (one.size > 0 ? [one.format()] : [])).join('');
  }
}
