/** The camera and the microphone: opening, listing, and what a failure means. */

const CAUSES = {
  NotAllowedError: [
    "The browser did not allow the camera.",
    "Click the camera symbol in the address bar, allow it, and start again.",
  ],
  NotFoundError: ["No camera was found.", "Plug one in, or use “Try without a camera”."],
  NotReadableError: [
    "The camera is in use by another program.",
    "Close the other program (a call, OBS), and start again.",
  ],
  OverconstrainedError: ["The chosen camera is gone.", "Choose another one from the list."],
  AbortError: ["The camera stopped while it was opening.", "Unplug it, plug it in, and start again."],
  SecurityError: ["The browser forbids the camera on this page.", "Open the page over https or on localhost."],
};

/** [sentence, hint] for an error of `openCamera`. */
export function explainCamera(error) {
  return CAUSES[error.name] ?? ["The camera could not be opened.", `${error.name}: ${error.message}`];
}

/**
 * Open a camera at 720p30 or the nearest it has.
 * @param {string} deviceId "" for the browser's default
 * @param {boolean} microphone whether to open it as well
 * @returns {Promise<MediaStream>}
 * @throws {DOMException} see `explainCamera`
 */
export async function openCamera(deviceId, microphone) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new DOMException("mediaDevices is missing: the page is neither https nor localhost", "SecurityError");
  }
  const video = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
  if (deviceId) video.deviceId = { exact: deviceId };
  else video.facingMode = "user";
  return navigator.mediaDevices.getUserMedia({ video, audio: microphone });
}

/** The cameras, named as far as the browser tells before permission was given. */
export async function listCameras() {
  if (!navigator.mediaDevices?.enumerateDevices) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices
    .filter((device) => device.kind === "videoinput" && device.deviceId)
    .map((device, index) => ({ id: device.deviceId, label: device.label || `Camera ${index + 1}` }));
}

/** Whether the camera opens without asking. False where the browser does not say. */
export async function cameraAllowed() {
  try {
    return (await navigator.permissions.query({ name: "camera" })).state === "granted";
  } catch (error) {
    if (error instanceof TypeError) return false; // Firefox has no such permission name
    throw error;
  }
}

/** Calls `run` when cameras come or go. */
export function onCamerasChange(run) {
  navigator.mediaDevices?.addEventListener?.("devicechange", run);
}
