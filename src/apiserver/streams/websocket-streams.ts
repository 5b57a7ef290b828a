/**
 * Exec and attach for clients that speak WebSocket's fifth protocol, which runtimes do not: the
 * WebSocket ends here, and each of its channels becomes a SPDY stream to the kubelet.
 *
 *     message [channel, bytes…] ⇄ stream of streamtype stdin, stdout, stderr, error or resize
 *     message [255, channel]    → that stream ends; this is what the older protocols lack
 *
 * Called by `upgrade.ts` once the request is allowed. The outcome of the command comes on the error
 * channel; when the kubelet closes, so does the WebSocket. Where it closed without an outcome that
 * is a failure: a client takes an end without a word for success.
 */
import { internalError } from '#api/errors.ts';
import { SpdyConnection } from '#kit/spdy.ts';
import { acceptWebSocket, type WebSocketPeer } from '#kit/websocket.ts';
import type { Streams } from '../subresources/kubelet-proxy.ts';

/** The sub-protocol of clients. */
export const streamProtocol = 'v5.channel.k8s.io';
/** The one that is spoken to the kubelet: the newest without ends of its own. */
export const kubeletStreamProtocol = 'v4.channel.k8s.io';

type StreamType = 'stdin' | 'stdout' | 'stderr' | 'error' | 'resize';

const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;
const closeChannel = 255;

export interface StreamWishes {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** As the query of exec and attach says it; a terminal has one output, and a size. */
export function readStreamWishes(query: URLSearchParams): StreamWishes {
  const isSet = (name: string): boolean => /^(1|true)$/i.test(query.get(name) ?? '');
  const tty = isSet('tty');
  return {
    stdin: isSet('stdin'),
    stdout: isSet('stdout'),
    stderr: !tty && isSet('stderr'),
    tty,
  };
}

export function serveStreams(
  client: Parameters<typeof acceptWebSocket>[0],
  handshake: { readonly key: string; readonly head: Uint8Array },
  { streams, wishes }: { readonly streams: Streams; readonly wishes: StreamWishes },
): void {
  const peer = acceptWebSocket(client, { ...handshake, protocol: streamProtocol });
  const channelOf = new Map<number, number>();
  const streamOf = new Map<number, number>();
  let hasOutcome = false;
  const connection = new SpdyConnection(streams.socket, streams.head, {
    onData: (stream, data) => {
      const channel = channelOf.get(stream);
      if (channel === undefined) return undefined;
      hasOutcome ||= channel === channels.error;
      return peer.send(Buffer.concat([Buffer.from([channel]), data]));
    },
    onEnd: (stream) => {
      // The outcome is known: what the client still sends is of no use to anyone.
      if (channelOf.get(stream) !== channels.error) return;
      for (const open of channelOf.keys()) connection.end(open);
    },
    onClose: () => {
      if (!hasOutcome) tellFailure(peer);
      peer.close();
    },
  });
  for (const type of typesOf(wishes)) {
    const stream = connection.open({ streamtype: type });
    channelOf.set(stream, channels[type]);
    streamOf.set(channels[type], stream);
  }
  peer.listen({
    onMessage: (message) => passMessage(message, { peer, connection, streamOf }),
    onClose: () => connection.close(),
  });
}

function tellFailure(peer: WebSocketPeer): void {
  const { status } = internalError('the connection to the kubelet ended before the command did');
  const told = Buffer.concat([Buffer.from([channels.error]), Buffer.from(JSON.stringify(status))]);
  // Nothing comes after it that would have to wait.
  void peer.send(told);
}

/** The error stream first, as kubelets expect it. */
function typesOf({ stdin, stdout, stderr, tty }: StreamWishes): readonly StreamType[] {
  const types: StreamType[] = ['error'];
  if (stdin) types.push('stdin');
  if (stdout) types.push('stdout');
  if (stderr) types.push('stderr');
  if (tty) types.push('resize');
  return types;
}

function passMessage(
  message: Buffer,
  to: {
    readonly peer: WebSocketPeer;
    readonly connection: SpdyConnection;
    readonly streamOf: ReadonlyMap<number, number>;
  },
): void {
  const { peer, connection, streamOf } = to;
  const [channel = closeChannel, closed = closeChannel] = message;
  if (channel === closeChannel) {
    const ended = streamOf.get(closed);
    if (ended !== undefined) connection.end(ended);
    return;
  }
  const stream = streamOf.get(channel);
  if (stream === undefined || message.length === 1) return;
  if (connection.send(stream, message.subarray(1))) return;
  peer.pause();
  connection.onceDrained(() => peer.resume());
}
