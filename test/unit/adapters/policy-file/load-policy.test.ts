import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadPolicy, parsePolicy } from "../../../../src/adapters/policy-file/load-policy.js";
import { mistakesIn, POLICY_TEXT, policyText } from "../../../support/policy-text.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-policy-"));
});
afterAll(() => rm(folder, { recursive: true }));

const write = async (name: string, content: string | Buffer) => {
  const file = join(folder, name);
  await writeFile(file, content);
  return file;
};

function versionOf(text: string): string {
  const loaded = parsePolicy("p.yaml", text);
  if (loaded.kind === "refused") throw new Error(loaded.mistakes.join("\n"));
  return loaded.policy.version;
}

describe("a good file", () => {
  test("is compiled, with the name of the policy and a version", async () => {
    const loaded = await loadPolicy(await write("good.yaml", POLICY_TEXT));
    expect(loaded).toMatchObject({ kind: "loaded", policy: { name: "p" }, warnings: [] });
    expect(versionOf(POLICY_TEXT)).toMatch(/^[0-9a-f]{12}$/);
  });

  test.each([
    { name: "a byte order mark", text: `\ufeff${POLICY_TEXT}` },
    { name: "line ends of Windows", text: POLICY_TEXT.replaceAll("\n", "\r\n") },
    { name: "a document marker", text: `---\n${POLICY_TEXT}` },
    { name: "comments", text: POLICY_TEXT.replaceAll("\n", " # why\n") },
    {
      name: "keys in another order",
      text: policyText(
        "  user: { from: [{ header: x-user-id }, { cookie: uid }] }\n  tenant: { from: [{ header: x-tenant }] }",
        "  tenant: { from: [{ header: x-tenant }] }\n  user: { from: [{ header: x-user-id }, { cookie: uid }] }",
      ),
    },
    { name: "a default spelled out", text: policyText("    arms:\n", "    phase: 1\n    arms:\n") },
    { name: "the same duration in another unit", text: policyText("2s", "2000ms") },
    {
      name: "an anchor and an alias",
      text: policyText("name: la, unit: user", "name: la, unit: &u user").replace(
        "version: v2, unit: user",
        "version: v2, unit: *u",
      ),
    },
  ])("$name changes nothing", ({ text }) => {
    expect(versionOf(text)).toBe(versionOf(POLICY_TEXT));
  });

  test("a share that changes makes another version", () => {
    expect(versionOf(policyText("start: 0, share: 2500", "start: 0, share: 2501"))).not.toBe(
      versionOf(POLICY_TEXT),
    );
  });

  test("needs nothing but a model", () => {
    const text = `apiVersion: weir.dev/v1
kind: ServingPolicy
metadata: { name: p }
models:
  - name: m
    match: { pathPrefix: / }
    versions: [{ name: 1, address: { host: "::1", port: 1 } }]
    default: 1
`;
    expect(mistakesIn(text)).toEqual([]);
  });
});

describe("warnings", () => {
  const mod = (text: string) =>
    text
      .replace("    arms:\n", "    hash: fnv1a32-mod\n    arms:\n")
      .replace("start: 0, ", "")
      .replace("start: 5000, ", "");
  const warnings = (text: string) => {
    const loaded = parsePolicy("p.yaml", text);
    return loaded.kind === "loaded" ? loaded.warnings : loaded.mistakes;
  };
  const second = (layer: string) =>
    mod(POLICY_TEXT).replace(
      "shadows:",
      `  - { name: f, model: m, unit: user, hash: fnv1a32-mod, ${layer}arms: [{ name: a, share: 1 }] }\nshadows:`,
    );

  test("two experiments that the plain formula correlates", () => {
    expect(warnings(second(""))).toEqual([
      'p.yaml:30:38 experiments[1].hash: fnv1a32-mod correlates "f" with "e" on unit "user": use fnv1a32-fmix, or put both in one layer',
    ]);
  });

  test("none when a layer keeps them apart, or when there is only one", () => {
    expect(warnings(second("layer: { name: la, slots: [[5000, 6000]] }, "))).toEqual([]);
    expect(warnings(mod(POLICY_TEXT))).toEqual([]);
  });

  test("a version without a region beside residency rules", () => {
    const text = policyText(
      "overrides:",
      'residency: [{ when: "true", versionsIn: [eu] }]\noverrides:',
    );
    expect(warnings(text.replace("region: me, ", ""))).toEqual([
      'p.yaml:15:9 models[0].versions[1]: version "v2" has no region, so it never serves a request that a residency rule applies to: declare its region',
    ]);
    expect(warnings(text)).toEqual([]);
  });
});

describe("several mistakes", () => {
  test("are reported at once, in the order of the file, whatever found them", () => {
    const text = policyText("arms:", "seeed: x\n    arms:")
      .replace("x-tenant", "X-Tenant")
      .replace("default: v1", "default: v9")
      .replace('geo.country == "AE"', "geo.country")
      .replace("key: [tenant]", "key: [nobody]");
    expect(mistakesIn(text).map((line) => line.split(": ")[0])).toEqual([
      "p.yaml:6:22 units.tenant.from[0].header",
      "p.yaml:16:5 models[0].default",
      "p.yaml:25:5 experiments[0].eligibility",
      "p.yaml:26:5 experiments[0].seeed",
      "p.yaml:34:11 limits[0].key[0]",
    ]);
  });
});

describe("a file that is no policy", () => {
  const NOTHING =
    "p.yaml:1:1 the file holds no document: write a policy, apiVersion: weir.dev/v1, kind: ServingPolicy";

  test.each([
    { name: "empty", text: "", says: [NOTHING] },
    { name: "only comments", text: "# to do\n", says: [NOTHING] },
    { name: "null", text: "null\n", says: [NOTHING] },
    {
      name: "a sentence",
      text: "hello",
      says: [
        'p.yaml:1:1 must be a map of apiVersion, kind, metadata, units, context, models, layers, holdouts, experiments, shadows, limits, rateLimits, overrides, residency, onOverload, not "hello"',
      ],
    },
    {
      name: "a list",
      text: "- a",
      says: [
        "p.yaml:1:1 must be a map of apiVersion, kind, metadata, units, context, models, layers, holdouts, experiments, shadows, limits, rateLimits, overrides, residency, onOverload, not a list",
      ],
    },
  ])("$name", ({ text, says }) => {
    expect(mistakesIn(text)).toEqual(says);
  });

  test("bytes that are no text", async () => {
    const file = await write("binary.yaml", Buffer.from([0x00, 0xff, 0xfe, 0x80]));
    expect((await loadPolicy(file)).kind).toBe("refused");
  });

  test("too large: it is not read", async () => {
    const file = await write("large.yaml", "");
    await truncate(file, 2 ** 40);
    expect(await loadPolicy(file)).toEqual({
      kind: "refused",
      mistakes: [`${file}: 1099511627776 bytes are over the limit of 8388608: shorten it`],
    });
  });

  test("a device without an end: no more is read than a policy can have", async () => {
    expect(await loadPolicy("/dev/zero")).toEqual({
      kind: "refused",
      mistakes: ["/dev/zero: 8388609 bytes are over the limit of 8388608: shorten it"],
    });
  });

  test("absent", async () => {
    const file = join(folder, "absent.yaml");
    expect(await loadPolicy(file)).toEqual({
      kind: "refused",
      mistakes: [`${file}: cannot be read: ENOENT: no such file or directory, open '${file}'`],
    });
  });

  test("a folder", async () => {
    expect(await loadPolicy(folder)).toEqual({
      kind: "refused",
      mistakes: [`${folder}: cannot be read: EISDIR: illegal operation on a directory, read`],
    });
  });
});
