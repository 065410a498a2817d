import type { HeaderView } from "../../../core/routing/facts.js";
import type { Field } from "./hpack.js";

/** What opens a gRPC stream. */
export type RequestHead = {
  readonly method: string;
  readonly path: string;
  readonly fields: readonly Field[];
};

const PSEUDO = [":method", ":scheme", ":path", ":authority"];
/** Fields of a connection, which HTTP/2 has none of (RFC 9113, 8.2.2). */
const OF_CONNECTIONS = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** Undefined: malformed (RFC 9113, 8.1.1), which is the stream's error and not the connection's. */
export function requestHeadOf(fields: readonly Field[]): RequestHead | undefined {
  const pseudo: [string?, string?, string?, string?] = [];
  let at = 0;
  for (; at < fields.length; at++) {
    const field = fields[at];
    if (field?.name.startsWith(":") !== true) break;
    const place = PSEUDO.indexOf(field.name);
    if (place < 0 || pseudo[place] !== undefined || field.isMalformed) return undefined;
    pseudo[place] = field.value;
  }
  const [method, scheme, path] = pseudo;
  if (method === undefined || scheme === undefined || path === undefined || path === "") {
    return undefined;
  }
  for (; at < fields.length; at++) {
    const field = fields[at];
    if (field === undefined || !mayFollow(field)) return undefined;
  }
  return { method, path, fields };
}

/** Trailers have no pseudo-fields. */
export const areTrailers = (fields: readonly Field[]) => fields.every(mayFollow);

function mayFollow({ name, value, isMalformed }: Field): boolean {
  if (isMalformed || name.startsWith(":") || OF_CONNECTIONS.has(name)) return false;
  return name !== "te" || value === "trailers";
}

export const viewOf = ({ fields }: RequestHead): HeaderView => ({
  values: (name) => fields.filter((field) => field.name === name).map(({ value }) => value),
  names: () => new Set(fields.map(({ name }) => name)),
});

/** The value of a field that may come once; the first, if a peer repeats it. */
export function fieldOf({ fields }: RequestHead, name: string): string | undefined {
  for (const field of fields) if (field.name === name) return field.value;
  return undefined;
}
