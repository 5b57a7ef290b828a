/**
 * What a container's command says about its end, where that can be told without running it: `sleep
 * 5`, `true`, `sh -c 'sleep 2; exit 3'`, `echo done`. Nothing is run; anything else goes on for
 * ever, as a server would. Pure.
 *
 * Example: `["sh", "-c", "echo hi && sleep 2 && exit 1"]` → ends after 2 s with code 1.
 */
import type { Container } from '#resources/types/core-v1.ts';

export interface End {
  readonly afterMs: number;
  readonly code: number;
}

const shells = new Set(['sh', 'ash', 'bash']);
const sleepSecondsMax = 10 * 365 * 24 * 3600;

export function endOf({ command = [], args = [] }: Container): End | undefined {
  const [program, ...rest] = [...command, ...args];
  if (program === undefined) return undefined;
  const name = program.split('/').at(-1) ?? '';
  if (!shells.has(name)) return endOfSteps([[name, ...rest]]);
  const [option, script] = rest;
  if (option === undefined || script === undefined || !/^-[eux]*c$/.test(option)) return undefined;
  // Only what is plain: no variables, loops, quotes or redirections.
  if (/[$`|<>(){}'"\\&]/.test(script.replaceAll('&&', ';'))) return undefined;
  const lines = script.split(/;|&&|\n/).map((line) => line.trim());
  return endOfSteps(lines.filter((line) => line !== '').map((line) => line.split(/\s+/)));
}

function endOfSteps(steps: readonly (readonly string[])[]): End | undefined {
  let afterMs = 0;
  let code = 0;
  for (const [name, first = ''] of steps) {
    code = 0;
    switch (name) {
      case 'sleep':
        if (!/^\d+(\.\d+)?$/.test(first)) return undefined;
        afterMs += Math.min(Number(first), sleepSecondsMax) * 1000;
        break;
      case 'exit':
        return /^\d{0,3}$/.test(first) ? { afterMs, code: Number(first) & 255 } : undefined;
      case 'true':
      case 'echo':
        break;
      case 'false':
        code = 1;
        break;
      default:
        return undefined;
    }
  }
  return steps.length === 0 ? undefined : { afterMs, code };
}
