import type { Deployment } from "../types.js";
import type { RequestOptions } from "./call.js";
import { CygniError } from "./errors.js";
import { Resource } from "./resource.js";
import type { WithResponse } from "./response.js";
import { pause } from "./retry.js";

const LOOK_EVERY_SECONDS = 1;

export interface WaitParams {
  /** `success`: any other end is an error. `finished`: any end is what was waited for. */
  until?: "success" | "finished";
  /** Seconds; without it, as long as it takes. */
  timeout?: number;
}

/** The deployment that was waited for did not succeed; `deployment.failure` says why. */
export class DeploymentFailedError extends CygniError {
  constructor(readonly deployment: Deployment) {
    super(
      `Deployment ${deployment.id} ended with ${deployment.status}: ${deployment.failure?.message ?? "no reason given"}`,
    );
  }
}

/** The deployment that was waited for is still under way; `deployment` is as it was when last seen. */
export class WaitTimeoutError extends CygniError {
  constructor(
    readonly deployment: Deployment,
    seconds: number,
  ) {
    super(`Deployment ${deployment.id} is still ${deployment.status} after ${seconds} s.`);
  }
}

export abstract class DeploymentHelpers extends Resource {
  abstract get(deploymentId: string, options?: RequestOptions): Promise<WithResponse<Deployment>>;

  /**
   * Wait until a deployment is over, and give it.
   * @throws DeploymentFailedError if it did not succeed, WaitTimeoutError if it is still under way
   */
  async wait(deploymentId: string, params: WaitParams = {}, options: RequestOptions = {}): Promise<Deployment> {
    const { until = "success", timeout = Number.POSITIVE_INFINITY } = params;
    const deadline = Date.now() + timeout * 1000;
    let seen = await this.get(deploymentId, options);
    let etag = seen.lastResponse.etag;
    while (!seen.finishedAt) {
      const left = (deadline - Date.now()) / 1000;
      await pause(Math.max(0, Math.min(LOOK_EVERY_SECONDS, left)), options.signal);
      if (left <= LOOK_EVERY_SECONDS) throw new WaitTimeoutError(seen, timeout);
      // An answer that has not changed is not charged to the rate limit.
      const headers = { ...options.headers, ...(etag && { "If-None-Match": etag }) };
      const next = await this.get(deploymentId, { ...options, headers });
      if (next === null) continue;
      seen = next;
      etag = seen.lastResponse.etag;
    }
    if (until === "success" && seen.status !== "success") throw new DeploymentFailedError(seen);
    return seen;
  }
}
