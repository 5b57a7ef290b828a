/**
 * Figures of all containers at once, while containers come and go.
 *
 * containerd 1.6 reads its list and then each container on it, and refuses the whole when one of
 * them has gone in between. That says nothing of the others, so the list is asked for anew, a few
 * times; what else goes wrong is the caller's. Called by `cri.ts`.
 */
import { GrpcError } from '#kit/grpc.ts';

const mostTries = 4;

export async function untilNoneGoes<T>(list: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await list();
    } catch (error) {
      if (tries === mostTries || !tellsOfOneThatIsGone(error)) throw error;
    }
  }
}

/** containerd wraps the cause, and with it loses the code in some of its versions. */
function tellsOfOneThatIsGone(error: unknown): boolean {
  if (!(error instanceof GrpcError)) return false;
  return error.code === 'NOT_FOUND' || error.message.endsWith(': not found');
}
