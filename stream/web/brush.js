/**
 * Strokes as arithmetic on pixels: no canvas, no page. A stroke is a coverage map (0–255) made of capsules
 * joined by their maximum, so that it is equally dense along its way however fast the hand was.
 */

/** Coverage of a brush at `distance` from its middle line: 1 inside the hard core, then a smooth fall to 0. */
export function falloff(distance, radius, softness) {
  const core = radius * (1 - softness);
  const edge = Math.max(radius - core, 1); // at least one pixel: antialiasing
  const t = (distance - core) / edge;
  if (t <= 0) return 1;
  if (t >= 1) return 0;
  return 1 - t * t * (3 - 2 * t);
}

/** The whole-pixel box of two boxes {x0, y0, x1, y1} (x1, y1 outside), or of one where the other is null. */
export function join(a, b) {
  if (!a) return b;
  if (!b) return a;
  return {
    x0: Math.min(a.x0, b.x0),
    y0: Math.min(a.y0, b.y0),
    x1: Math.max(a.x1, b.x1),
    y1: Math.max(a.y1, b.y1),
  };
}

/**
 * Add the way from one point to the next to a coverage map.
 * @param {Uint8Array} cover (height × width), changed in place by maximum
 * @param {number} width pixels
 * @param {number} height pixels
 * @param {{x: number, y: number, radius: number}} from pixel centres on integers
 * @param {{x: number, y: number, radius: number}} to
 * @param {number} softness 0 hard to 1 soft to the middle
 * @returns {{x0: number, y0: number, x1: number, y1: number} | null} the box that changed, null outside
 */
export function addCapsule(cover, width, height, from, to, softness) {
  const reach = Math.max(from.radius, to.radius) + 1;
  const box = {
    x0: Math.max(0, Math.floor(Math.min(from.x, to.x) - reach)),
    y0: Math.max(0, Math.floor(Math.min(from.y, to.y) - reach)),
    x1: Math.min(width, Math.ceil(Math.max(from.x, to.x) + reach) + 1),
    y1: Math.min(height, Math.ceil(Math.max(from.y, to.y) + reach) + 1),
  };
  if (box.x0 >= box.x1 || box.y0 >= box.y1) return null;
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length2 = dx * dx + dy * dy;
  for (let y = box.y0; y < box.y1; y += 1) {
    for (let x = box.x0; x < box.x1; x += 1) {
      const px = x - from.x;
      const py = y - from.y;
      const along = length2 === 0 ? 0 : Math.min(1, Math.max(0, (px * dx + py * dy) / length2));
      const radius = from.radius + along * (to.radius - from.radius);
      const value = 255 * falloff(Math.hypot(px - along * dx, py - along * dy), radius, softness);
      const at = y * width + x;
      if (value > cover[at]) cover[at] = value;
    }
  }
  return box;
}

/** Luma of BT.601, 0–255. */
const luma = (r, g, b) => 0.299 * r + 0.587 * g + 0.114 * b;

/**
 * Lay a stroke onto a sheet of paint inside a box.
 * @param {Uint8ClampedArray} out RGBA with straight alpha, written
 * @param {Uint8ClampedArray} before RGBA, the sheet when the stroke began
 * @param {Uint8ClampedArray} below RGBA, opaque: the picture under the sheet
 * @param {Uint8ClampedArray} reference RGBA, opaque: what "erase" brings back
 * @param {Uint8Array} cover the stroke's coverage
 * @param {number} width pixels
 * @param {{x0: number, y0: number, x1: number, y1: number}} box
 * @param {object} ink
 * @param {"paint"|"tint"|"erase"|"copy"} ink.tool "tint" keeps the light of each pixel and changes its colour
 *   only; "erase" takes paint away, and covers what lies below with the reference where that differs; "copy"
 *   paints with another picture's pixels
 * @param {number[]} ink.colour [r, g, b]
 * @param {number} ink.opacity 0–1
 * @param {Uint8ClampedArray} [ink.source] RGBA: what "copy" paints with
 */
export function layStroke(out, before, below, reference, cover, width, box, { tool, colour, opacity, source }) {
  const light = luma(...colour);
  const ink = [0, 0, 0];
  const seen = [0, 0, 0];
  for (let y = box.y0; y < box.y1; y += 1) {
    for (let x = box.x0; x < box.x1; x += 1) {
      const at = y * width + x;
      const i = at * 4;
      const a = (cover[at] / 255) * opacity;
      const had = before[i + 3] / 255;
      const bare = below[i] === reference[i] && below[i + 1] === reference[i + 1] && below[i + 2] === reference[i + 2];
      if (tool === "erase" && bare) {
        for (let c = 0; c < 3; c += 1) out[i + c] = before[i + c];
        out[i + 3] = before[i + 3] * (1 - a);
        continue;
      }
      for (let c = 0; c < 3; c += 1) seen[c] = below[i + c] + had * (before[i + c] - below[i + c]);
      const shift = tool === "tint" ? luma(...seen) - light : 0;
      const has = a + had * (1 - a);
      out[i + 3] = 255 * has;
      for (let c = 0; c < 3; c += 1) {
        if (tool === "copy") ink[c] = source[i + c];
        else ink[c] = tool === "erase" ? reference[i + c] : Math.min(255, Math.max(0, colour[c] + shift));
        out[i + c] = has > 0 ? (a * ink[c] + had * (1 - a) * before[i + c]) / has : 0;
      }
    }
  }
}

/**
 * Show a picture with a sheet of paint on it, inside a box.
 * @param {Uint8ClampedArray} out RGBA, opaque, written
 * @param {Uint8ClampedArray} below RGBA, opaque
 * @param {Uint8ClampedArray} sheet RGBA with straight alpha
 * @param {number} width pixels
 * @param {{x0: number, y0: number, x1: number, y1: number}} box
 */
export function laySheet(out, below, sheet, width, { x0, y0, x1, y1 }) {
  for (let y = y0; y < y1; y += 1) {
    for (let i = (y * width + x0) * 4; i < (y * width + x1) * 4; i += 4) {
      const a = sheet[i + 3] / 255;
      for (let c = 0; c < 3; c += 1) out[i + c] = below[i + c] + a * (sheet[i + c] - below[i + c]);
      out[i + 3] = 255;
    }
  }
}

/** Copy a box out of an RGBA picture. */
export function cut(pixels, width, box) {
  const w = (box.x1 - box.x0) * 4;
  const piece = new Uint8ClampedArray(w * (box.y1 - box.y0));
  for (let y = box.y0; y < box.y1; y += 1) {
    const start = (y * width + box.x0) * 4;
    piece.set(pixels.subarray(start, start + w), (y - box.y0) * w);
  }
  return piece;
}

/** Put back what `cut` took. */
export function paste(pixels, width, box, piece) {
  const w = (box.x1 - box.x0) * 4;
  for (let y = box.y0; y < box.y1; y += 1) {
    const row = (y - box.y0) * w;
    pixels.set(piece.subarray(row, row + w), (y * width + box.x0) * 4);
  }
}

/** "#rrggbb" to [r, g, b]. */
export function toRgb(hex) {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

/** [r, g, b] to "#rrggbb". */
export function toHex(rgb) {
  return `#${rgb.map((value) => Math.round(value).toString(16).padStart(2, "0")).join("")}`;
}
