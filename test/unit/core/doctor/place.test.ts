import { expect, test } from "vitest";
import { objectText, placeText } from "../../../../src/core/doctor/place.js";

const list = {
  kind: "List",
  items: [
    { kind: "Pod", metadata: { name: "a", namespace: "n" }, spec: { containers: [{ name: "c" }] } },
    { kind: "Namespace", metadata: { name: "n" } },
  ],
};

test.each([
  {
    name: "names",
    path: ["items", 0, "spec", "containers", 0, "image"],
    text: "items[a].spec.containers[c].image",
  },
  { name: "an index where there is no name", path: ["items", 7], text: "items[7]" },
  { name: "the document", path: [], text: "" },
])("a place is told by $name", ({ path, text }) => {
  expect(placeText(list, path)).toBe(text);
});

test.each([
  {
    document: { configs: [{ "@type": "x/envoy.admin.v3.ClustersConfigDump" }] },
    path: ["configs", 0],
    text: "configs[ClustersConfigDump]",
  },
  {
    document: { static_clusters: [{ cluster: { name: "c" } }] },
    path: ["static_clusters", 0],
    text: "static_clusters[c]",
  },
])("parts of a dump go by what they hold: $text", ({ document, path, text }) => {
  expect(placeText(document, path)).toBe(text);
});

test.each([
  { path: ["items", 0, "spec"], text: "Pod n/a" },
  { path: ["items", 1], text: "Namespace n" },
  { path: ["items"], text: undefined },
])("the object that holds $path is $text", ({ path, text }) => {
  expect(objectText(list, path)).toBe(text);
});
