import { Cluster, Redis } from "ioredis";
import { LEASE_SCRIPT, REGISTER_SCRIPT } from "./lease-script.js";
import type { RedisAddress, RedisTarget } from "./redis-url.js";

/** What the store asks of Redis: one script per key, so that any node of a cluster can run it. */
export type RedisScripts = {
  renewLease(key: string, ...args: readonly string[]): Promise<unknown>;
  registerReplica(key: string, ...args: readonly string[]): Promise<unknown>;
};

export type RedisConnection = {
  readonly scripts: RedisScripts;
  /** Drops the connection, and makes another: a half-open one never answers. */
  reconnect(): void;
  close(): void;
};

const CONNECT_TIMEOUT_MS = 2000;
const COMMAND_TIMEOUT_MS = 1000;
const MAX_RECONNECT_DELAY_MS = 500;
/** A client that has not connected by itself for so long is not left to try on. */
const PATIENCE_MS = 2 * CONNECT_TIMEOUT_MS;

const SCRIPTS = {
  renewLease: { lua: LEASE_SCRIPT, numberOfKeys: 1 },
  registerReplica: { lua: REGISTER_SCRIPT, numberOfKeys: 1 },
};

const delayMs = (attempt: number) => Math.min(MAX_RECONNECT_DELAY_MS, 20 * 2 ** attempt);

/**
 * Connects in the background, again and again. Commands fail at once while there is no connection:
 * nothing is queued for later, because later it would be wrong.
 */
export function connectRedis(
  target: RedisTarget,
  options: { readonly ca: string | undefined; readonly onError: (error: unknown) => void },
): RedisConnection {
  let known: readonly RedisAddress[] = [];
  const open = () => {
    const client =
      target.kind === "cluster"
        ? clusterOf(target, known, options.ca)
        : redisOf(target, options.ca);
    client.on("error", options.onError);
    client.on("ready", () => {
      if (client instanceof Cluster) known = client.nodes().map(addressOf);
    });
    return { client, sinceMs: performance.now() };
  };
  let current = open();
  const scriptsNow = () => current.client as unknown as RedisScripts;
  return {
    scripts: {
      renewLease: (...call) => scriptsNow().renewLease(...call),
      registerReplica: (...call) => scriptsNow().registerReplica(...call),
    },
    // A new client: ioredis' Cluster stays "disconnecting" for good when a MOVED arrives while it
    // reconnects, as in each failover, and starts over from the addresses of the URL alone.
    reconnect: () => {
      const { client, sinceMs } = current;
      if (client.status !== "ready" && performance.now() - sinceMs < PATIENCE_MS) return;
      current = open();
      client.disconnect();
    },
    close: () => {
      current.client.disconnect();
    },
  };
}

const addressOf = ({ options: { host = "localhost", port = 6379 } }: Redis): RedisAddress => ({
  host,
  port,
});

function commonOptions(target: RedisTarget, ca: string | undefined) {
  const { username, password, tls } = target;
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: ca === undefined ? {} : { ca } } : {}),
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: delayMs,
    // After a failover the old master is read-only: ask the sentinels again.
    reconnectOnError: ({ message }: Error) => message.startsWith("READONLY"),
    connectionName: "weir",
  };
}

function redisOf(target: RedisTarget, ca: string | undefined): Redis {
  const common = { ...commonOptions(target, ca), db: target.db, scripts: SCRIPTS };
  if (target.kind === "socket") return new Redis({ ...common, path: target.path });
  if (target.kind === "sentinel") {
    return new Redis({
      ...common,
      sentinels: [...target.addresses],
      name: target.masterName,
      sentinelRetryStrategy: delayMs,
      ...(target.tls ? { enableTLSForSentinelMode: true, sentinelTLS: common.tls ?? {} } : {}),
    });
  }
  const [address] = target.addresses;
  return new Redis({ ...common, ...address });
}

function clusterOf(
  target: RedisTarget,
  known: readonly RedisAddress[],
  ca: string | undefined,
): Cluster {
  return new Cluster([...target.addresses, ...known], {
    scripts: SCRIPTS,
    enableOfflineQueue: false,
    clusterRetryStrategy: delayMs,
    redisOptions: commonOptions(target, ca),
  });
}
