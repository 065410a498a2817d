import fc from "fast-check";
import { expect, test } from "vitest";
import { RecentKeys } from "../../../../src/core/limit/recent-keys.js";

test("law: holds what a list in order of use would hold", () => {
  const acts = fc.array(fc.tuple(fc.constantFrom("use", "touch", "get"), fc.nat(7)));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), acts, (maxKeys, history) => {
      const keys = new RecentKeys<number>(maxKeys);
      let model: (readonly [key: string, value: number])[] = [];
      history.forEach(([act, number], value) => {
        const key = `k${number}`;
        const known = model.find(([of]) => of === key);
        if (act === "get") {
          expect(keys.get(key)).toBe(known?.[1]);
        } else if (act === "touch") {
          expect(keys.touch(key)).toBe(known?.[1]);
          if (known !== undefined) model = [...model.filter((one) => one !== known), known];
        } else {
          keys.use(key, value);
          model = [...model.filter((one) => one !== known), [key, value]];
          if (model.length > maxKeys) model.shift();
        }
        expect(keys.size).toBe(model.length);
      });
      expect(model.map(([key]) => keys.get(key))).toEqual(model.map(([, value]) => value));
    }),
  );
});
