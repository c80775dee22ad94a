/** Live figures: from the server, and measured on this browser's connections. */

import { DelayMeter } from "./delay.js";

const SLOW_TIMES = 3; // a sentence on what is slow is shown when it was true so many times in turn, at 2 Hz
const dash = "–";
const ms = (value) => (Number.isFinite(value) ? `${Math.round(value)} ms` : dash);
/** Two times with one unit. */
const pair = (a, b) => (Number.isFinite(a) && Number.isFinite(b) ? `${Math.round(a)} · ${Math.round(b)} ms` : `${ms(a)} · ${ms(b)}`);

/** Entries of a stats report as plain objects by type. */
function pick(report, type, test = () => true) {
  if (!report) return null;
  for (const entry of report.values()) if (entry.type === type && test(entry)) return entry;
  return null;
}

/**
 * Figures of the receiving connection between two reports.
 * @returns {{fps: number, trip_ms: number, buffer_ms: number, decode_ms: number}} NaN where unknown
 */
export function received(report, before) {
  const isVideo = (entry) => entry.kind === "video";
  const now = pick(report, "inbound-rtp", isVideo);
  const then = pick(before, "inbound-rtp", isVideo);
  const pair = pick(report, "candidate-pair", (entry) => entry.nominated && entry.state === "succeeded");
  const mean_ms = (total, count) => {
    if (!now || !then) return NaN;
    const n = now[count] - then[count];
    return n > 0 ? ((now[total] - then[total]) / n) * 1000 : NaN;
  };
  return {
    fps: now?.framesPerSecond ?? NaN,
    trip_ms: pair?.currentRoundTripTime === undefined ? NaN : pair.currentRoundTripTime * 1000,
    buffer_ms: mean_ms("jitterBufferDelay", "jitterBufferEmittedCount"),
    decode_ms: mean_ms("totalDecodeTime", "framesDecoded"),
  };
}

/**
 * What is slow in this browser or on its way to the server; null if nothing is.
 * @param {RTCStatsReport|null} report of the connection that sends the camera
 */
function slowHere(report) {
  const sent = pick(report, "outbound-rtp", (entry) => entry.kind === "video");
  if (sent?.qualityLimitationReason === "cpu") return "This browser is too busy: it sends the camera’s picture smaller.";
  if (sent?.qualityLimitationReason !== "bandwidth" || !(sent.targetBitrate < 400000)) return null;
  return `The network to the server takes only ${(sent.targetBitrate / 1e6).toFixed(1)} Mb/s of the camera’s picture.`;
}

/**
 * @param {object} elements
 * @param {HTMLElement} elements.root has a [data-figure] for each figure
 * @param {HTMLElement} elements.list gets the stages' times
 * @param {HTMLElement} elements.slow gets a sentence on what is slow
 * @param {HTMLVideoElement} elements.video the edited view
 * @param {object} store
 * @param {function(): Promise<{publish: RTCStatsReport|null, view: RTCStatsReport|null}>} readStats
 */
export function setUpFigures({ root, list, slow, video }, store, readStats) {
  const put = (name, text) => {
    root.querySelector(`[data-figure="${name}"]`).textContent = text;
  };
  let before = null;
  let mine = received(null, null);
  let here = null; // what is slow in this browser
  let times = 0; // so often something was slow, in turn
  const meter = new DelayMeter(video);

  /** The measured delay; without it the sum of what is known, marked as such. */
  const showDelay = ({ stats, source, sending }) => {
    meter.take(stats?.frames ?? [], source === "camera" && sending === "connected", mine.trip_ms);
    const { edited_ms, unedited_ms } = meter.medians;
    const both = Number.isFinite(edited_ms) && Number.isFinite(unedited_ms);
    const sum_ms = mine.trip_ms + mine.buffer_ms + mine.decode_ms + (stats?.latency_ms?.p50 ?? NaN);
    let text = Number.isFinite(sum_ms) ? `≈ ${ms(sum_ms)}` : dash;
    if (Number.isFinite(unedited_ms)) text = `${ms(unedited_ms)} unedited`;
    if (Number.isFinite(edited_ms)) text = both ? pair(edited_ms, unedited_ms) : ms(edited_ms);
    put("total", text);
    root.querySelector("[data-total]").textContent = both ? "End to end · unedited" : "End to end";
  };

  const showSlow = ({ stats }) => {
    const text = stats?.slow ?? here;
    times = text && stats ? times + 1 : 0;
    slow.hidden = times < SLOW_TIMES;
    if (!slow.hidden && slow.textContent !== text) slow.textContent = text;
  };

  const showFill = (fill) => {
    const cell = root.querySelector('[data-figure="fill"]');
    cell.parentElement.hidden = !fill;
    if (!fill) return;
    const waiting = fill.queued ? ` · ${fill.queued} waiting` : "";
    const again = fill.restarts ? ` · ${fill.restarts} restarts, ${fill.retried} retried` : "";
    put("fill", fill.state + waiting + again);
    cell.title = fill.last_error || fill.method;
  };

  const showServer = ({ stats, state }) => {
    put("fps", stats ? `${stats.fps_out.toFixed(0)} of ${stats.fps_in.toFixed(0)} fps` : dash);
    put("latency", stats ? pair(stats.latency_ms?.p50, stats.latency_ms?.p95) : dash);
    put("dropped", stats ? String(stats.dropped) : dash);
    const covered = stats?.coverage;
    put("coverage", Number.isFinite(covered) ? `${Math.round(covered * 100)} %` : dash);
    put("viewers", String(stats?.viewers ?? state?.viewers ?? dash));
    const rate = stats?.bitrate_bps ? ` · ${(stats.bitrate_bps / 1e6).toFixed(1)} Mb/s` : "";
    const source = state?.source;
    put("picture", source ? `${source.width}×${source.height}${rate}` : dash);
    showFill(stats?.fill);
    const stages = Object.entries(stats?.stages_ms ?? {});
    list.replaceChildren(
      ...stages.map(([name, time]) => {
        const item = document.createElement("li");
        const label = document.createElement("span");
        label.textContent = name.replaceAll("_", " ");
        const value = document.createElement("span");
        value.textContent = `${Number(time?.p50 ?? time).toFixed(1)} ms`;
        item.append(label, value);
        return item;
      }),
    );
  };
  store.watch(["stats", "state"], showServer);
  store.watch(["stats"], showDelay);
  store.watch(["stats"], showSlow);

  const measure = async () => {
    const { view, publish } = await readStats();
    here = slowHere(publish);
    mine = received(view, before);
    before = view ?? null;
    put("trip", view ? pair(mine.trip_ms, mine.buffer_ms) : dash);
  };
  setInterval(measure, 1000);
}
