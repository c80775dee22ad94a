/** Live and edited view: beside each other, or one picture with a divider to drag. */

const STEPS = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10 };

/**
 * @param {HTMLElement} compare holds both panes
 * @param {HTMLElement} divider role="slider"
 * @param {function(number): void} onChange share of the live view, percent
 * @returns {{move: function(number): void}}
 */
export function setUpSplit(compare, divider, onChange) {
  let percent = 50;
  const move = (to) => {
    percent = Math.min(100, Math.max(0, to));
    compare.style.setProperty("--split", `${percent}%`);
    divider.setAttribute("aria-valuenow", String(Math.round(percent)));
    divider.setAttribute("aria-valuetext", `${Math.round(percent)} % live, ${Math.round(100 - percent)} % edited`);
  };
  const change = (to) => {
    move(to);
    onChange(percent);
  };
  const follow = (event) => {
    const box = compare.getBoundingClientRect();
    change(((event.clientX - box.left) / box.width) * 100);
  };
  divider.addEventListener("pointerdown", (event) => {
    divider.setPointerCapture(event.pointerId);
    event.preventDefault();
    divider.focus({ preventScroll: true });
  });
  divider.addEventListener("pointermove", (event) => {
    if (divider.hasPointerCapture(event.pointerId)) follow(event);
  });
  divider.addEventListener("keydown", (event) => {
    const ends = { Home: 0, End: 100 };
    const to = event.key in ends ? ends[event.key] : percent + (STEPS[event.key] ?? NaN);
    if (Number.isNaN(to)) return;
    event.preventDefault();
    change(to);
  });
  return { move };
}
