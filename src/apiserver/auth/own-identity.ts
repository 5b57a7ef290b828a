/**
 * Who the server is where nobody asks: when it writes what every cluster has, mends its books or
 * notes a use. The authorizer lets it do anything.
 */
import type { Identity } from '#kit/transport.ts';

export const ownIdentity: Identity = { name: 'system:apiserver', groups: ['system:masters'] };
