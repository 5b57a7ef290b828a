/**
 * What the server and a key management plugin say to each other (`v2.KeyManagementService`, as
 * public in `k8s.io/kms/apis/v2`), and what is kept of a value that was encrypted with its help.
 * Names in camel case. A `Call` has both ends: `client` asks, `serve` answers (tests do).
 */
import type { Method, Served } from '#kit/grpc.ts';
import { type Message, type MessageInput, ProtobufCodec } from '#kit/protobuf.ts';

const messages = {
  StatusRequest: {},
  StatusResponse: { version: [1, 'string'], healthz: [2, 'string'], keyID: [3, 'string'] },
  DecryptRequest: {
    ciphertext: [1, 'bytes'],
    uid: [2, 'string'],
    keyID: [3, 'string'],
    annotations: [4, 'map<string,bytes>'],
  },
  DecryptResponse: { plaintext: [1, 'bytes'] },
  EncryptRequest: { plaintext: [1, 'bytes'], uid: [2, 'string'] },
  EncryptResponse: {
    ciphertext: [1, 'bytes'],
    keyID: [2, 'string'],
    annotations: [3, 'map<string,bytes>'],
  },
  EncryptedObject: {
    encryptedData: [1, 'bytes'],
    keyID: [2, 'string'],
    encryptedDEKSource: [3, 'bytes'],
    annotations: [4, 'map<string,bytes>'],
    encryptedDEKSourceType: [5, 'int32'],
  },
} as const;

type Messages = typeof messages;
type Name = keyof Messages;

export type EncryptedObject = Message<Messages, 'EncryptedObject'>;

const codec = new ProtobufCodec(messages);

/** How the plaintext of a source becomes a key: it is one, or a seed for one key a value. */
export const sourceTypes = { key: 0, seed: 1 } as const;

export function encodeEncryptedObject(object: EncryptedObject): Uint8Array {
  return codec.encode('EncryptedObject', object);
}

/** Throws where the bytes are none. */
export function decodeEncryptedObject(bytes: Uint8Array): EncryptedObject {
  return codec.decode('EncryptedObject', bytes);
}

function call<Request extends Name, Response extends Name>(
  name: string,
  request: Request,
  response: Response,
) {
  const path = `/v2.KeyManagementService/${name}`;
  const client: Method<MessageInput<Messages, Request>, Message<Messages, Response>> = {
    path,
    encode: (message) => codec.encode(request, message),
    decode: (bytes) => codec.decode(response, bytes),
  };
  const serve = (
    answer: (asked: Message<Messages, Request>) => Promise<MessageInput<Messages, Response>>,
  ): Served => ({
    path,
    decode: (bytes) => codec.decode(request, bytes),
    // Only ever given what `answer` returned.
    encode: (given) => codec.encode(response, given as MessageInput<Messages, Response>),
    answer: (asked) => answer(asked as Message<Messages, Request>),
  });
  return { client, serve };
}

export const calls = {
  status: call('Status', 'StatusRequest', 'StatusResponse'),
  encrypt: call('Encrypt', 'EncryptRequest', 'EncryptResponse'),
  decrypt: call('Decrypt', 'DecryptRequest', 'DecryptResponse'),
} as const;
