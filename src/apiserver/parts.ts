/**
 * The parts that stages and verbs work with: one frozen object, made by `openApiServer`.
 */
import type { Catalog } from '#api/catalog.ts';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import type { Store } from '#store';
import type { QuotaLedger } from './admission/resource-quota.ts';
import type { ApiServerOptions } from './apiserver.ts';
import type { NodeGraph } from './auth/node-graph.ts';
import type { TokenUses } from './auth/token-uses.ts';
import type { Tokens } from './auth/tokens.ts';
import type { Discovery } from './discovery/discovery.ts';
import type { Health } from './discovery/health.ts';
import type { Metrics } from './discovery/metrics.ts';
import type { OpenApi } from './discovery/openapi.ts';
import type { WatchOutput } from './output/event-encoder.ts';
import type { ProtobufOutput } from './output/protobuf.ts';
import type { KeptRows } from './output/stored-row.ts';
import type { ProtobufBodies } from './protobuf-body.ts';
import type { ServiceAllocator } from './services/service-allocator.ts';
import type { InFlight } from './stages/in-flight.ts';
import type { KubeletProxy } from './subresources/kubelet-proxy.ts';
import type { WatchHub } from './watch/watch-hub.ts';

export interface Parts {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly options: ApiServerOptions;
  readonly hub: WatchHub;
  readonly tokens: Tokens;
  readonly tokenUses: TokenUses;
  readonly nodeGraph: NodeGraph;
  readonly services: ServiceAllocator;
  /** Admission plugins that are on. */
  readonly plugins: ReadonlySet<string>;
  /** Absent: as many requests as come. */
  readonly inFlight: InFlight | undefined;
  readonly quotas: QuotaLedger;
  readonly discovery: Discovery;
  readonly openApi: OpenApi;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly protobuf: ProtobufBodies;
  readonly protobufOutput: ProtobufOutput;
  readonly watchOutput: WatchOutput;
  readonly keptRows: KeptRows;
  readonly kubelet: KubeletProxy;
}
