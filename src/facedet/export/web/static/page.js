// What a person sees: pictures or a camera in, boxes and words out. worker.js finds the faces.
const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((one) => [one.id, one]));
element["needs-server"].remove();

const SVG = "http://www.w3.org/2000/svg";
const CAMERA_WORDS_MS = 3000; // a screen reader is not to speak at every frame
const LABELLED = 24; // width from which a box has its score above it, in pixels of the screen

let found; // what is shown: name, width, height, ms, boxes [N * 4], scores [N]
let turn = 0; // of the newest picture: an older one that comes late is not shown
let camera; // the open MediaStream
let spoken = 0; // when the status was last written, ms

const waiting = new Map(); // by the picture's number, what to do with its faces
const worker = startWorker();
worker.then(() => turn || say("Ready. Choose a picture or open the camera."), (error) => fail(error.message));

/** A worker that has loaded. From a blob: only then the page's Content-Security-Policy is its too. */
function startWorker() {
  const address = JSON.stringify(new URL("worker.js", import.meta.url).href);
  const text = `import(${address}).catch((error) => postMessage({ fatal: error.message }));`;
  const started = new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })), { type: "module" });
  return new Promise((resolve, reject) => {
    started.onerror = (event) => reject(new Error(event.message || "no worker"));
    started.onmessage = ({ data }) => {
      if (data.fatal) reject(new Error(data.fatal));
      else if (data.ready) resolve(started);
      else {
        waiting.get(data.id)(data);
        waiting.delete(data.id);
      }
    };
  });
}

function fail(reason) {
  say(`The detector cannot be loaded (${reason}).`, true);
}

function say(text, isProblem = false) {
  spoken = performance.now();
  element.status.textContent = text;
  element.status.classList.toggle("problem", isProblem);
}

/** The faces of a file or of a frame (ImageBitmap). */
async function detect(source) {
  const id = ++turn;
  const loaded = await worker;
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    loaded.postMessage({ id, source }, source instanceof ImageBitmap ? [source] : []);
  });
}

async function take(file) {
  closeCamera();
  clear();
  say(`${file.name}: looking for faces …`);
  const result = await detect(file);
  if (result.id !== turn) return;
  if (result.error) {
    say(`${file.name}: ${result.error}.`, true);
    return;
  }
  present({ name: file.name, ...result });
}

function clear() {
  found = undefined;
  element.view.hidden = element.list.hidden = true;
  element.timing.textContent = "";
}

function present(result) {
  found = result;
  const { picture } = result;
  element.picture.width = picture.width;
  element.picture.height = picture.height;
  element.picture.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
  element.view.hidden = false;
  show();
}

/** Shows what was found with scores above the slider's. */
function show() {
  if (!found) return;
  const faces = shownFaces();
  drawBoxes(faces);
  listFaces(faces);
  const count = faces.length === 1 ? "1 face" : `${faces.length} faces`;
  element.picture.setAttribute("aria-label", `${found.name}, ${count}`);
  if (!camera || performance.now() - spoken > CAMERA_WORDS_MS) say(`${found.name}: ${count}`);
  element.timing.textContent = `${found.width} x ${found.height} pixels, ${found.ms.toFixed(0)} ms${shrunk()}`;
}

function shrunk() {
  const { width, height } = element.picture;
  if (width === found.width) return "";
  return `; shrunk to ${width} x ${height} for the detector, so that small faces may be missed`;
}

/** Faces above the slider's score; boxes inside the picture, as `facedet predict` gives them. */
function shownFaces() {
  const cut = Number(element.score.value);
  const { boxes, scores, width, height } = found;
  const faces = [];
  scores.forEach((score, index) => {
    const [x1, y1, x2, y2] = boxes.subarray(4 * index, 4 * index + 4);
    const box = [Math.max(x1, 0), Math.max(y1, 0), Math.min(x2, width), Math.min(y2, height)];
    if (score > cut && box[2] > box[0] && box[3] > box[1]) faces.push({ score, box });
  });
  return faces;
}

function drawBoxes(faces) {
  const pixel = found.width / element.picture.clientWidth; // of the screen, in the picture's
  element.boxes.setAttribute("viewBox", `0 0 ${found.width} ${found.height}`);
  element.boxes.setAttribute("preserveAspectRatio", "none");
  element.boxes.replaceChildren(...faces.map(({ score, box: [x1, y1, x2, y2] }) => {
    const [width, height] = [x2 - x1, y2 - y1];
    const rect = { x: x1, y: y1, width, height };
    // Dark below bright: seen on any picture.
    const parts = [drawn("rect", { ...rect, class: "under" }), drawn("rect", rect)];
    if (width > LABELLED * pixel) {
      const text = drawn("text", { x: x1, y: y1 - 4 * pixel, "font-size": 13 * pixel });
      text.textContent = score.toFixed(2);
      parts.push(text);
    }
    const group = drawn("g", {});
    group.append(...parts);
    return group;
  }));
}

function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function listFaces(faces) {
  element.list.hidden = faces.length === 0 || camera !== undefined;
  if (element.list.hidden) return;
  element.faces.replaceChildren(...faces.map(({ score, box }, index) => {
    const [x1, y1, x2, y2] = box.map(Math.round);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${score.toFixed(2)}  ${x1} ${y1} to ${x2} ${y2}`;
    button.setAttribute("aria-label", `Face ${index + 1}, score ${score.toFixed(2)}, left ${x1}, top ${y1}, right ${x2}, bottom ${y2}`);
    const choose = (is) => () => element.boxes.children[index]?.classList.toggle("chosen", is);
    for (const event of ["focus", "pointerenter"]) button.addEventListener(event, choose(true));
    for (const event of ["blur", "pointerleave"]) button.addEventListener(event, choose(false));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
}

async function openCamera() {
  if (!navigator.mediaDevices) {
    say("The camera cannot be opened: browsers allow it to pages of https:// and of localhost only.", true);
    return;
  }
  clear();
  say("Asking for the camera …");
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } } });
    camera.getVideoTracks()[0].addEventListener("ended", closeCamera);
    element.video.srcObject = camera;
    await element.video.play();
  } catch (error) {
    closeCamera();
    say(`The camera cannot be opened (${error.message || error.name}).`, true);
    return;
  }
  element.camera.textContent = "Close the camera";
  say("The camera is open; its pictures stay in this browser.");
  const mine = camera;
  while (mine === camera) {
    await new Promise(requestAnimationFrame); // none in a hidden tab
    if (mine !== camera) break;
    const result = await detect(await createImageBitmap(element.video));
    if (mine === camera && !result.error) present({ name: "Camera", ...result });
  }
}

function closeCamera() {
  if (!camera) return;
  for (const track of camera.getTracks()) track.stop();
  camera = undefined;
  element.video.srcObject = null;
  element.camera.textContent = "Open the camera";
  show(); // the last picture stays, with the list of its faces
}

function setScore() {
  element["score-value"].textContent = Number(element.score.value).toFixed(2);
  show();
}

async function describe() {
  const about = await (await fetch(new URL("model.json", import.meta.url))).json();
  element.score.min = about.least_score;
  element.score.value = about.score;
  setScore();
  element.about.textContent = `Weights: ${about.weights} (${about.licence}), SHA-256 ${about.sha256.slice(0, 16)}. `
    + `Made by facedet ${about.facedet}. Runs in ONNX Runtime Web ${about.runtime} (MIT, Microsoft Corporation).`;
}

element.file.addEventListener("change", () => {
  if (element.file.files.length) take(element.file.files[0]);
  element.file.value = ""; // so that the same file can be chosen again
});
element.camera.addEventListener("click", () => (camera ? closeCamera() : openCamera()));
element.score.addEventListener("input", setScore);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
for (const kind of ["drop", "paste"]) {
  document.addEventListener(kind, (event) => {
    document.body.classList.remove("dropping");
    const [file] = (event.dataTransfer ?? event.clipboardData).files;
    if (kind === "drop" || file) event.preventDefault();
    if (file) take(file);
    else if (kind === "drop") say("What was dropped is not a file. Save the picture first, then drop its file.", true);
  });
}
// The scores' letters keep their size on the screen.
new ResizeObserver(() => found && drawBoxes(shownFaces())).observe(element.picture);
describe().catch((error) => fail(error.message));
