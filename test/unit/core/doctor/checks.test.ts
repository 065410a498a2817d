import { describe, expect, test } from "vitest";
import { CHECKS } from "../../../../src/core/doctor/checks.js";
import { examine } from "../../../../src/core/doctor/examine.js";
import { meshOf } from "../../../../src/core/doctor/mesh.js";
import {
  object,
  soundDump,
  soundEnvoy,
  soundMesh,
  SOUND_POLICY,
  within,
} from "../../../support/sound-mesh.js";
import { BROKEN_ENVOYS } from "./broken-envoys.js";
import { BROKEN_MESHES } from "./broken-meshes.js";
import { BROKEN_PODS } from "./broken-pods.js";

const BROKEN = [...BROKEN_MESHES, ...BROKEN_PODS, ...BROKEN_ENVOYS];

const idsIn = (...args: Parameters<typeof meshOf>) => [
  ...new Set(examine(meshOf(...args)).map(({ id }) => id)),
];

describe("one broken input per finding", () => {
  test.each(BROKEN)("$id: $name", ({ id, documents, expected, replicas }) => {
    expect(idsIn(documents(), replicas, expected)).toEqual([id]);
  });

  test("there is one for each check", () => {
    const checked = Object.values(CHECKS).flatMap((checks) => checks.map(({ id }) => id));
    expect([...new Set(BROKEN.map(({ id }) => id))].sort()).toEqual([...checked].sort());
  });
});

describe("what is sound is not found fault with", () => {
  test.each([
    ["what Weir renders and installs in a mesh", soundMesh],
    ["what Weir renders for an Envoy", soundEnvoy],
    ["its dump", soundDump],
    ["a mesh and an Envoy at once", () => [...soundMesh(), ...soundEnvoy()]],
  ])("%s", (_, documents) => {
    expect(idsIn(documents(), [], SOUND_POLICY)).toEqual([]);
  });

  test("pods of models in ambient mode have no sidecar", () => {
    const models = (document: unknown) =>
      /"(namespace|name)":"models"/.test(JSON.stringify(document));
    const text = JSON.stringify(soundMesh().filter(models))
      .replaceAll('"istio-injection":"enabled"', '"istio.io/dataplane-mode":"ambient"')
      .replaceAll('"sidecar.istio.io/inject":"true"', '"sidecar.istio.io/inject":"false"');
    expect(idsIn(JSON.parse(text) as unknown[])).toEqual([]);
  });

  test("a Service without a selector, which tells nothing of its pods", () => {
    const documents = soundMesh();
    delete within(object(documents, "Service models/magika-v3"), "spec")["selector"];
    within(object(documents, "DestinationRule models/weir-magika-v3"), "spec")["subsets"] = [
      { name: "v9", labels: { version: "v9" } },
    ];
    expect(idsIn(documents)).toEqual([]);
  });

  test("an external processor that is not Weir's", () => {
    const documents = soundMesh();
    const filter = structuredClone(object(documents, "EnvoyFilter apps/weir-files"));
    const picker = JSON.stringify(filter)
      .replaceAll("weir", "picker")
      .replaceAll("INSERT_BEFORE", "INSERT_FIRST")
      .replaceAll("SKIP", "SEND");
    expect(idsIn([...documents, JSON.parse(picker)])).toEqual([]);
  });

  test.each(["camelCase", "snake_case"])("fields of Envoy in %s", (form) => {
    const text = JSON.stringify(soundEnvoy());
    const camel = text.replace(/"([a-z]+(?:_[a-z0-9]+)+)":/g, (_, key: string) => {
      return `"${key.replace(/_([a-z0-9])/g, (__, letter: string) => letter.toUpperCase())}":`;
    });
    const documents = JSON.parse(form === "camelCase" ? camel : text) as unknown[];
    expect(idsIn(documents)).toEqual([]);
  });
});
