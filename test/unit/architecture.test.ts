import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { REASONS } from "../../src/core/routing/decision.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SKIPPED = /^(node_modules|dist|coverage|\.git|src\/gen)(\/|$)/;
const FILES = readdirSync(ROOT, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
  .filter((file) => !SKIPPED.test(file));
const filesIn = (folder: string, extension: string) =>
  FILES.filter((file) => file.startsWith(folder) && file.endsWith(extension));
const read = (file: string) => readFileSync(join(ROOT, file), "utf8");
const offenders = (files: readonly string[], pattern: RegExp) =>
  files.filter((file) => pattern.test(read(file)));

test("clocks and randomness are read in adapters/system only", () => {
  const others = filesIn("src", ".ts").filter((file) => !file.startsWith("src/adapters/system"));
  expect(offenders(others, /Date\.now\(|Math\.random\(|new Date\(\)/)).toEqual([]);
});

test("the environment is read in processes and in the toolchain only", () => {
  const others = filesIn("src", ".ts").filter(
    (file) => !/^src\/(processes|adapters\/toolchain)\//.test(file),
  );
  expect(offenders(others, /process\.env/)).toEqual([]);
});

test("no unfinished business: each TODO, skipped or focused test is somebody's surprise", () => {
  const sources = [...filesIn("src", ".ts"), ...filesIn("test", ".test.ts")].filter(
    (file) => file !== "test/unit/architecture.test.ts",
  );
  expect(
    offenders(sources, /\b(TODO|FIXME|XXX)\b|\b(test|it|describe)\.(skip|only|todo)\b/),
  ).toEqual([]);
});

test("every Markdown file has one title", () => {
  const titles = (file: string) =>
    read(file)
      .replace(/^```[\s\S]*?^```/gm, "")
      .split("\n")
      .filter((line) => line.startsWith("# ")).length;
  expect(filesIn("", ".md").filter((file) => titles(file) !== 1)).toEqual([]);
});

test("links in Markdown lead somewhere", () => {
  const broken = filesIn("", ".md").flatMap((file) =>
    [...read(file).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)]
      .map(([, target = ""]) => join(dirname(file), target))
      .filter((target) => !FILES.some((known) => known === target || known.startsWith(target)))
      .map((target) => `${file} -> ${target}`),
  );
  expect(broken).toEqual([]);
});

test("unit tests lie in the folders of what they test", () => {
  const folders = new Set(filesIn("src", ".ts").map(dirname));
  const strangers = filesIn("test/unit", ".test.ts")
    .map((file) => file.split("/").slice(2, 4))
    .filter((parts) => parts.length === 2 && !parts[1]?.endsWith(".test.ts"))
    .map((parts) => join("src", ...parts))
    .filter(
      (folder) =>
        !folders.has(folder) && ![...folders].some((known) => known.startsWith(`${folder}/`)),
    );
  expect(strangers).toEqual([]);
});

test("every metric is documented for on-call, and every documented metric exists", () => {
  const inCode = new Set(
    filesIn("src/adapters/prometheus", ".ts").flatMap((file) => [
      ...(read(file).match(/"weir_[a-z_]+"/g) ?? []).map((name) => name.slice(1, -1)),
    ]),
  );
  const documented = new Set(read("docs/operations.md").match(/`weir_[a-z_]+/g) ?? []);
  expect([...documented].map((name) => name.slice(1)).sort()).toEqual([...inCode].sort());
});

test("every reason of a decision is explained", () => {
  const page = read("docs/operations.md");
  expect(REASONS.filter((reason) => !page.includes(`\`${reason}\``))).toEqual([]);
});

test("the image copies only what is there", () => {
  const copied = [...read("Dockerfile").matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(
    ([, sources = ""]) => sources.split(" "),
  );
  const missing = copied.filter(
    (source) => !FILES.some((file) => file === source || file.startsWith(`${source}/`)),
  );
  expect(missing).toEqual([]);
});
