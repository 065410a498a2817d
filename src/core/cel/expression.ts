import { Environment } from "@marcbachmann/cel-js";
import type { Context } from "../../schema/unit.js";
import { headerConditionsIn, type HeaderCondition } from "./header-conditions.js";
import { headersNamedIn, mentions, refusalOf } from "./syntax.js";

type Attributes = ReadonlyMap<string, string | number | boolean>;

/**
 * What an expression can see; a missing entry makes reading it an error, which means "no". Maps,
 * because a plain object has a `constructor` and a `toString` that no policy declared.
 */
export type CelContext = {
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly host: string;
    readonly headers: ReadonlyMap<string, string>;
  };
  readonly unit: ReadonlyMap<string, string>;
  readonly device: Attributes;
  readonly geo: Attributes;
  readonly features: Attributes;
};

export type CelVerdict = "yes" | "no" | "error";
export type CompiledExpression = {
  readonly text: string;
  /** Header names the expression reads; lower-case. */
  readonly headers: readonly string[];
  /** It reads device.mobile, device.platform or a declared attribute of the device. */
  readonly readsDevice: boolean;
  /** What it comes down to, if that is a conjunction of conditions on headers; else null. */
  readonly conditions: readonly HeaderCondition[] | null;
  evaluate(context: CelContext): CelVerdict;
};

/** An environment that knows exactly the variables a policy declares, so that typing errors are found. */
export function celEnvironment(units: readonly string[], context: Context): Environment {
  const typesOf = (attributes: Context["geo"]) =>
    Object.fromEntries(
      Object.entries(attributes).map(([name, { type }]) => [
        name,
        type === "number" ? "double" : type,
      ]),
    );
  const { device, geo, features } = context;
  const headers = "map<string, string>";
  return new Environment({ limits: { maxAstNodes: 1000, maxDepth: 50 } })
    .registerVariable({
      name: "request",
      schema: { method: "string", path: "string", host: "string", headers },
    })
    .registerVariable({
      name: "unit",
      schema: Object.fromEntries(units.map((unit) => [unit, "string"])),
    })
    .registerVariable({
      name: "device",
      schema: { mobile: "bool", platform: "string", ...typesOf(device) },
    })
    .registerVariable({ name: "geo", schema: typesOf(geo) })
    .registerVariable({ name: "features", schema: typesOf(features) });
}

/** Compiles one expression; the error says what is wrong and where in the text. */
export function compileExpression(
  environment: Environment,
  text: string,
): { readonly expression: CompiledExpression } | { readonly error: string } {
  const checked = environment.check(text);
  if (!checked.valid) {
    const [message = "does not compile"] = (checked.error?.message ?? "").split("\n");
    const column = (checked.error?.range?.start ?? 0) + 1;
    return { error: `CEL does not compile at character ${column}: ${withRemedy(message)}` };
  }
  if (checked.type !== "bool") {
    return {
      error: `CEL must give a bool, this gives ${String(checked.type)}: compare it with a value`,
    };
  }
  const program = environment.parse(text);
  const refusal = refusalOf(program.ast);
  if (refusal !== null) return { error: refusal };
  return {
    expression: {
      text,
      headers: headersNamedIn(program.ast),
      readsDevice: mentions(program.ast, "device"),
      conditions: headerConditionsIn(program.ast),
      evaluate: evaluator(program),
    },
  };
}

const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [/^Unknown variable/, "there are request, unit, device, geo and features"],
  [/^No such key/, "declare it under units or context"],
  [/double.*int|int.*double/, "a number attribute is a double, write 5.0 for 5"],
  [/^no such overload/, "the two sides have different types"],
  [/EOF$/, "the expression ends too early"],
];

function withRemedy(message: string): string {
  const remedy = REMEDIES.find(([pattern]) => pattern.test(message));
  return remedy === undefined ? message : `${message} (${remedy[1]})`;
}

function evaluator(program: (context: Record<string, unknown>) => unknown) {
  return (context: CelContext): CelVerdict => {
    try {
      return program(context) === true ? "yes" : "no";
    } catch {
      // Reading an absent header or attribute is an error in CEL; the caller counts it.
      return "error";
    }
  };
}
