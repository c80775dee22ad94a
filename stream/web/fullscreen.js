/** Full screen of the views. Where a browser has none for elements (iPhones), they fill the window instead. */

/**
 * @param {HTMLElement} viewport what is shown
 * @param {HTMLButtonElement} open
 * @param {HTMLButtonElement} close lies in the viewport
 */
export function setUpFullScreen(viewport, open, close) {
  const fill = (on) => {
    viewport.classList.toggle("filled", on);
    show();
  };
  const show = () => {
    close.hidden = document.fullscreenElement !== viewport && !viewport.classList.contains("filled");
  };
  open.addEventListener("click", async () => {
    if (document.fullscreenEnabled) await viewport.requestFullscreen();
    else fill(true);
    close.focus();
  });
  close.addEventListener("click", async () => {
    if (document.fullscreenElement) await document.exitFullscreen();
    fill(false);
    open.focus();
  });
  viewport.addEventListener("keydown", ({ key }) => key === "Escape" && fill(false));
  document.addEventListener("fullscreenchange", show);
}
