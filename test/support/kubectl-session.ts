/**
 * Sessions of a user with the real kubectl, as text: files, and commands as they are typed.
 *
 * A session (`test/kubectl/NAME.session`) holds blocks `<<< FILE` … `>>>` and lines `$ COMMAND`,
 * which a shell runs in a folder and a namespace of the session's own; lines with `#` say why, and
 * which rows of the specification are shown. What is printed, with what
 * differs from run to run replaced (`normalise`), is the transcript: `scripts/record-kubectl.ts`
 * writes that of upstream, `kubectl-transcripts.ts` compares ours with it.
 *
 * Where a cluster works, `: COMMAND` is tried until it ends well, and is not in the transcript.
 * Under a command may stand what the documents print: `| LINE` is still printed so, `- LINE` is not
 * any more, and `+ LINE` is today's.
 */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandResult, runCommand } from '#kit/run-command.ts';

export type SessionStep =
  | { readonly do: 'file'; readonly name: string; readonly text: string }
  | { readonly do: 'until'; readonly command: string }
  | { readonly do: 'run'; readonly command: string; readonly printed?: readonly PrintedLine[] };

/** A line of the documents: printed still, printed no more, or printed instead. */
export interface PrintedLine {
  readonly is: 'still' | 'gone' | 'new';
  readonly text: string;
}

export interface SessionPlace {
  /** An empty folder. */
  readonly folder: string;
  /** Text of an administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** The kubectl to use. */
  readonly kubectl: string;
  readonly namespace: string;
  /** Controllers run: they make the namespace's account, and choose names. */
  readonly works?: boolean;
}

const commandMs = 120_000;
const retrySeconds = 0.2;
const never = new AbortController().signal;

export function parseSession(text: string): readonly SessionStep[] {
  const steps: SessionStep[] = [];
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (line.startsWith('<<< ')) {
      const end = lines.indexOf('>>>', at);
      if (end < 0) throw new Error(`the file ${line.slice(4)} has no end`);
      const content = lines.slice(at + 1, end).join('\n');
      steps.push({ do: 'file', name: line.slice(4), text: `${content}\n` });
      at = end;
    } else if (line.startsWith('$ ')) {
      const printed = printedAt(lines, at + 1);
      at += printed.length;
      const command = line.slice(2);
      steps.push({ do: 'run', command, ...(printed.length === 0 ? {} : { printed }) });
    } else if (line.startsWith(': ')) {
      steps.push({ do: 'until', command: line.slice(2) });
    } else if (line !== '' && !line.startsWith('#')) {
      throw new Error(`neither a command nor a file: ${line}`);
    }
  }
  return steps;
}

const marks: Readonly<Record<string, PrintedLine['is']>> = {
  '|': 'still',
  '-': 'gone',
  '+': 'new',
};

function printedAt(lines: readonly string[], from: number): readonly PrintedLine[] {
  const printed: PrintedLine[] = [];
  for (const line of lines.slice(from)) {
    const is = marks[line[0] ?? ''];
    if (is === undefined || (line[1] ?? ' ') !== ' ') break;
    printed.push({ is, text: line.slice(2) });
  }
  return printed;
}

/** What of the documents' lines is not as it should be: some missing, or there when it is gone. */
export function unlikePrinted(
  steps: readonly SessionStep[],
  blocks: readonly string[],
): readonly string[] {
  const runs = steps.filter((step) => step.do === 'run');
  return runs.flatMap(({ command, printed = [] }, index) => {
    const lines = (blocks[index] ?? '').split('\n').slice(1).map(narrow);
    let from = 0;
    return printed.flatMap(({ is, text }) => {
      const wanted = narrow(text);
      if (is === 'gone')
        return lines.includes(wanted) ? [`$ ${command}: still prints ${text}`] : [];
      const at = lines.indexOf(wanted, from);
      if (at < 0) return [`$ ${command}: does not print ${text}`];
      from = at + 1;
      return [];
    });
  });
}

/** Words with one space between: columns are as wide as what is in them. */
function narrow(line: string): string {
  return line.trim().replace(/\s+/g, ' ');
}

/** Which rows of the specification a session shows, and which it shows as they are today. */
export interface SessionRows {
  readonly covers: readonly string[];
  readonly superseded: readonly {
    readonly id: string;
    readonly by: string;
    readonly now: string;
  }[];
}

/** `# covers CLI-001 CLI-002` and `# superseded CLI-003 by v1.18: what is so now`. */
export function rowsOf(text: string): SessionRows {
  const ids = (list: string): readonly string[] => list.trim().split(' ');
  const covers = [...text.matchAll(/^# covers (.+)$/gm)].flatMap(([, list = '']) => ids(list));
  const superseded = [...text.matchAll(/^# superseded (.+) by (v[\d.]+): (.+)$/gm)].flatMap(
    ([, list = '', by = '', now = '']) => ids(list).map((id) => ({ id, by, now })),
  );
  return { covers: [...new Set(covers)], superseded };
}

/** Runs a session; gives one block of the transcript for each command. */
export async function runSession(
  steps: readonly SessionStep[],
  place: SessionPlace,
): Promise<readonly string[]> {
  const { folder } = place;
  const environment = prepare(place);
  const shell = (command: string): Promise<CommandResult> =>
    runCommand('sh', ['-c', command], {
      ...{ signal: never, timeoutMs: commandMs, cwd: folder, env: environment },
    });
  const context = `kubectl config set-context --current --namespace=${place.namespace}`;
  const made = await shell(
    `kubectl create namespace ${place.namespace} && ${context} && ${account(place)}`,
  );
  if (made.code !== 0) throw new Error(`no namespace: ${made.stderr}`);
  const blocks: string[] = [];
  for (const step of steps) {
    if (step.do === 'until') {
      await shell(untilItWorks(step.command)).then(assertWorked(step.command));
      continue;
    }
    if (step.do === 'file') {
      mkdirSync(join(folder, step.name, '..'), { recursive: true });
      writeFileSync(join(folder, step.name), step.text);
      if (step.text.startsWith('#!')) chmodSync(join(folder, step.name), 0o755);
      continue;
    }
    const { code, stdout, stderr } = await shell(step.command);
    const errors = stderr === '' ? '' : `stderr:\n${stderr}`;
    const end = code === 0 ? '' : `exit ${code}\n`;
    const block = normalise(`$ ${step.command}\n${stdout}${errors}${end}`, folder);
    blocks.push(place.works === true ? withoutChance(block) : block);
  }
  return blocks;
}

/** Without controllers nobody makes it; pods need it, and a mounted token has a random name. */
function account({ works = false }: SessionPlace): string {
  const make = 'kubectl create serviceaccount default';
  const wait = untilItWorks('kubectl get serviceaccount default');
  const patch = `kubectl patch serviceaccount default -p '{"automountServiceAccountToken":false}'`;
  return `${works ? wait : make} && ${patch}`;
}

function untilItWorks(command: string): string {
  return `until ( ${command} ) >/dev/null 2>.said; do sleep ${retrySeconds}; done`;
}

function assertWorked(command: string): (result: CommandResult) => void {
  return ({ code, stderr }) => {
    if (code !== 0) throw new Error(`${command}: did not end well in ${commandMs} ms: ${stderr}`);
  };
}

function prepare({ folder, kubeconfig, kubectl }: SessionPlace): NodeJS.ProcessEnv {
  const bin = join(folder, '.bin');
  mkdirSync(bin, { recursive: true });
  symlinkSync(kubectl, join(bin, 'kubectl'));
  const path = join(folder, '.kubeconfig');
  writeFileSync(path, kubeconfig);
  return {
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    HOME: folder,
    KUBECONFIG: path,
    TZ: 'UTC',
    KUBE_EDITOR: './edit.sh',
  };
}

const replacements: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, 'UID'],
  [/\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g, 'TIME'],
  [/\b\w{3}, \d\d \w{3} 20\d\d \d\d:\d\d:\d\d \+0000/g, 'TIME'],
  [/\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? \+0000( UTC)?/g, 'TIME'],
  [/resourceVersion: "\d+"/g, 'resourceVersion: "N"'],
  [/"resourceVersion": ?"\d+"/g, '"resourceVersion":"N"'],
  [/https:\/\/127\.0\.0\.1:\d+/g, 'SERVER'],
  [/X509SHA256=[0-9a-f]{64}/g, 'X509SHA256=HASH'],
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]+/g, 'TOKEN'],
  [/\b10\.\d+\.\d+\.\d+\b/g, 'IP'],
  [/\b3[0-2]\d{3}\b/g, 'NODEPORT'],
  // From two minutes on kubectl leaves out that there are no seconds.
  [/(?<= {2})[2-9]m(?= {2}|$)/gm, 'AGE'],
  [/<unknown>|\b\d+m\d+s\b|\b\d+s\b|\b\d{3,}d\b|\b\d+y(\d+d)?\b/g, 'AGE'],
  [/\tTIME$/gm, ''],
  [/LIVE-\d+/g, 'LIVE'],
  [/MERGED-\d+/g, 'MERGED'],
  [/v1\.\d+\.\d+[\w.+-]*/g, 'VERSION'],
  // Columns are as wide as what was in them.
  [/(?<=\S) {2,}/g, '  '],
  [/[ \t]+$/gm, ''],
];

/** What differs from run to run, by names; so much space as there is between words, once. */
export function normalise(text: string, folder: string): string {
  let normal = text.replaceAll(folder, 'FOLDER');
  for (const [pattern, name] of replacements) normal = normal.replace(pattern, name);
  return normal;
}

const letter = '[bcdfghjklmnpqrstvwxz2456789]';

const chosenNames: readonly (readonly [RegExp, string])[] = [
  // Before hashes, some of which a minute without 0, 1 and 3 looks like.
  [/-2\d{7}\b/g, '-MINUTE'],
  [new RegExp(`-${letter}{8,10}-${letter}{5}\\b`, 'g'), '-HASH-RANDOM'],
  [new RegExp(`-${letter}{8,10}(?![\\w.-])`, 'g'), '-HASH'],
  [new RegExp(`(pod-template-hash|controller-revision-hash)=${letter}{8,10}\\b`, 'g'), '$1=HASH'],
  [new RegExp(`-${letter}{5}(?![\\w.-])`, 'g'), '-RANDOM'],
  // A clock that runs fast is ahead of kubectl's.
  [/<invalid>/g, 'AGE'],
  [/(?<![: ]) {2,}\d+[mh]$/gm, '  AGE'],
];

/** Names that controllers make up, and ages in more words. */
export function withoutChance(text: string): string {
  let normal = text;
  for (const [pattern, name] of chosenNames) normal = normal.replace(pattern, name);
  return normal;
}

export function formatTranscript(blocks: readonly string[]): string {
  return blocks.map((block) => `${block.trimEnd()}\n`).join('\n');
}

/** The blocks of a transcript; a command begins each. */
export function parseTranscript(text: string): readonly string[] {
  return text
    .split(/^(?=\$ )/m)
    .map((block) => block.trimEnd())
    .filter((block) => block !== '');
}
