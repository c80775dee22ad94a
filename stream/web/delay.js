/** The delay of the edited view, measured on each frame that this browser shows. */

const SHOWN_MS = 3000; // shown frames are remembered for so long, until the server tells of them
const WINDOW_MS = 1500; // frames over which the median is taken
const MOST_MS = 20000; // a longer delay means that two clocks do not agree

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length > 0 ? sorted[Math.floor(sorted.length / 2)] : NaN;
}

export class DelayMeter {
  #shown = new Map(); // by RTP time: when the frame was shown, and when it had arrived
  #delays = []; // {shown_ms, delay_ms, edited}

  /** @param {HTMLVideoElement} video shows the edited stream */
  constructor(video) {
    const next = (_, { rtpTimestamp, expectedDisplayTime, receiveTime }) => {
      if (rtpTimestamp !== undefined) this.#note(rtpTimestamp, expectedDisplayTime, receiveTime);
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback?.(next);
  }

  #note(rtp, shown_ms, received_ms) {
    this.#shown.set(rtp, { shown_ms, received_ms });
    for (const [old, { shown_ms: then_ms }] of this.#shown) {
      if (then_ms > shown_ms - SHOWN_MS) break;
      this.#shown.delete(old);
    }
  }

  /**
   * Take what the server tells of frames that it sent (`frames` of its statistics).
   * @param {[number, number|null, number, boolean][]} frames RTP time; when it was taken, ms since 1970 on the
   *   publisher's clock; ms in the server; whether it was edited
   * @param {boolean} mine whether this browser took them, so that the publisher's clock is this one
   * @param {number} trip_ms round trip of the network; NaN if unknown
   */
  take(frames, mine, trip_ms) {
    for (const [rtp, taken_ms, held_ms, edited] of frames) {
      const frame = this.#shown.get(rtp);
      if (!frame) continue;
      this.#shown.delete(rtp);
      const { shown_ms, received_ms } = frame;
      let delay_ms = mine && taken_ms !== null ? performance.timeOrigin + shown_ms - taken_ms : NaN;
      if (!(delay_ms > 0 && delay_ms < MOST_MS)) delay_ms = held_ms + trip_ms / 2 + shown_ms - received_ms;
      if (Number.isFinite(delay_ms)) this.#delays.push({ shown_ms, delay_ms, edited });
    }
    const after_ms = performance.now() - WINDOW_MS;
    this.#delays = this.#delays.filter(({ shown_ms }) => shown_ms > after_ms);
  }

  /** Median delay of the frames of the last moments, edited and others. NaN if there were none. */
  get medians() {
    const of = (kind) => median(this.#delays.filter(({ edited }) => edited === kind).map(({ delay_ms }) => delay_ms));
    return { edited_ms: of(true), unedited_ms: of(false) };
  }
}
