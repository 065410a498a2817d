import { expect, test } from "vitest";
import { mistakesIn, policyText } from "../../../../support/policy-text.js";
import type { Mistake } from "../../../../support/policy-text.js";

test.each<Mistake>([
  {
    name: "shares over 10,000",
    from: "start: 0, share: 2500",
    to: "start: 0, share: 8000",
    says: [
      "p.yaml:26:5 experiments[0].arms: the shares add up to 10500 basis points, over 10000, which is everyone: lower them",
    ],
  },
  {
    name: "a share over 10,000",
    from: "start: 0, share: 2500",
    to: "start: 0, share: 20000",
    says: [
      "p.yaml:27:49 experiments[0].arms[0].share: 20000 is over 10000 basis points, which is everyone: lower it",
    ],
  },
  {
    name: "a share below 0",
    from: "start: 0, share: 2500",
    to: "start: 0, share: -1",
    says: [
      "p.yaml:27:49 experiments[0].arms[0].share: -1 is below 0 basis points, which is nobody: raise it",
    ],
  },
  {
    name: "a share that is no whole number",
    from: "start: 0, share: 2500",
    to: "start: 0, share: 12.5",
    says: [
      "p.yaml:27:49 experiments[0].arms[0].share: 12.5 must be a whole number of basis points: 100 is 1 %",
    ],
  },
  {
    name: "a share in per cent",
    from: "start: 0, share: 2500",
    to: "start: 0, share: 25%",
    says: [
      'p.yaml:27:49 experiments[0].arms[0].share: "25%" must be a whole number of basis points: 100 is 1 %',
    ],
  },
  {
    name: "arms that overlap",
    from: "start: 5000, share: 2500",
    to: "start: 2000, share: 2500",
    says: [
      'p.yaml:28:9 experiments[0].arms[1]: arm "treatment" [2000, 4500) overlaps arm "control" [0, 2500): move start or lower share',
    ],
  },
  {
    name: "an arm past the end",
    from: "start: 5000, share: 2500",
    to: "start: 9000, share: 2500",
    says: [
      'p.yaml:28:9 experiments[0].arms[1]: arm "treatment" ends at 11500, past 10000: lower its start or share',
    ],
  },
  {
    name: "an arm twice",
    from: "name: treatment",
    to: "name: control",
    says: [
      'p.yaml:28:11 experiments[0].arms[1].name: arm "control" is there twice: names must be unique',
    ],
  },
  {
    name: "a start where the hash has none",
    from: "    arms:\n",
    to: "    hash: fnv1a32-mod\n    arms:\n",
    says: [
      "p.yaml:28:39 experiments[0].arms[0].start: hash fnv1a32-mod cuts cumulative weights and has no start: remove it, or use fnv1a32-fmix",
      "p.yaml:29:41 experiments[0].arms[1].start: hash fnv1a32-mod cuts cumulative weights and has no start: remove it, or use fnv1a32-fmix",
    ],
  },
  {
    name: "an unknown hash",
    from: "    arms:\n",
    to: "    hash: md5\n    arms:\n",
    says: [
      'p.yaml:26:5 experiments[0].hash: "md5" is not known: write one of fnv1a32-fmix, fnv1a32-mod, growthbook-v2, murmur3-flagd',
    ],
  },
  {
    name: "an unknown unit",
    from: "    unit: user\n    elig",
    to: "    unit: usr\n    elig",
    says: [
      'p.yaml:24:5 experiments[0].unit: unknown unit "usr": declare it under units (there: tenant, user)',
    ],
  },
  {
    name: "an unknown model",
    from: "    model: m\n    layer",
    to: "    model: mm\n    layer",
    says: [
      'p.yaml:22:5 experiments[0].model: unknown model "mm": declare it under models (there: m)',
    ],
  },
  {
    name: "an unknown version",
    from: "name: treatment, version: v2",
    to: "name: treatment, version: v9",
    says: [
      'p.yaml:28:28 experiments[0].arms[1].version: unknown version "v9" of model "m": declare it under its versions (there: v1, v2)',
    ],
  },
  {
    name: "an unknown layer",
    from: "layer: { name: la",
    to: "layer: { name: lb",
    says: [
      'p.yaml:23:14 experiments[0].layer.name: unknown layer "lb": declare it under layers (there: la)',
    ],
  },
  {
    name: "a layer of another unit",
    from: "{ name: la, unit: user }",
    to: "{ name: la, unit: tenant }",
    says: [
      'p.yaml:24:5 experiments[0].unit: layer "la" draws by unit "tenant", this experiment by "user": they must be the same',
    ],
  },
  {
    name: "slots that another experiment has",
    from: "shadows:",
    to: "  - { name: f, model: m, unit: user, layer: { name: la, slots: [[9000, 9500], [4000, 6000]] }, arms: [{ name: a, share: 1 }] }\nshadows:",
    says: [
      'p.yaml:29:79 experiments[1].layer.slots[1]: slots [4000, 6000) of layer "la" overlap [0, 5000) of experiment "e": experiments in one layer never share a slot',
    ],
  },
  {
    name: "slots of nothing",
    from: "[[0, 5000]]",
    to: "[[5000, 5000]]",
    says: [
      "p.yaml:23:32 experiments[0].layer.slots[0]: slots [5000, 5000] are empty: a range is [from, to) with from < to",
    ],
  },
  {
    name: "slots past the end",
    from: "[[0, 5000]]",
    to: "[[0, 20000]]",
    says: ["p.yaml:23:36 experiments[0].layer.slots[0][1]: 20000 must be at most 10000"],
  },
  {
    name: "slots that are no pair",
    from: "[[0, 5000]]",
    to: "[0, 5000]",
    says: [
      "p.yaml:23:32 experiments[0].layer.slots[0]: must be a range [from, to] of the layer's slots, not 0",
      "p.yaml:23:35 experiments[0].layer.slots[1]: must be a range [from, to] of the layer's slots, not 5000",
    ],
  },
  {
    name: "two experiments of one name",
    from: "shadows:",
    to: "  - { name: e, model: m, unit: user, arms: [{ name: a, share: 1 }] }\nshadows:",
    says: [
      'p.yaml:29:7 experiments[1].name: experiments has another "e": names must be unique, rename one',
    ],
  },
])("$name", ({ from, to, says }) => {
  expect(mistakesIn(policyText(from, to))).toEqual(says);
});
