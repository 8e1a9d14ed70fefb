// Pictures to faces, away from the page's own thread, which stays quick.
import * as ort from "./onnxruntime.js";

// A larger picture is shrunk to this many pixels: a phone has no memory for more.
const MAX_PIXELS = 4_000_000;

const session = open();
session.then(() => postMessage({ ready: true }), (error) => postMessage({ fatal: String(error.message ?? error) }));

// One after the other: the session takes no second picture before the first is done.
let before = Promise.resolve();
onmessage = ({ data }) => {
  before = before.then(() => detect(data.id, data.source));
};

async function open() {
  const [wasm, model] = await Promise.all(["onnxruntime.wasm.gz", "model.onnx"].map(load));
  ort.env.wasm.numThreads = 1; // more need a server that sets COOP and COEP headers
  ort.env.wasm.wasmBinary = wasm;
  return ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] });
}

/** A file beside this one, unpacked where it is gzip and the server has not said so. */
async function load(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.buffer;
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(unpacked).arrayBuffer();
}

async function detect(id, source) {
  try {
    const bitmap = source instanceof Blob ? await decode(source) : source;
    const { width, height } = bitmap;
    const canvas = draw(bitmap);
    bitmap.close();
    const scales = [canvas.width / width, canvas.height / height];
    const rgba = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const start = performance.now();
    const { boxes, scores } = await run(rgba, canvas.width, canvas.height);
    const ms = performance.now() - start;
    const picture = canvas.transferToImageBitmap();
    const inPicture = boxes.map((one, place) => one / scales[place % 2]);
    postMessage({ id, picture, width, height, ms, boxes: inPicture, scores }, [picture]);
  } catch (error) {
    postMessage({ id, error: String(error.message ?? error) });
  }
}

/** The picture upright, as its EXIF orientation asks; colours as `facedet predict` reads them. */
async function decode(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new Error("not a picture that this browser can read");
  }
}

/** The picture over white, where it is transparent, of MAX_PIXELS at the most. */
function draw(bitmap) {
  const scale = Math.min(1, Math.sqrt(MAX_PIXELS / (bitmap.width * bitmap.height)));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas;
}

/** Boxes [N * 4] x1 y1 x2 y2 and scores [N], best first. */
async function run(rgba, width, height) {
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  const images = new ort.Tensor("uint8", rgb, [1, height, width, 3]);
  const { boxes, scores } = await (await session).run({ images });
  return { boxes: boxes.data, scores: scores.data };
}
