/**
 * An answer without what no two servers have in common: uids, times, revisions, generated names
 * and ports, addresses that the server chose. What the request itself said stays as it is.
 */
type Members = Record<string, unknown>;

const recentRegExp = /\b20(?:2[6-9]|[3-9]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;
const uidRegExp = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g;
const serviceIPRegExp = /\b10\.(?:43|66|67)\.\d{1,3}\.\d{1,3}\b/g;
const suffixLetters = '[bcdfghjklmnpqrstvwxz2456789]{5}';

export function normalize(body: unknown, said: string): unknown {
  const normalizer = new Normalizer(said);
  return normalizer.value(body, '');
}

class Normalizer {
  readonly #said: string;
  readonly #generated: RegExp | undefined;

  constructor(said: string) {
    this.#said = said;
    const [, prefix = ''] = /"generateName":"([^"]+)"/.exec(said) ?? [];
    const quoted = prefix.replaceAll(/[.\\]/g, '\\$&');
    this.#generated = prefix === '' ? undefined : new RegExp(`(${quoted})${suffixLetters}`, 'g');
  }

  value(value: unknown, key: string): unknown {
    if (typeof value === 'string') return this.#text(value, key);
    if (typeof value === 'number') return this.#number(value, key);
    if (Array.isArray(value)) {
      const own = key === 'sources' ? value.filter((item) => !isForeign(item)) : value;
      const items = own.map((item) => this.value(item, key));
      // By time, then by name: who wrote in the same second as another comes before or after.
      return key === 'managedFields'
        ? items.sort((a, b) => (textOf(a) < textOf(b) ? -1 : 1))
        : items;
    }
    if (typeof value !== 'object' || value === null) return value;
    return this.#members(value as Members, key);
  }

  #members(members: Members, key: string): Members {
    const result: Members = {};
    if (members['kind'] === 'Status') return this.#status(members);
    // Sorted, since the order of members says nothing.
    for (const name of Object.keys(members).sort()) {
      if (name === 'uid' && (key === 'metadata' || key === 'details')) continue;
      if (name === 'resourceVersion' && key === 'metadata') continue;
      if (name === 'time' && key === 'managedFields') continue;
      if (name === 'description' && key === 'columnDefinitions') continue;
      result[this.#text(name, '')] = this.value(members[name], name);
    }
    if (key === 'status' && Array.isArray(result['nonResourceRules'])) sortRules(result);
    const { rows, columnDefinitions } = result;
    if (Array.isArray(rows) && Array.isArray(columnDefinitions)) {
      withoutAges(rows, columnDefinitions);
    }
    return result;
  }

  /** Without the differences that are shown, by upstream of internal types (`\n@@ -1,7 …`). */
  #status(status: Members): Members {
    const { causes } = (status['details'] ?? {}) as { readonly causes?: unknown };
    let text = JSON.stringify({ ...status, kind: 'Answer' });
    for (const cause of Array.isArray(causes) ? causes : []) {
      const { message = '' } = cause as { readonly message?: string };
      const start = message.indexOf(message.includes('may not change') ? '\n' : '\n@@');
      if (start < 0) continue;
      text = text.replaceAll(JSON.stringify(message.slice(start)).slice(1, -1), '');
    }
    const result = this.#members(JSON.parse(text) as Members, '');
    result['kind'] = 'Status';
    sortCauses(result);
    return result;
  }

  #number(value: number, key: string): unknown {
    const chosen = key === 'nodePort' || key === 'healthCheckNodePort';
    return chosen && !this.#said.includes(String(value)) ? '<port>' : value;
  }

  #text(text: string, key: string): string {
    if (key === 'token' && text.startsWith('ey')) return '<token>';
    if (key === 'continue' && text !== '') return '<continue>';
    let shown = withSortedValues(text)
      .replaceAll(recentRegExp, (found) => this.#unsaid(found, '<time>'))
      .replaceAll(uidRegExp, '<uid>')
      .replaceAll(serviceIPRegExp, (found) => this.#unsaid(found, '<address>'))
      .replaceAll(new RegExp(`kube-api-access-${suffixLetters}`, 'g'), 'kube-api-access-<suffix>')
      .replaceAll(/(in object meta: |ResourceVersion in record \()\d+/g, '$1<revision>')
      .replaceAll(/(resourceversion\\*":\\*")\d+/gi, '$1<revision>')
      .replaceAll(/("time\\*":\\*")[^"\\]*/g, '$1<time>')
      .replaceAll(/\b30\d{3}\b|\b31\d{3}\b|\b32[0-7]\d\d\b/g, (found) =>
        this.#unsaid(found, '<port>'),
      );
    if (this.#generated !== undefined) shown = shown.replaceAll(this.#generated, '$1<suffix>');
    return shown;
  }

  #unsaid(found: string, word: string): string {
    return this.#said.includes(found) ? found : word;
  }
}

/** The tree that the recorded server was built from mounts one more file into each pod. */
function isForeign(item: unknown): boolean {
  const { configMap } = item as { readonly configMap?: { readonly name?: unknown } };
  return configMap?.name === 'openshift-service-ca.crt';
}

/** Upstream gathers rules and the errors of a map's members in an order that changes. */
function sortRules(status: Members): void {
  for (const name of ['nonResourceRules', 'resourceRules']) {
    const rules = status[name];
    if (Array.isArray(rules)) rules.sort((a, b) => (textOf(a) < textOf(b) ? -1 : 1));
  }
}

function sortCauses(status: Members): void {
  const { causes } = (status['details'] ?? {}) as { readonly causes?: unknown };
  const { message } = status;
  if (!Array.isArray(causes) || causes.length < 2 || typeof message !== 'string') return;
  const join = (): string =>
    [...new Set(causes.map(({ field, message: said }) => `${field}: ${said}`))].join(', ');
  const before = join();
  causes.sort((a, b) => (textOf(a) < textOf(b) ? -1 : 1));
  // A function, since the text may contain what `replace` takes for a pattern.
  status['message'] = message.replace(before, () => join());
}

function textOf(value: unknown): string {
  return JSON.stringify(value);
}

/** Objects inside a text (`Invalid value: {…}`, also quoted): the order of members says nothing. */
function withSortedValues(text: string): string {
  if (!text.includes('nvalid value: ')) return text;
  return text
    .replaceAll(/nvalid value: "((?:[^"\\]|\\.)*)"/g, (found, quoted: string) => {
      const inner = sortedJson(unquoted(quoted));
      return inner === undefined ? found : `nvalid value: ${JSON.stringify(inner)}`;
    })
    .replaceAll(/nvalid value: (?=[{[])/g, 'nvalid value: \u0000')
    .split('\u0000')
    .map((part, index) => (index === 0 ? part : withSortedStart(part)))
    .join('');
}

/** The text with the object or list that it starts with sorted. */
function withSortedStart(text: string): string {
  let depth = 0;
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    const letter = text[index];
    if (letter === '\\') index += 1;
    else if (letter === '"') quoted = !quoted;
    else if (!quoted && (letter === '{' || letter === '[')) depth += 1;
    else if (!quoted && (letter === '}' || letter === ']')) depth -= 1;
    if (depth > 0) continue;
    const end = index + 1;
    return (sortedJson(text.slice(0, end)) ?? text.slice(0, end)) + text.slice(end);
  }
  return text;
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(`"${text}"`));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return text;
  }
}

/** Undefined where the text is no object or list. */
function sortedJson(text: string): string | undefined {
  if (!/^[{[]/.test(text)) return undefined;
  try {
    return JSON.stringify(sorted(JSON.parse(text)));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

/**
 * A value that an error shows, with its members in order. Upstream often shows an internal type:
 * names begin with a capital, and what is empty is there all the same.
 */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, member]) => [key.toLowerCase(), sorted(member)]);
  const said = entries.filter(([, member]) => !isEmpty(member));
  return Object.fromEntries(said.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)));
}

function isEmpty(value: unknown): boolean {
  if (!value) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** How long ago something was depends on when one asks. */
function withoutAges(rows: readonly unknown[], columns: readonly unknown[]): void {
  const ages = columns.flatMap((column, index) => {
    const { name } = column as { readonly name?: unknown };
    return name === 'Age' || name === 'Last Seen' || name === 'First Seen' ? [index] : [];
  });
  for (const row of rows) {
    const { cells } = row as { readonly cells?: unknown };
    if (!Array.isArray(cells)) continue;
    for (const index of ages) cells[index] = '<age>';
  }
}
