import { readFile } from "node:fs/promises";
import { Option } from "commander";
import { parseRedisUrl } from "../adapters/redis/redis-url.js";
import { EXIT, ExitError } from "./exit.js";
import type { RedisOptions } from "./limit-store.js";

export const redisUrlOption = () =>
  new Option(
    "--redis-url <url>",
    "share limits through Redis: redis[s]://, +sentinel, +cluster or +unix; best in the environment, for its password",
  ).env("WEIR_REDIS_URL");

export const redisCaOption = () =>
  new Option(
    "--redis-ca <file>",
    "certificates (PEM) that rediss trusts; default: the system's",
  ).env("WEIR_REDIS_CA");

export async function readRedisOptions(
  url: string | undefined,
  caFile: string | undefined,
): Promise<RedisOptions | undefined> {
  if (url === undefined || url === "") return undefined;
  const target = parseRedisUrl(url);
  if (caFile === undefined) return { target, ca: undefined };
  if (!target.tls) {
    throw new ExitError(EXIT.badConfiguration, "--redis-ca needs TLS: write rediss in --redis-url");
  }
  try {
    return { target, ca: await readFile(caFile, "utf8") };
  } catch (error) {
    const because = error instanceof Error ? error.message : String(error);
    throw new ExitError(EXIT.badConfiguration, `--redis-ca cannot be read: ${because}`);
  }
}
