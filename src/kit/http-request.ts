/**
 * Requests and plain servers of HTTP, as Node has them, for all who would import `node:http`.
 *
 * An import makes everything that the module offers, among it a second client for browsers' code,
 * which costs every process 15 MiB and tens of milliseconds at its start. Asked for by name, the
 * module gives what is taken from it. Types may be imported from anywhere.
 */
import type {
  Agent,
  AgentOptions,
  ClientRequest,
  IncomingMessage,
  RequestListener,
  RequestOptions,
  Server,
} from 'node:http';
import type { RequestOptions as SecureRequestOptions } from 'node:https';

type OnAnswer = (answer: IncomingMessage) => void;

export function httpRequest(options: RequestOptions, onAnswer?: OnAnswer): ClientRequest {
  return process.getBuiltinModule('node:http').request(options, onAnswer);
}

export function httpsRequest(options: SecureRequestOptions, onAnswer?: OnAnswer): ClientRequest {
  return process.getBuiltinModule('node:https').request(options, onAnswer);
}

export function openHttpAgent(options: AgentOptions): Agent {
  const { Agent } = process.getBuiltinModule('node:http');
  return new Agent(options);
}

export function createHttpServer(listener?: RequestListener): Server {
  return process.getBuiltinModule('node:http').createServer(listener);
}
