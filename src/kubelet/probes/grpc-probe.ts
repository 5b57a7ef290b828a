/**
 * The gRPC health check of probes: `grpc.health.v1.Health/Check`, SERVING is success.
 */
import { GrpcError, openGrpcChannel } from '#kit/grpc.ts';
import { ProtobufCodec } from '#kit/protobuf.ts';
import type { GRPCAction } from '#resources/types/core-v1.ts';
import type { ProbeLimits, ProbeResult } from './http-probe.ts';
import { written } from './http-probe.ts';

const codec = new ProtobufCodec({
  HealthCheckRequest: { service: [1, 'string'] },
  HealthCheckResponse: { status: [1, 'ServingStatus'] },
  'enum ServingStatus': { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 },
});

const check = {
  path: '/grpc.health.v1.Health/Check',
  encode: (request: { readonly service: string }) => codec.encode('HealthCheckRequest', request),
  decode: (bytes: Uint8Array) => codec.decode('HealthCheckResponse', bytes),
};

export async function grpcProbe(
  { port, service = '' }: GRPCAction,
  host: string,
  { clock, timeoutMs, signal }: ProbeLimits,
): Promise<ProbeResult> {
  const address = `${written(host)}:${port}`;
  using channel = await openGrpcChannel({ clock }, address);
  try {
    const { status } = await channel.unary(check, { service }, { signal, timeoutMs });
    if (status === 'SERVING') return { result: 'success', message: '' };
    return {
      result: 'failure',
      message: `service unhealthy (responded with "${status}")`,
    };
  } catch (error) {
    if (!(error instanceof GrpcError)) throw error;
    if (error.code === 'DEADLINE_EXCEEDED' || error.code === 'UNAVAILABLE') {
      const message = `timeout: failed to connect service "${address}" within ${timeoutMs}ms`;
      return { result: 'failure', message };
    }
    return { result: 'failure', message: `error: health rpc failed: ${error.message}` };
  }
}
