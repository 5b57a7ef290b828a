/**
 * A web page that comes through `/proxy`: its links must lead back through the proxy.
 *
 * Links that begin at the root of the site (`/login`) get the path of the proxy in front; relative
 * ones and those to other hosts are right as they are. The same is done to the Location of a
 * redirection. Pure text work; `kubelet-proxy.ts` calls it for answers of type text/html.
 */

/** Attributes that hold one address. */
const linkAttribute =
  /(\s(?:action|background|cite|data|formaction|href|icon|longdesc|manifest|poster|src|usemap)\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)/gi;
const tag = /<[a-z][^<>]*>/gi;

export interface PagePlace {
  /** The proxy's path, up to and with `/proxy`. */
  readonly prefix: string;
  /** `host:port` of the server behind it. */
  readonly host: string;
}

export function rewritePage(html: string, place: PagePlace): string {
  return html.replace(tag, (text) =>
    text.replace(linkAttribute, (_, name: string, value: string) => {
      const quote = /^["']/.exec(value)?.[0] ?? '';
      const address = quote === '' ? value : value.slice(1, -1);
      return `${name}${quote}${rewriteLink(address, place)}${quote}`;
    }),
  );
}

export function rewriteLink(address: string, { prefix, host }: PagePlace): string {
  let path = address;
  const absolute = /^(?:https?:)?\/\/([^/?#]*)(.*)$/i.exec(address);
  if (absolute !== null) {
    if (absolute[1] !== host) return address;
    path = absolute[2] ?? '';
    if (!path.startsWith('/')) path = `/${path}`;
  }
  if (!path.startsWith('/')) return address;
  const isThere = path === prefix || path.startsWith(`${prefix}/`);
  return isThere ? path : `${prefix}${path}`;
}
