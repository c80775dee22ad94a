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
 * Lay a stroke over a picture inside a box.
 * @param {Uint8ClampedArray} out RGBA, written
 * @param {Uint8ClampedArray} before RGBA, the picture when the stroke began
 * @param {Uint8ClampedArray} reference RGBA, what "erase" brings back
 * @param {Uint8Array} cover the stroke's coverage
 * @param {number} width pixels
 * @param {{x0: number, y0: number, x1: number, y1: number}} box
 * @param {{tool: "paint"|"tint"|"erase", colour: number[], opacity: number}} ink colour [r, g, b], opacity 0–1;
 *   "tint" keeps the light of each pixel and changes its colour only
 */
export function layStroke(out, before, reference, cover, width, box, { tool, colour, opacity }) {
  const [r, g, b] = colour;
  const light = luma(r, g, b);
  for (let y = box.y0; y < box.y1; y += 1) {
    for (let x = box.x0; x < box.x1; x += 1) {
      const at = y * width + x;
      const i = at * 4;
      const a = (cover[at] / 255) * opacity;
      const shift = tool === "tint" ? luma(before[i], before[i + 1], before[i + 2]) - light : 0;
      const erase = tool === "erase";
      out[i] = before[i] + a * ((erase ? reference[i] : r + shift) - before[i]);
      out[i + 1] = before[i + 1] + a * ((erase ? reference[i + 1] : g + shift) - before[i + 1]);
      out[i + 2] = before[i + 2] + a * ((erase ? reference[i + 2] : b + shift) - before[i + 2]);
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
