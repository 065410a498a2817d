import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { findingsPage } from "../../src/core/doctor/findings-page.js";
import { DOCUMENT_NAMES, jsonSchemaOf } from "../../src/schema/reference/json-schema.js";
import { referencePage } from "../../src/schema/reference/reference-page.js";

const committed = (name: string) =>
  readFileSync(new URL(`../../docs/reference/${name}`, import.meta.url), "utf8");

describe.each(DOCUMENT_NAMES)("docs/reference of %s", (name) => {
  test("the JSON Schema is the one of the code: run `npm run docs`", () => {
    expect(JSON.parse(committed(`${name}.schema.json`))).toEqual(
      JSON.parse(JSON.stringify(jsonSchemaOf(name))),
    );
  });

  test("the page is the one of the code: run `npm run docs`", () => {
    expect(committed(`${name}.md`)).toBe(referencePage(`${name}.yaml`, jsonSchemaOf(name)));
  });

  test("every key says what it means", () => {
    const mute = committed(`${name}.md`)
      .split("\n")
      .filter((line) => line.startsWith("| `") && line.endsWith("|  |"));
    expect(mute).toEqual([]);
  });
});

test("the page of findings is the one of the code: run `npm run docs`", () => {
  expect(committed("findings.md")).toBe(findingsPage());
});
