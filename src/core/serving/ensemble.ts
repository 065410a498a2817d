import type { EnsembleStep } from "../../schema/model-manifest.js";
import { describeTensor } from "./model-spec.js";
import type { ModelSpec, TensorSpec, TensorSpecs } from "./model-spec.js";

/** The versions that steps may name; undefined: there is none of that name. */
export type FindSpec = (model: string, version: string | undefined) => ModelSpec | undefined;

/** Of an ensemble's graph: each tensor has one origin, which is the request or an earlier step. */
export type StepOrder = {
  /** So that each comes after those whose tensors it takes. */
  readonly steps: readonly EnsembleStep[];
  readonly issues: readonly string[];
};

/** Puts the steps in an order in which they can run; what cannot run is an issue. */
export function orderSteps(steps: readonly EnsembleStep[], ends: TensorSpecs): StepOrder {
  const origins = new Set(ends.inputs.map(({ name }) => name));
  const issues: string[] = [];
  for (const { model, outputs } of steps) {
    for (const name of Object.values(outputs)) {
      if (origins.has(name)) issues.push(`tensor ${name} of step ${model} has another origin`);
      origins.add(name);
    }
  }
  for (const { model, inputs } of steps) {
    for (const name of Object.values(inputs)) {
      if (!origins.has(name)) issues.push(`step ${model} takes ${name}, which no step gives`);
    }
  }
  for (const { name } of ends.outputs) {
    if (!origins.has(name)) issues.push(`output ${name} is given by no step`);
  }
  const made = new Set(ends.inputs.map(({ name }) => name));
  const ordered: EnsembleStep[] = [];
  let rest = [...steps];
  while (rest.length > 0) {
    const next = rest.find(({ inputs }) => Object.values(inputs).every((name) => made.has(name)));
    if (next === undefined) break;
    rest = rest.filter((step) => step !== next);
    ordered.push(next);
    for (const name of Object.values(next.outputs)) made.add(name);
  }
  if (rest.length > 0 && issues.length === 0) {
    issues.push(`steps ${rest.map(({ model }) => model).join(", ")} wait for each other`);
  }
  return { steps: ordered, issues };
}

/** What is wrong between the steps and the models they name: one line for each mistake. */
export function stepIssues(
  steps: readonly EnsembleStep[],
  ends: TensorSpecs,
  find: FindSpec,
): readonly string[] {
  const known = new Map(ends.inputs.map((spec) => [spec.name, spec]));
  const issues: string[] = [];
  for (const step of steps) {
    const spec = find(step.model, step.version);
    if (spec === undefined) {
      const version = step.version === undefined ? "" : `/${step.version}`;
      issues.push(`step ${step.model}${version}: there is no such model here`);
      continue;
    }
    issues.push(...modelIssues(spec));
    for (const input of spec.inputs) {
      const given = known.get(step.inputs[input.name] ?? "");
      if (given === undefined) issues.push(`step ${step.model} leaves out input ${input.name}`);
      else if (!agree(given, input)) issues.push(differ(given, step.model, "takes", input));
    }
    issues.push(...unknownNames(step.model, "input", step.inputs, spec.inputs));
    issues.push(...unknownNames(step.model, "output", step.outputs, spec.outputs));
    for (const output of spec.outputs) {
      const name = step.outputs[output.name];
      if (name !== undefined) known.set(name, { ...output, name });
    }
  }
  for (const output of ends.outputs) {
    const made = known.get(output.name);
    if (made !== undefined && !agree(made, output)) {
      issues.push(`output ${describeTensor(output)} is made as ${describeTensor(made)}`);
    }
  }
  return issues;
}

function modelIssues({ name, sequence, steps }: ModelSpec): readonly string[] {
  if (sequence !== undefined) return [`step ${name} keeps state: it can be called by itself only`];
  return steps === undefined ? [] : [`step ${name} is an ensemble: name its steps instead`];
}

function unknownNames(
  model: string,
  what: string,
  named: Readonly<Record<string, string>>,
  specs: readonly TensorSpec[],
): readonly string[] {
  const known = specs.map(({ name }) => name);
  return Object.keys(named)
    .filter((name) => !known.includes(name))
    .map((name) => `step ${model} has no ${what} ${name}: it has ${known.join(", ")}`);
}

/** Alike as far as both say. */
const agree = (a: TensorSpec, b: TensorSpec) =>
  a.datatype === b.datatype &&
  a.shape.length === b.shape.length &&
  a.shape.every((size, axis) => size === -1 || b.shape[axis] === -1 || size === b.shape[axis]);

const differ = (given: TensorSpec, model: string, verb: string, wanted: TensorSpec) =>
  `${describeTensor(given)} goes to step ${model}, which ${verb} ${describeTensor(wanted)}`;
