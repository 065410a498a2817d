import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fetchPythonPackage } from "../../src/adapters/toolchain/python-package.js";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-python-package-"));
  // A python3 that downloads for ever: it says which process it is, and leaves a temporary file.
  const script = `#!/bin/sh\ntouch "$TMPDIR/half-a-wheel"\necho $$ > ${folder}/pid\nexec sleep 600\n`;
  await mkdir(join(folder, "bin"));
  await writeFile(join(folder, "bin", "python3"), script);
  await chmod(join(folder, "bin", "python3"), 0o755);
  vi.stubEnv("PATH", [join(folder, "bin"), process.env["PATH"]].join(delimiter));
  vi.stubEnv("WEIR_CACHE_DIR", join(folder, "cache"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

test("a download that is given up ends its process, and leaves nothing", async () => {
  const given = new AbortController();
  const reason = new Error("demo stopped");
  const wanted = { name: "some", version: "1", sha256: "" };
  const fetched = fetchPythonPackage(wanted, { signal: given.signal });
  const outcome = expect(fetched).rejects.toBe(reason);
  const pid = await vi.waitFor(
    async () => {
      const text = await readFile(join(folder, "pid"), "utf8");
      expect(text).toMatch(/^\d+\n$/);
      return Number(text);
    },
    { timeout: 10_000 },
  );
  given.abort(reason);
  await outcome;
  await vi.waitFor(
    () => {
      expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    },
    { timeout: 30_000 },
  );
  expect(await readdir(join(folder, "cache", "python"))).toEqual([]);
});
