/** Basis points of the two arms and of the shadow: the claims compare traffic with them. */
export const DEMO_SHARES = { control: 5000, treatment: 5000, shadow: 3000 } as const;
export const DEMO_LIMIT = { requests: 20, burst: 40 } as const;
export const DEMO_KEY = "qa-key";

/** Addresses as `HOST:PORT`. */
export type PodAddresses = {
  readonly control: string;
  readonly treatment: string;
  readonly shadow: string;
};

/** The policy of the demo, for pods that listen at these addresses. */
export function demoPolicy(pods: PodAddresses): string {
  const address = (pod: string) => {
    const at = pod.lastIndexOf(":");
    return `{ host: ${JSON.stringify(pod.slice(0, at))}, port: ${pod.slice(at + 1)} }`;
  };
  return `apiVersion: weir.dev/v1
kind: ServingPolicy
metadata: { name: file-types }
units:
  user: { from: [{ header: x-user-id }] }
  tenant: { from: [{ header: x-tenant }] }
models:
  - name: magika
    match: { pathPrefix: /v2/models/magika }
    versions:
      - { name: v1, address: ${address(pods.control)} }
      - { name: v3, address: ${address(pods.treatment)} }
    default: v1
    timeout: 30s
experiments:
  - name: magika-v3
    model: magika
    unit: user
    arms:
      - { name: control, version: v1, start: 0, share: ${DEMO_SHARES.control} }
      - { name: treatment, version: v3, start: 5000, share: ${DEMO_SHARES.treatment} }
shadows:
  - name: v3-shadow
    model: magika
    version: v3
    address: ${address(pods.shadow)}
    unit: user
    share: ${DEMO_SHARES.shadow}
limits:
  - name: per-tenant
    key: [tenant]
    missing: skip
    quota: { requests: ${DEMO_LIMIT.requests}, period: 1s, burst: ${DEMO_LIMIT.burst} }
overrides: { trust: [{ signed: ${DEMO_KEY} }] }
`;
}
