/**
 * The connection of one CNI plugin (`cni-plugin.ts`) to the node agent, for one call.
 *
 *     plugin: 312                         the length of the call, then the call
 *     agent:  kernel node HEX@20=eth0 …   messages; after each @ a blank: where, and with what
 *     plugin: ok                          or `1 17`: the second was refused with error 17
 *     agent:  exit 0                      then the answer, up to the end
 *
 * `cni-server.ts` opens one for each connection; whatever fails on the way ends it.
 */
import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { Kernel, KernelMessage, Refusal } from './netlink.ts';

const requestBytesMax = 64 * 1024;
const newline = 0x0a;

export class PluginConnection implements Kernel {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #hasEnded = false;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    const end = (): void => {
      this.#hasEnded = true;
      this.#wake();
    };
    socket.on('error', () => socket.destroy());
    socket.on('close', end);
    socket.on('end', end);
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      if (this.#received.length > requestBytesMax) socket.destroy();
      this.#wake();
    });
  }

  /** The call that the plugin was started with. */
  async request(): Promise<string> {
    const length = Number(await this.#line());
    if (!(length <= requestBytesMax)) throw new Error('the call is too long');
    return (await this.#take((bytes) => (bytes.length < length ? -1 : length))).toString();
  }

  async apply(
    where: 'node' | 'pod',
    messages: readonly KernelMessage[],
  ): Promise<Refusal | undefined> {
    this.#socket.write(`kernel ${where} ${messages.map(formatMessage).join(' ')}\n`);
    const line = await this.#line();
    if (line === 'ok') return undefined;
    const [index = 0, error = 0] = line.split(' ').map(Number);
    return { index, code: error > 0 ? getSystemErrorName(-error) : 'UNKNOWN' };
  }

  /** Exit code on the first line, then what the plugin prints. */
  end(text: string): void {
    this.#socket.end(`exit ${text.includes('\n') ? text : `${text}\n`}`);
  }

  async #line(): Promise<string> {
    const line = await this.#take((bytes) => bytes.indexOf(newline) + 1 || -1);
    return line.toString().trimEnd();
  }

  /** As many bytes as are asked for, as soon as they are there. */
  async #take(lengthIn: (bytes: Buffer) => number): Promise<Buffer> {
    for (;;) {
      const length = lengthIn(this.#received);
      if (length >= 0) {
        const taken = this.#received.subarray(0, length);
        this.#received = this.#received.subarray(length);
        return taken;
      }
      if (this.#hasEnded) throw new Error('the plugin went away before its call was done');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

function formatMessage({ bytes, blanks }: KernelMessage): string {
  return [bytes.toString('hex'), ...blanks.map((blank) => `${blank.at}=${blank.with}`)].join('@');
}
