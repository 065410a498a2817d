import type { HeaderValue__Output } from "../../../gen/envoy/config/core/v3/HeaderValue.js";
import type { HeaderView } from "../../../core/routing/facts.js";

const NONE: readonly string[] = [];

/**
 * The headers of one message as they came: names in lower case, values decoded when they are asked
 * for. Pseudo-headers are method, path and host, and no headers to a policy, which may not name them.
 */
export class WireHeaders implements HeaderView {
  readonly #names: readonly string[];
  readonly #valueAt: (index: number) => string;

  constructor(names: readonly string[], valueAt: (index: number) => string) {
    this.#names = names;
    this.#valueAt = valueAt;
  }

  values(name: string): readonly string[] {
    let values: string[] | undefined;
    for (let at = this.#names.indexOf(name); at >= 0; at = this.#names.indexOf(name, at + 1)) {
      if (isPseudo(name)) return NONE;
      (values ??= []).push(this.#valueAt(at));
    }
    return values ?? NONE;
  }

  /** Each once. */
  names(): Iterable<string> {
    return new Set(this.#names.filter((name) => !isPseudo(name)));
  }

  pseudo(name: string): string {
    const at = this.#names.indexOf(name);
    return at < 0 ? "" : this.#valueAt(at);
  }

  /** The names that `isWanted`, each once. */
  namesThat(isWanted: (name: string) => boolean): string[] {
    const wanted = this.#names.filter(isWanted);
    return wanted.length > 1 ? [...new Set(wanted)] : wanted;
  }
}

const isPseudo = (name: string) => name.startsWith(":");

/** Headers that the protobuf decoder made objects of. */
export function headersOf(list: readonly HeaderValue__Output[]): WireHeaders {
  const names = list.map(({ key = "" }) => key.toLowerCase());
  return new WireHeaders(names, (index) => {
    const header = list[index];
    return header === undefined ? "" : textOf(header);
  });
}

/**
 * Envoy fills raw_value, older senders value. Bytes that are not UTF-8 become U+FFFD, which no unit
 * id, host or key may contain, so core treats such a value as invalid.
 */
function textOf({ rawValue, value = "" }: HeaderValue__Output): string {
  return rawValue !== undefined && rawValue.length > 0 ? rawValue.toString("utf8") : value;
}
