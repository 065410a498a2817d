import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readMeshFiles } from "../../../../src/adapters/mesh/read-files.js";

const folder = mkdtempSync(join(tmpdir(), "weir-mesh-files-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string, text: string) => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const SERVICE = "apiVersion: v1\nkind: Service\nmetadata: { name: a }\n";

test("each document of a file knows its own lines", async () => {
  const path = file("two.yaml", `# first\n${SERVICE}---\n${SERVICE}spec:\n  ports: []\n`);
  const documents = await readMeshFiles([path]);
  expect(documents.map(({ locate }) => locate(["metadata"]))).toEqual([
    `${path}:4:1`,
    `${path}:8:1`,
  ]);
  expect(documents[1]?.locate(["spec", "ports", 3, "absent"])).toBe(`${path}:10:3`);
});

test("empty documents and comments between them are nothing", async () => {
  const path = file("gaps.yaml", `---\n# nothing\n---\n${SERVICE}---\n---\nnull\n`);
  expect(await readMeshFiles([path])).toHaveLength(1);
});

test("JSON has no lines: places are told by their keys", async () => {
  const path = file("one.json", '{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"}}');
  const [document] = await readMeshFiles([path]);
  expect(document?.locate(["metadata", "name"])).toBe(`${path} metadata.name`);
});

test("YAML in flow style is no bad JSON", async () => {
  const path = file("flow.yaml", "{ apiVersion: v1, kind: Service, metadata: { name: a } }\n");
  const [document] = await readMeshFiles([path]);
  expect(document?.locate(["kind"])).toBe(`${path}:1:19`);
});

test("every mistake of a file is told with its position", async () => {
  const path = file("bad.yaml", `${SERVICE}kind: Pod\n---\na: [1\n`);
  await expect(readMeshFiles([path])).rejects.toThrow(
    new RegExp(`^${path}:4:1 key kind is there twice.*\n${path}:\\d+:\\d+ `),
  );
});
