/** What these pages were told in their address, and telling the test what happens. */

const EVERY_MS = 500;

export const params = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

export function report(message) {
  return fetch("/clients/report", { method: "POST", body: JSON.stringify(message) });
}

/** Report the picture a video shows, again and again. */
export function reportPictures(video) {
  const canvas = document.createElement("canvas");
  setInterval(() => {
    if (!video.videoWidth) return;
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    report({ kind: "picture", time_s: video.currentTime, png: canvas.toDataURL("image/png") });
  }, EVERY_MS);
}
