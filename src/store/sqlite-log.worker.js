// Entry of the thread that has the database: the cache of compiled code first, then the program.
import { enableCompileCache } from 'node:module';

enableCompileCache(process.env.CORACLE_COMPILE_CACHE);
const { runLogWorker } = await import('./sqlite-worker.ts');
runLogWorker();
