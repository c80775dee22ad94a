/** Areas and copies of a picture for the painting tools, as arithmetic on pixels: no canvas, no page. */

/** Whether two colours of RGBA pixels differ by at most `tolerance` in each channel. */
function isLike(pixels, i, j, tolerance) {
  for (let c = 0; c < 3; c += 1) if (Math.abs(pixels[i + c] - pixels[j + c]) > tolerance) return false;
  return true;
}

/**
 * Cover the connected area whose colour is like that of one pixel.
 * @param {Uint8Array} cover (height × width), set to 255 there
 * @param {Uint8ClampedArray} pixels RGBA
 * @param {number} width
 * @param {number} height
 * @param {{x: number, y: number}} from a point of the picture
 * @param {number} tolerance most difference of a channel, levels
 * @returns {{x0: number, y0: number, x1: number, y1: number} | null} the box that changed, null outside
 */
export function fillLike(cover, pixels, width, height, from, tolerance) {
  const [x, y] = [Math.round(from.x), Math.round(from.y)];
  if (x < 0 || y < 0 || x >= width || y >= height) return null;
  const seed = y * width + x;
  const box = { x0: x, y0: y, x1: x + 1, y1: y + 1 };
  const waiting = [seed];
  cover[seed] = 255;
  const add = (at) => {
    if (cover[at] !== 0 || !isLike(pixels, 4 * at, 4 * seed, tolerance)) return;
    cover[at] = 255;
    waiting.push(at);
  };
  while (waiting.length > 0) {
    const at = waiting.pop();
    const column = at % width;
    const row = (at - column) / width;
    box.x0 = Math.min(box.x0, column);
    box.x1 = Math.max(box.x1, column + 1);
    box.y0 = Math.min(box.y0, row);
    box.y1 = Math.max(box.y1, row + 1);
    if (column > 0) add(at - 1);
    if (column < width - 1) add(at + 1);
    if (row > 0) add(at - width);
    if (row < height - 1) add(at + width);
  }
  return box;
}

/**
 * Cover the inside of a polygon, by the even-odd rule, with an antialiased edge.
 * @param {Uint8Array} cover (height × width), raised in place
 * @param {number} width
 * @param {number} height
 * @param {{x: number, y: number}[]} points its corners; it is closed by itself
 * @returns {{x0: number, y0: number, x1: number, y1: number} | null} the box that changed, null outside
 */
export function fillPolygon(cover, width, height, points) {
  const LINES = 4; // scan lines a pixel
  const of = (axis, pick) => pick(...points.map((point) => point[axis]));
  const box = {
    x0: Math.max(0, Math.floor(of("x", Math.min))),
    y0: Math.max(0, Math.floor(of("y", Math.min))),
    x1: Math.min(width, Math.ceil(of("x", Math.max)) + 1),
    y1: Math.min(height, Math.ceil(of("y", Math.max)) + 1),
  };
  if (points.length < 3 || box.x0 >= box.x1 || box.y0 >= box.y1) return null;
  const sums = new Float32Array(box.x1 - box.x0);
  for (let row = box.y0; row < box.y1; row += 1) {
    sums.fill(0);
    for (let line = 0; line < LINES; line += 1) {
      const y = row - 0.5 + (line + 0.5) / LINES;
      const crossings = [];
      points.forEach((a, at) => {
        const b = points[(at + 1) % points.length];
        if (a.y > y !== b.y > y) crossings.push(a.x + ((y - a.y) / (b.y - a.y)) * (b.x - a.x));
      });
      crossings.sort((a, b) => a - b);
      for (let at = 0; at + 1 < crossings.length; at += 2) {
        const [left, right] = [crossings[at], crossings[at + 1]];
        for (let x = Math.max(box.x0, Math.floor(left)); x < Math.min(box.x1, Math.ceil(right) + 1); x += 1) {
          sums[x - box.x0] += Math.max(0, Math.min(right, x + 0.5) - Math.max(left, x - 0.5)) / LINES;
        }
      }
    }
    for (let x = box.x0; x < box.x1; x += 1) {
      const at = row * width + x;
      cover[at] = Math.max(cover[at], 255 * Math.min(1, sums[x - box.x0]));
    }
  }
  return box;
}

/** One pass of a mean over 2 × reach + 1 pixels along one axis; edges repeat. */
function meanAlong(out, pixels, width, height, reach, across) {
  const [lines, length] = across ? [width, height] : [height, width];
  const [line, step] = across ? [4, 4 * width] : [4 * width, 4];
  for (let n = 0; n < lines; n += 1) {
    for (let c = 0; c < 3; c += 1) {
      const start = n * line + c;
      const at = (k) => pixels[start + Math.min(length - 1, Math.max(0, k)) * step];
      let sum = 0;
      for (let k = -reach; k <= reach; k += 1) sum += at(k);
      for (let k = 0; k < length; k += 1) {
        out[start + k * step] = sum / (2 * reach + 1);
        sum += at(k + reach + 1) - at(k - reach);
      }
    }
  }
}

/** A blurred copy of an RGBA picture: two box means along each axis, nearly a Gaussian. */
export function blurred(pixels, width, height, reach) {
  const [out, between] = [pixels.slice(), pixels.slice()];
  for (let pass = 0; pass < 2; pass += 1) {
    meanAlong(between, out, width, height, reach, false);
    meanAlong(out, between, width, height, reach, true);
  }
  return out;
}

/**
 * A point mirrored over a line.
 * @param {{x: number, y: number, radius: number}} point
 * @param {number[]} axis [x0, y0, x1, y1], two points of the line
 */
export function mirrored(point, [x0, y0, x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const along = ((point.x - x0) * dx + (point.y - y0) * dy) / (dx * dx + dy * dy);
  return { ...point, x: 2 * (x0 + along * dx) - point.x, y: 2 * (y0 + along * dy) - point.y };
}
