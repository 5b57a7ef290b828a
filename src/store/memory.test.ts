/**
 * The memory store keeps the contract of stores.
 */

import { settle } from '#kit/virtual-clock.ts';
import { storeContract } from './store.contract.ts';
import { openMemoryStore } from './store.ts';

storeContract('memory', async () => ({
  open: async ({ clock, ...limits }) => openMemoryStore({ clock }, limits),
  done: async (promise) => await promise,
  tick: settle,
  close: async () => {},
}));
