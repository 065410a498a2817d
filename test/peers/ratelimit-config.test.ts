import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ratelimitFiles } from "../support/ratelimit-cases.js";
import { importsAs } from "../support/ratelimit-import.js";
import { ratelimitTools, type RatelimitTools } from "../support/ratelimit-tools.js";

const run = promisify(execFile);
const CASES = 1500;
const SEED = 6;

/** What the real checker of envoyproxy/ratelimit says, against what our import says. */
describe("verdicts of envoyproxy/ratelimit's config_check_cmd", () => {
  let tools: RatelimitTools;
  let folder: string;
  beforeAll(async () => {
    tools = await ratelimitTools();
    folder = await mkdtemp(join(tmpdir(), "weir-ratelimit-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const accepts = async (files: readonly string[], flags: readonly string[] = []) => {
    const place = await mkdtemp(join(folder, "case-"));
    for (const [at, text] of files.entries()) await writeFile(join(place, `${at}.yaml`), text);
    const { ok } = await run(tools.checker, ["-config_dir", place, ...flags]).then(
      () => ({ ok: true }),
      () => ({ ok: false }),
    );
    await rm(place, { recursive: true });
    return ok;
  };

  test("its own examples and test files are taken and refused alike", async () => {
    const folders = ["test/config", "examples/ratelimit/config"].map((one) =>
      join(tools.source, one),
    );
    const names = await Promise.all(
      folders.map(async (one) => (await readdir(one)).map((name) => join(one, name))),
    );
    const files = names.flat().filter((name) => name.endsWith(".yaml"));
    expect(files.length).toBeGreaterThan(15);
    for (const file of files) {
      const text = await readFile(file, "utf8");
      expect({ file: basename(file), ok: importsAs([text]) }).toEqual({
        ...{ file: basename(file), ok: await accepts([text]) },
      });
    }
  });

  test.each([{ flags: [] }, { flags: ["-merge_domain_configs"] }])(
    "files of one domain: $flags",
    async ({ flags }) => {
      const first = "domain: d\ndescriptors: [{ key: a, value: b }]\n";
      for (const second of [
        first,
        "domain: d\ndescriptors: [{ key: a_b }]\n",
        "domain: d\n",
        "domain: e\n",
      ]) {
        const mergesDomains = flags.length > 0;
        expect({ second, ok: importsAs([first, second], { mergesDomains }) }).toEqual({
          ...{ second, ok: await accepts([first, second], flags) },
        });
      }
    },
  );

  test(`${CASES} generated files, most of them with oddities`, { timeout: 600_000 }, async () => {
    await mkdir(folder, { recursive: true });
    const verdicts: string[] = [];
    const differing: string[] = [];
    for (const text of ratelimitFiles(CASES, SEED)) {
      const isAccepted = await accepts([text]);
      verdicts.push(isAccepted ? "1" : "0");
      if (isAccepted !== importsAs([text]))
        differing.push(`${isAccepted ? "taken" : "refused"}:\n${text}`);
    }
    const taken = verdicts.filter((verdict) => verdict === "1").length;
    console.log(
      `${CASES} files: ${taken} taken, ${CASES - taken} refused, ${differing.length} differ`,
    );
    expect(differing).toEqual([]);
    expect(Math.min(taken, CASES - taken)).toBeGreaterThan(CASES / 5);
    await expect(verdicts.join("").replaceAll(/.{100}/g, "$&\n")).toMatchFileSnapshot(
      "../vectors/ratelimit-verdicts.txt",
    );
  });
});
