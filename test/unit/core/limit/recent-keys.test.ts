import fc from "fast-check";
import { expect, test } from "vitest";
import { RecentKeys } from "../../../../src/core/limit/recent-keys.js";

test("law: holds what a list in order of use would hold, and says what it forgets", () => {
  const acts = fc.array(fc.tuple(fc.constantFrom("use", "touch", "get"), fc.nat(7)));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), acts, (maxKeys, history) => {
      const forgotten: number[] = [];
      const keys = new RecentKeys<number>(maxKeys, (value) => forgotten.push(value));
      let model: (readonly [key: string, value: number])[] = [];
      const lost: number[] = [];
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
          if (model.length > maxKeys) lost.push(model.shift()?.[1] ?? NaN);
        }
        expect(keys.size).toBe(model.length);
      });
      expect(forgotten).toEqual(lost);
    }),
  );
});
