/** What goes on beside long work. */
export interface Running {
  /** Told how many tiles are done, of how many. */
  progress(done: number, total: number): void;
  /** Lets messages arrive; rejects with an `AbortError` if the work is no longer wanted. */
  pause(): Promise<void>;
}
