import { parsePolicy } from "../../src/adapters/policy-file/load-policy.js";

/** A policy as an operator writes it, for tests of positions and messages: one thing per line. */
export const POLICY_TEXT = `apiVersion: weir.dev/v1
kind: ServingPolicy
metadata: { name: p }
units:
  user: { from: [{ header: x-user-id }, { cookie: uid }] }
  tenant: { from: [{ header: x-tenant }] }
context:
  geo: { country: { from: [{ header: x-country }] } }
  features: { score: { from: [{ header: x-score }], type: number } }
models:
  - name: m
    match: { hosts: ["*"], pathPrefix: /m }
    versions:
      - { name: v1, region: eu, address: { host: m-v1, port: 8080 } }
      - { name: v2, region: me, address: { host: m-v2, port: 8080 } }
    default: v1
    timeout: 2s
layers:
  - { name: la, unit: user }
experiments:
  - name: e
    model: m
    layer: { name: la, slots: [[0, 5000]] }
    unit: user
    eligibility: geo.country == "AE"
    arms:
      - { name: control, version: v1, start: 0, share: 2500 }
      - { name: treatment, version: v2, start: 5000, share: 2500 }
shadows:
  - { name: s, model: m, version: v2, unit: user, share: 100 }
limits:
  - name: li
    key: [tenant]
    quota: { requests: 10, period: 1s }
overrides: { trust: [{ signed: qa }] }
`;

/** The text with one passage changed; the passage must be there exactly once. */
export function policyText(from: string, to: string): string {
  const parts = POLICY_TEXT.split(from);
  if (parts.length !== 2)
    throw new Error(`${JSON.stringify(from)} is there ${parts.length - 1} times`);
  return parts.join(to);
}

/** A policy with one mistake, and what an operator is told. */
export type Mistake = {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly says: readonly string[];
};

/** What `p.yaml` with this text is refused for; empty when it loads. */
export function mistakesIn(text: string): readonly string[] {
  const loaded = parsePolicy("p.yaml", text);
  return loaded.kind === "refused" ? loaded.mistakes : [];
}
