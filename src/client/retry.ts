/**
 * When a request is sent again by the client itself: the server said so (429 or 5xx with a time to
 * come back: it has done nothing), or a read got lost on the way. A write that got lost is its
 * caller's to judge: it may have been carried out. As upstream's client does; `client.ts` asks.
 */
import { ApiError } from '#api/errors.ts';

const retriesMax = 10;
const firstLossMs = 50;
const lossesMax = 5;
/** All waits together; a caller hears what is wrong before its own limit ends everything. */
const waitedMsMax = 30_000;

export class Retry {
  #retries = 0;
  #losses = 0;
  #waitedMs = 0;

  /** How long to wait before the request is sent again; undefined: the error stands. */
  after(error: unknown, { isRead }: { readonly isRead: boolean }): number | undefined {
    const waitMs =
      error instanceof ApiError ? this.#afterRefusal(error) : this.#afterLoss({ isRead });
    if (waitMs === undefined || this.#waitedMs + waitMs > waitedMsMax) return undefined;
    this.#waitedMs += waitMs;
    return waitMs;
  }

  #afterRefusal({ status }: ApiError): number | undefined {
    const { retryAfterSeconds, causes } = status.details ?? {};
    if (status.code !== 429 && status.code < 500) return undefined;
    // A disruption budget that says no, with its reasons, has decided: its caller has to know.
    if (retryAfterSeconds === undefined || causes !== undefined) return undefined;
    this.#retries += 1;
    return this.#retries > retriesMax ? undefined : retryAfterSeconds * 1000;
  }

  #afterLoss({ isRead }: { readonly isRead: boolean }): number | undefined {
    this.#losses += 1;
    return isRead && this.#losses <= lossesMax ? firstLossMs * 2 ** (this.#losses - 1) : undefined;
  }
}
