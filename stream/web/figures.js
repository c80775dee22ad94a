/** Live figures: from the server, and measured on this browser's connections. */

const dash = "–";
const ms = (value) => (Number.isFinite(value) ? `${Math.round(value)} ms` : dash);

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
 * @param {HTMLElement} root has a [data-figure] for each figure
 * @param {HTMLElement} list gets the stages' times
 * @param {object} store
 * @param {function(): Promise<{view: RTCStatsReport|null}>} readStats
 */
export function setUpFigures(root, list, store, readStats) {
  const put = (name, text) => {
    root.querySelector(`[data-figure="${name}"]`).textContent = text;
  };
  let before = null;
  let mine = received(null, null);

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
    put("latency", stats ? `${ms(stats.latency_ms?.p50)} · ${ms(stats.latency_ms?.p95)}` : dash);
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

  const measure = async () => {
    const { view } = await readStats();
    mine = received(view, before);
    before = view ?? null;
    put("trip", view ? `${ms(mine.trip_ms)} · ${ms(mine.buffer_ms)}` : dash);
    const total = mine.trip_ms + mine.buffer_ms + mine.decode_ms + (store.values.stats?.latency_ms?.p50 ?? NaN);
    put("total", Number.isFinite(total) ? `≈ ${ms(total)}` : dash);
  };
  setInterval(measure, 1000);
}
