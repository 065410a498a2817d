import { ServiceError } from "../../core/error.js";

export type RedisAddress = { readonly host: string; readonly port: number };

export type RedisTarget = {
  readonly kind: "single" | "sentinel" | "cluster" | "socket";
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
  /** Of the server, the sentinels, or some nodes of the cluster; of a socket: none. */
  readonly addresses: readonly RedisAddress[];
  /** What sentinels call the servers that they watch. */
  readonly masterName: string;
  /** Of a Unix socket. */
  readonly path: string;
};

const FORMS =
  "redis://[USER:PASSWORD@]HOST[:PORT][/DB], redis+sentinel://HOST,HOST/MASTER[/DB], redis+cluster://HOST,HOST or redis+unix:///PATH (rediss for TLS)";
const DEFAULT_PORTS = { single: 6379, sentinel: 26379, cluster: 6379 } as const;

/**
 * Reads a Redis URL. A password is never part of a message: the parts that are shown are checked
 * to be host names.
 *
 * @throws ServiceError badRequest for anything that is none
 */
export function parseRedisUrl(url: string): RedisTarget {
  const match = /^(rediss?)(?:\+(sentinel|cluster|unix))?:\/\/(?:(.*)@)?([^/@]*)(\/.*)?$/.exec(url);
  if (match === null) throw refused(`is none of ${FORMS}`);
  const [, scheme = "", form, credentials, hosts = "", path = ""] = match;
  const common = {
    tls: scheme === "rediss",
    ...credentialsOf(credentials),
    masterName: "",
    path: "",
  };
  if (form === "unix") {
    if (hosts !== "" || path.length < 2)
      throw refused("needs a path: redis+unix:///run/redis.sock");
    if (common.tls) throw refused("has TLS on a Unix socket: write redis+unix");
    return { ...common, kind: "socket", db: 0, addresses: [], path };
  }
  const kind = form === "sentinel" || form === "cluster" ? form : "single";
  const addresses = hosts.split(",").map((host) => addressOf(host, DEFAULT_PORTS[kind]));
  const parts = path.split("/").slice(1);
  if (kind !== "sentinel") {
    if (kind === "single" && addresses.length > 1) {
      throw refused("names several hosts: write redis+cluster or redis+sentinel");
    }
    if (parts.length > 1) throw refused("has more than a database after the host");
    const db = dbOf(parts[0]);
    if (kind === "cluster" && db !== 0) throw refused("names a database: a cluster has only 0");
    return { ...common, kind, db, addresses };
  }
  const [masterName = "", db, ...rest] = parts;
  if (!/^[\w.-]+$/.test(masterName) || rest.length > 0) {
    throw refused(
      "needs the name that the sentinels watch: redis+sentinel://HOST,HOST/MASTER[/DB]",
    );
  }
  return { ...common, kind, db: dbOf(db), addresses, masterName };
}

const refused = (why: string) => new ServiceError("badRequest", `the Redis URL ${why}`);

function credentialsOf(text: string | undefined) {
  if (text === undefined) return { username: undefined, password: undefined };
  const at = text.indexOf(":");
  const [username, password] = at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
  try {
    return {
      username: username === "" ? undefined : decodeURIComponent(username),
      password: password === "" ? undefined : decodeURIComponent(password),
    };
  } catch {
    throw refused("has a user or password with a stray %: write %25 for it");
  }
}

function addressOf(text: string, defaultPort: number): RedisAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/.exec(text);
  const [, bracketed, plain, port = String(defaultPort)] = match ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535 || Number(port) === 0) {
    // A stray "@" or ":" may have made a password look like a host.
    throw refused("has no HOST or HOST:PORT where one belongs; write %40 for an @ in a password");
  }
  return { host, port: Number(port) };
}

function dbOf(text: string | undefined): number {
  if (text === undefined || text === "") return 0;
  if (!/^\d{1,5}$/.test(text)) throw refused("has a database that is no number: write /0");
  return Number(text);
}
