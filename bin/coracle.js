#!/usr/bin/env node
// Entry of every process: switch the compile cache on, then load the TypeScript tree.
import { enableCompileCache } from 'node:module';

enableCompileCache(process.env.CORACLE_COMPILE_CACHE);
const { main } = await import('../src/main.ts');
await main(process.argv.slice(2));
