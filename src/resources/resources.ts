/**
 * All built-in kinds. `openCatalog` is what a server starts from; it reads one file and parses none
 * of its schemas, so that it costs a few milliseconds and little memory.
 */
import { Catalog } from '#api/catalog.ts';
import type { Resource } from '#api/resource.ts';
import { configMapResource } from './core/config-map.ts';
import { openDefinitions } from './definitions.ts';

export function builtinResources(): readonly Resource[] {
  return [configMapResource()];
}

export function openCatalog(): Catalog {
  return new Catalog(builtinResources(), openDefinitions());
}
