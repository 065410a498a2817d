import fc from "fast-check";
import { expect, test } from "vitest";
import { OpenList } from "../../../../src/servers/ext-proc/open-list.js";

test("law: it holds what a Set would", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { maxLength: 200 }), (picks) => {
      const items = Array.from({ length: 21 }, () => ({ at: 0 }));
      const list = new OpenList<{ at: number }>();
      const wanted = new Set<{ at: number }>();
      for (const pick of picks) {
        const item = items[pick] ?? { at: 0 };
        if (wanted.delete(item)) list.delete(item);
        else {
          wanted.add(item);
          list.add(item);
        }
        expect(new Set(list.values())).toEqual(wanted);
        expect(list.values().length).toBe(wanted.size);
      }
    }),
  );
});
