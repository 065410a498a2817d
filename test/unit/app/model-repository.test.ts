import { expect, test } from "vitest";
import type { LoadedModel, ModelRuntime } from "../../../src/app/model-ports.js";
import { ModelRepository } from "../../../src/app/model-repository.js";
import type { ModelControl } from "../../../src/app/model-repository.js";
import { ServedModels } from "../../../src/app/served-models.js";
import { ServiceError } from "../../../src/core/error.js";
import {
  FakePool,
  FakeTime,
  echoModel,
  fakeRuntime,
  noMetrics,
} from "../../support/fake-serving.js";

const { clock, timer } = new FakeTime();

/** A model whose instances end runs when told, and say when they are closed. */
function modelWith(version: string, pool: FakePool): LoadedModel {
  const [first] = echoModel({ name: "m", version }).versions;
  if (first === undefined) throw new Error("a model has a version");
  return {
    ...echoModel({ name: "m" }),
    defaultVersion: version,
    versions: [{ ...first, instances: pool }],
  };
}

class ClosingPool extends FakePool {
  closed = false;
  override close(): Promise<void> {
    this.closed = true;
    return super.close();
  }
}

function repositoryOf(
  loaded: LoadedModel,
  runtime: ModelRuntime,
  control: ModelControl = "explicit",
) {
  const models = new ServedModels([loaded], { clock, timer, metrics: noMetrics });
  return { models, repository: new ModelRepository({ root: "", control, runtime, models }) };
}

const submit = (models: ServedModels) =>
  models.find("m", undefined).queue.submit({
    ...{ items: 1, shapeKey: "", length: 1, deadlineAtMs: Infinity },
    ...{ priority: 0, tenant: "", isRetry: false },
    input: { kind: "tensors", tensors: new Map() },
  });

test("a request that runs finishes on the old session, which ends only then", async () => {
  const [oldPool, newPool] = [new ClosingPool(), new ClosingPool()];
  const { models, repository } = repositoryOf(
    modelWith("1", oldPool),
    fakeRuntime([modelWith("2", newPool)]),
  );
  const running = submit(models);
  await expect.poll(() => oldPool.runs.length).toBe(1);
  const waiting = submit(models);
  await repository.load("m");
  expect(models.versionsOf("m")).toEqual(["2"]);
  expect(oldPool.closed).toBe(false);
  oldPool.runs[0]?.finish();
  await running;
  expect(oldPool.closed).toBe(false);
  await expect.poll(() => oldPool.runs.length).toBe(2);
  oldPool.runs[1]?.finish();
  await waiting;
  await expect.poll(() => oldPool.closed).toBe(true);
  expect(newPool.closed).toBe(false);
});

test("a version that is taken over keeps its queue and its instances", async () => {
  const pool = new ClosingPool();
  const model = modelWith("1", pool);
  const { models, repository } = repositoryOf(model, fakeRuntime([{ ...model }]));
  const before = models.find("m", "1");
  await repository.load("m");
  expect(models.find("m", "1")).toBe(before);
  expect(pool.closed).toBe(false);
});

test("a bad new version leaves the old one in service, and the index says why", async () => {
  const runtime: ModelRuntime = {
    ...fakeRuntime([echoModel({ name: "m" })]),
    loadModel: () => Promise.reject(new ServiceError("badRequest", "model m is cut")),
  };
  const { models, repository } = repositoryOf(echoModel({ name: "m" }), runtime);
  await expect(repository.load("m")).rejects.toThrow(
    "model m is cut\nwhat was loaded before stays in service",
  );
  expect(models.isReady("m", "1")).toBe(true);
  expect(await repository.index(true)).toEqual([
    { name: "m", version: "1", state: "READY", reason: "newer files: model m is cut" },
  ]);
});

test("changes of one model happen one after the other", async () => {
  const order: string[] = [];
  const runtime: ModelRuntime = {
    ...fakeRuntime([echoModel({ name: "m" })]),
    loadModel: async () => {
      order.push("begins");
      await Promise.resolve();
      order.push("ends");
      return echoModel({ name: "m" });
    },
  };
  const { repository } = repositoryOf(echoModel({ name: "m" }), runtime);
  await Promise.all([repository.load("m"), repository.load("m")]);
  expect(order).toEqual(["begins", "ends", "begins", "ends"]);
});

test.each([
  { control: "none", remedy: /start it with --model-control explicit/ },
  { control: "poll", remedy: /follows the files/ },
] as const)("in mode $control callers change nothing", async ({ control, remedy }) => {
  const model = echoModel({ name: "m" });
  const { models, repository } = repositoryOf(model, fakeRuntime([model]), control);
  await expect(repository.load("m")).rejects.toMatchObject({ code: "conflict" });
  await expect(repository.unload("m")).rejects.toThrow(remedy);
  expect(models.isReady("m", "1")).toBe(true);
});

test("a process that is about to end begins no change", async () => {
  const model = echoModel({ name: "m" });
  const { repository } = repositoryOf(model, fakeRuntime([model]));
  await repository.close();
  await expect(repository.load("m")).rejects.toMatchObject({ code: "notReady" });
});
