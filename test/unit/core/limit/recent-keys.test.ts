import fc from "fast-check";
import { expect, test } from "vitest";
import { RecentKeys } from "../../../../src/core/limit/recent-keys.js";

test("law: holds what a list in order of use would hold", () => {
  const acts = fc.array(fc.tuple(fc.constantFrom("use", "touch", "get"), fc.nat(7)));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), acts, (maxKeys, history) => {
      const keys = new RecentKeys<number>(maxKeys);
      let model: { readonly of: readonly [limit: string, key: string]; readonly value: number }[] =
        [];
      history.forEach(([act, number], value) => {
        // Each key is known to two limits.
        const of = [`l${number % 2}`, `k${number >> 1}`] as const;
        const known = model.find((one) => one.of.join() === of.join());
        if (act === "get") {
          expect(keys.get(...of)).toBe(known?.value);
        } else if (act === "touch") {
          expect(keys.touch(...of)).toBe(known?.value);
          if (known !== undefined) model = [...model.filter((one) => one !== known), known];
        } else {
          keys.use(...of, value);
          model = [...model.filter((one) => one !== known), { of, value }];
          if (model.length > maxKeys) model.shift();
        }
        expect(keys.size).toBe(model.length);
      });
      expect(model.map(({ of }) => keys.get(...of))).toEqual(model.map(({ value }) => value));
    }),
  );
});
