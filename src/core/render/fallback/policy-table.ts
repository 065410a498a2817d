import { isCumulative } from "../../../schema/experiment.js";
import { WEIR_PREFIX } from "../../../schema/headers.js";
import type { Source } from "../../../schema/unit.js";
import type { HeaderCondition } from "../../cel/header-conditions.js";
import type {
  CompiledExperiment,
  CompiledModel,
  CompiledPolicy,
} from "../../policy/compiled-policy.js";
import type { LuaData } from "./lua-literal.js";

/** What the Lua program reads of a policy. What is the default there is left out: size counts. */
export function policyTable(policy: CompiledPolicy): LuaData {
  const units = [...policy.units.keys()];
  const unitAt = (name: string) => units.indexOf(name) + 1;
  const isRegional = policy.residency.length > 0;
  const models = [...policy.models.values()];
  return {
    version: policy.version,
    strip: policy.headersRead.filter((name) => name.startsWith(WEIR_PREFIX)),
    units: [...policy.units.values()].map((sources) => sources.map(sourceRow)),
    residency: isRegional
      ? policy.residency.map(({ when, regions }) => ({
          when: conditionRows(when.conditions ?? []),
          regions: Object.fromEntries([...regions].map((region) => [region, true])),
        }))
      : undefined,
    models: Object.fromEntries(
      models.map((model) => [
        model.name,
        { ...modelTable(model, unitAt), ...(isRegional ? regionsTable(model) : {}) },
      ]),
    ),
  };
}

type UnitAt = (name: string) => number;

function modelTable(model: CompiledModel, unitAt: UnitAt): { readonly [key: string]: LuaData } {
  const { holdouts, experiments } = model;
  return {
    default: model.defaultVersion.name,
    ...(holdouts.length === 0 || experiments.length === 0
      ? {}
      : {
          holdouts: holdouts.map(({ name, unit, share }) => [
            `holdout:${name}`,
            unitAt(unit),
            share,
          ]),
        }),
    ...(experiments.length === 0
      ? {}
      : { experiments: experiments.map((experiment) => experimentTable(experiment, unitAt)) }),
  };
}

function experimentTable(experiment: CompiledExperiment, unitAt: UnitAt): LuaData {
  const { name, hash, seed, layer, eligibility, totalShare } = experiment;
  const conditions = eligibility?.conditions;
  return {
    name,
    unit: unitAt(experiment.unit),
    hash: hash === "fnv1a32-fmix" ? undefined : hash,
    seed,
    total: isCumulative(hash) ? totalShare : undefined,
    chooses: experiment.choosesVersion ? true : undefined,
    layer: layer?.salt,
    slots: layer?.slots.flat(),
    when: conditions == null ? undefined : conditionRows(conditions),
    unknown: conditions === null ? true : undefined,
    arms: experiment.arms.map((arm) => [
      ...[arm.name, arm.from, arm.to],
      ...(arm.version === null ? [] : [arm.version.name]),
    ]),
  };
}

/** Versions in the order in which they stand in for each other, as routing/choose-version.ts has it. */
function regionsTable({ fallback, defaultVersion, versions }: CompiledModel) {
  const all = [...versions.values()];
  return {
    order: [fallback, defaultVersion, ...all].map(({ name }) => name),
    regions: Object.fromEntries(all.map(({ name, region }) => [name, region])),
  };
}

const sourceRow = (source: Source): LuaData =>
  "header" in source ? ["header", source.header] : ["cookie", source.cookie];

const conditionRows = (conditions: readonly HeaderCondition[]): LuaData =>
  conditions.map(({ header, values }) => [header, ...values]);
