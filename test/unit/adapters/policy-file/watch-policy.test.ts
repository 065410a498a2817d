import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { loadPolicy } from "../../../../src/adapters/policy-file/load-policy.js";
import { watchPolicy } from "../../../../src/adapters/policy-file/watch-policy.js";
import type { WatchedPolicy } from "../../../../src/adapters/policy-file/watch-policy.js";
import { POLICY_TEXT, policyText } from "../../../support/policy-text.js";

const INTERVAL_MS = 10;
const OTHER_TEXT = policyText("share: 100", "share: 200");

let folder: string;
let file: string;
let watched: WatchedPolicy | undefined;
const events = { loaded: 0, refused: [] as (readonly string[])[] };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-watch-"));
  file = join(folder, "policy.yaml");
  events.loaded = 0;
  events.refused = [];
});
afterEach(async () => {
  watched?.close();
  await rm(folder, { recursive: true });
});

async function watch(): Promise<WatchedPolicy> {
  const started = await watchPolicy(
    file,
    loadPolicy,
    { onLoaded: () => events.loaded++, onRefused: (mistakes) => events.refused.push(mistakes) },
    INTERVAL_MS,
  );
  if ("mistakes" in started) throw new Error(started.mistakes.join("\n"));
  watched = started;
  return started;
}

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 5 });

test("a bad file at the start is refused, with its mistakes", async () => {
  await writeFile(file, policyText("default: v1", "default: v9"));
  const none = { onLoaded: () => undefined, onRefused: () => undefined };
  expect(await watchPolicy(file, loadPolicy, none)).toEqual({
    mistakes: [`${file}:16:5 models[0].default: unknown version "v9": it must be one of v1, v2`],
  });
});

test("a new good file comes into force whole", async () => {
  await writeFile(file, POLICY_TEXT);
  const policy = await watch();
  const before = policy.current();
  await writeFile(file, OTHER_TEXT);
  await eventually(() => {
    expect(policy.current().version).not.toBe(before.version);
  });
  expect(before.source.shadows[0]?.share).toBe(100);
  expect(policy.current().source.shadows[0]?.share).toBe(200);
  expect(events.loaded).toBe(2);
});

test("a new bad file is refused with its list, and the old policy stays until a good one comes", async () => {
  await writeFile(file, POLICY_TEXT);
  const policy = await watch();
  const before = policy.current();
  await writeFile(file, "kind: nonsense\n");
  await eventually(() => {
    expect(policy.refused()).not.toBeNull();
  });
  expect(policy.current()).toBe(before);
  expect(events.refused).toEqual([policy.refused()]);
  await writeFile(file, OTHER_TEXT);
  await eventually(() => {
    expect(policy.refused()).toBeNull();
  });
  expect(policy.current().source.shadows[0]?.share).toBe(200);
});

test("a file that goes away is refused and told; the same file back is in force again", async () => {
  await writeFile(file, POLICY_TEXT);
  const policy = await watch();
  await rename(file, `${file}.away`);
  await eventually(() => {
    expect(policy.refused()?.[0]).toContain("cannot be read: ENOENT");
  });
  expect(policy.current().name).toBe("p");
  await rename(`${file}.away`, file);
  await eventually(() => {
    expect(policy.refused()).toBeNull();
  });
});

test("a link that is swapped is seen, as a mounted ConfigMap does it", async () => {
  for (const [name, text] of [
    ["a", POLICY_TEXT],
    ["b", OTHER_TEXT],
  ] as const) {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, "policy.yaml"), text);
  }
  await symlink("a", join(folder, "data"));
  await symlink(join("data", "policy.yaml"), file);
  const policy = await watch();
  await symlink("b", join(folder, "next"));
  await rename(join(folder, "next"), join(folder, "data"));
  await eventually(() => {
    expect(policy.current().source.shadows[0]?.share).toBe(200);
  });
});

test("after close nothing is reported, whatever happens to the file", async () => {
  await writeFile(file, POLICY_TEXT);
  const closed = await watch();
  closed.close();
  await writeFile(file, OTHER_TEXT);
  // Another watcher of the same file shows that time enough has gone by.
  const other = await watchPolicy(
    file,
    loadPolicy,
    { onLoaded: () => undefined, onRefused: () => undefined },
    INTERVAL_MS,
  );
  if ("mistakes" in other) throw new Error(other.mistakes.join("\n"));
  await unlink(file);
  await eventually(() => {
    expect(other.refused()).not.toBeNull();
  });
  other.close();
  expect(events).toEqual({ loaded: 1, refused: [] });
  expect(closed.current().source.shadows[0]?.share).toBe(100);
});
