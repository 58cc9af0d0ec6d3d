/* Drawing on canvases: waveform, spectrogram, regions, playhead, tracks. Nothing here changes
   what is drawn. */

/** How far below the loudest level the spectrogram's darkest colour lies, in dB. */
const DEPTH = 75;
/** Height of the time axis under the waveform, in CSS pixels. */
const AXIS = 18;

/** Colours of the spectrogram from quiet to loud; in between they are mixed. */
const HEAT = [[10, 14, 30], [48, 36, 96], [130, 48, 112], [214, 92, 84], [248, 176, 96], [255, 246, 214]];
const PALETTE = Uint32Array.from({length: 256}, (_, n) => {
  const place = (n / 255) * (HEAT.length - 1), low = Math.min(Math.floor(place), HEAT.length - 2);
  const [r, g, b] = HEAT[low].map((from, i) => from + (place - low) * (HEAT[low + 1][i] - from));
  return (255 << 24) | (b << 16) | (g << 8) | r; // bytes of a pixel in memory are r, g, b, a
});

/** The page's own colours, which differ in light and dark. */
function coloursOf(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(`--sl-${name}`).trim();
  return {
    bonafide: colour("human"),
    spoof: colour("machine"),
    unsure: colour("undecided"),
    ink: colour("ink"),
    soft: colour("soft"),
    line: colour("line"),
    surface: colour("surface"),
    ground: colour("ground"),
  };
}

/** A canvas's context, cleared and sized to its place: {pen, width, height} in CSS pixels. */
function fresh(canvas) {
  const width = canvas.clientWidth, height = canvas.clientHeight;
  const density = Math.min(2, devicePixelRatio || 1);
  canvas.width = Math.max(1, Math.round(width * density));
  canvas.height = Math.max(1, Math.round(height * density));
  const pen = canvas.getContext("2d");
  pen.scale(canvas.width / Math.max(1, width), canvas.height / Math.max(1, height));
  return {pen, width, height};
}

/** The waveform between two times, filling a box of the canvas; a quiet clip is drawn larger, up to 20 times. */
function drawWave(pen, sound, from, to, {width, height, colour}) {
  pen.fillStyle = colour;
  const gain = Math.min(20, 0.95 / Math.max(sound.peak, 1e-6));
  const step = (to - from) / width;
  for (let x = 0; x < width; x++) {
    const [low, high] = sound.range(from + x * step, from + (x + 1) * step);
    pen.fillRect(x, (1 - gain * high) * 0.5 * height, 1, Math.max(1, gain * (high - low) * 0.5 * height));
  }
}

/** Waveform with its time axis. */
function drawWaveform(canvas, sound, view, colours) {
  const {pen, width, height} = fresh(canvas);
  drawAxis(pen, view, width, height, colours);
  drawWave(pen, sound, view.start, view.end, {width, height: height - AXIS, colour: colours.soft});
}

function drawAxis(pen, view, width, height, colours) {
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300].find(
    (seconds) => (seconds / view.span) * width > 60,
  ) ?? 600;
  const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
  pen.font = "11px system-ui, sans-serif";
  for (let n = Math.ceil(view.start / step); n * step <= view.end; n++) {
    const x = Math.round(view.shareOf(n * step) * width);
    pen.fillStyle = colours.line;
    pen.fillRect(x, 0, 1, height - AXIS + 4);
    pen.fillStyle = colours.soft;
    const text = `${(n * step).toFixed(digits)} s`;
    pen.fillText(text, Math.min(x + 3, width - pen.measureText(text).width), height - 4);
  }
}

/** Level by frequency (0 to half the rate, upwards) over time, as coloured dots. */
function drawSpectrogram(canvas, sound, view, loudest) {
  const {pen, width, height} = fresh(canvas);
  const columns = Math.max(1, Math.min(1400, Math.floor(width))), rows = FRAME / 2;
  const image = new ImageData(columns, rows), pixels = new Uint32Array(image.data.buffer);
  for (let x = 0; x < columns; x++) {
    const levels = sound.spectrum(view.timeAt((x + 0.5) / columns));
    for (let row = 0; row < rows; row++) {
      const share = 1 + (levels[row] - loudest) / DEPTH;
      pixels[(rows - 1 - row) * columns + x] = PALETTE[Math.max(0, Math.min(255, Math.round(255 * share)))];
    }
  }
  const picture = new OffscreenCanvas(columns, rows);
  picture.getContext("2d").putImageData(image, 0, 0);
  pen.drawImage(picture, 0, 0, width, height);
  drawFrequencies(pen, sound, height);
}

function drawFrequencies(pen, sound, height) {
  const top = sound.rate / 2000;
  pen.font = "11px system-ui, sans-serif";
  for (let kilohertz = 2; kilohertz < top; kilohertz += 2) {
    const y = height * (1 - kilohertz / top);
    pen.fillStyle = "rgba(0, 0, 0, 0.55)";
    pen.fillRect(2, y - 8, 34, 15);
    pen.fillStyle = "#ffffff";
    pen.fillText(`${kilohertz} kHz`, 4, y + 4);
  }
}

/** Regions, the one being marked, and the playhead, over waveform and spectrogram. */
function drawMarks(canvas, view, colours, {regions, selected, marking, playhead, words}) {
  const {pen, width, height} = fresh(canvas);
  for (const region of regions) {
    drawRegion(pen, view, region, {
      width,
      height,
      colour: colours[region.label] ?? colours.ink,
      words: words(region),
      strong: region === selected,
      surface: colours.surface,
    });
  }
  if (marking) {
    const [left, right] = marking.map((time) => view.shareOf(time) * width).sort((a, b) => a - b);
    pen.fillStyle = colours.ink;
    pen.globalAlpha = 0.25;
    pen.fillRect(left, 0, Math.max(1, right - left), height);
    pen.globalAlpha = 1;
  }
  const x = view.shareOf(playhead) * width;
  pen.fillStyle = "#ffffff"; // a light rim keeps the line in sight on the dark spectrogram
  pen.fillRect(x - 2, 0, 4, height);
  pen.fillStyle = "#d0103a";
  pen.fillRect(x - 1, 0, 2, height);
}

function drawRegion(pen, view, region, {width, height, colour, words, strong, surface}) {
  const left = view.shareOf(region.start) * width, right = view.shareOf(region.end) * width;
  if (right < 0 || left > width) return;
  pen.fillStyle = colour;
  pen.globalAlpha = strong ? 0.32 : 0.18;
  pen.fillRect(left, 0, right - left, height);
  pen.globalAlpha = 1;
  pen.strokeStyle = surface;
  pen.lineWidth = strong ? 6 : 4;
  pen.strokeRect(left, 1, right - left, height - 2);
  pen.strokeStyle = colour;
  pen.lineWidth = strong ? 4 : 2;
  pen.strokeRect(left, 1, right - left, height - 2);
  pen.font = "600 12px system-ui, sans-serif";
  const room = pen.measureText(words).width + 10, x = Math.max(0, Math.min(left, width - room));
  pen.fillStyle = colour;
  pen.fillRect(x, 0, room, 19);
  pen.fillStyle = surface;
  pen.fillText(words, x + 5, 14);
}

/** A row of spans that each have a label or a probability of spoof. */
function drawTrack(canvas, view, spans, colours) {
  const {pen, width, height} = fresh(canvas);
  pen.fillStyle = colours.ground;
  pen.fillRect(0, 0, width, height);
  for (const {from, to, span} of tiles(spans)) {
    const left = view.shareOf(from) * width, room = (view.shareOf(to) - view.shareOf(from)) * width;
    const lean = span.label ?? (span.p_spoof >= 0.5 ? "spoof" : "bonafide");
    pen.globalAlpha = span.label ? 0.9 : Math.abs(2 * span.p_spoof - 1) ** 0.7;
    pen.fillStyle = colours[lean];
    pen.fillRect(left, 0, Math.max(1, room - 1), height);
    pen.globalAlpha = 1;
    pen.strokeStyle = colours.line;
    pen.strokeRect(left + 0.5, 0.5, Math.max(1, room - 1), height - 1);
    drawInside(pen, span, {left, room, height, colours});
  }
}

/** The number in its box: black or white, whichever the colour under it lets one read. */
function drawInside(pen, span, {left, room, height, colours}) {
  if (room < 34 || span.label) return;
  pen.font = "600 11px system-ui, sans-serif";
  pen.fillStyle = Math.abs(2 * span.p_spoof - 1) > 0.55 ? colours.surface : colours.ink;
  pen.fillText(span.p_spoof.toFixed(2), left + 5, height / 2 + 4);
}

/** Spans by start, each cut off where the next begins: windows overlap, boxes must not. */
function tiles(spans) {
  const sorted = [...spans].sort((a, b) => a.start - b.start);
  return sorted.map((span, n) => ({
    span,
    from: span.start,
    to: Math.min(span.end, sorted[n + 1]?.start ?? span.end),
  }));
}

/** The whole clip, small, with a frame around the part on the screen. */
function drawOverview(canvas, sound, view, colours) {
  const {pen, width, height} = fresh(canvas);
  drawWave(pen, sound, 0, sound.seconds, {width, height, colour: colours.soft});
  const left = (view.start / view.seconds) * width, room = Math.max(4, (view.span / view.seconds) * width);
  pen.fillStyle = colours.bonafide;
  pen.globalAlpha = 0.2;
  pen.fillRect(left, 0, room, height);
  pen.globalAlpha = 1;
  pen.strokeStyle = colours.bonafide;
  pen.lineWidth = 2;
  pen.strokeRect(left + 1, 1, room - 2, height - 2);
}
