/* The clip's samples, and what can be read off them: peaks for the waveform, spectra for the
   spectrogram. Plain numbers, no page. */

/** Samples in one spectrum: 32 ms at 16 kHz, so 31 Hz a row. */
const FRAME = 512;
/** Samples that one stored pair of lowest and highest value covers. */
const BLOCK = 256;

const HANN = Float32Array.from({length: FRAME}, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / FRAME));
const COSINE = Float32Array.from({length: FRAME / 2}, (_, k) => Math.cos((2 * Math.PI * k) / FRAME));
const SINE = Float32Array.from({length: FRAME / 2}, (_, k) => -Math.sin((2 * Math.PI * k) / FRAME));
const REVERSED = Uint16Array.from({length: FRAME}, (_, n) => {
  let reversed = 0;
  for (let bit = 1; bit < FRAME; bit <<= 1) reversed = (reversed << 1) | (n & bit ? 1 : 0);
  return reversed;
});

/** Fourier transform in place of two Float32Array(FRAME), whose entries are in bit-reversed order. */
function transform(real, imaginary) {
  for (let half = 1; half < FRAME; half *= 2) {
    const step = FRAME / (2 * half);
    for (let start = 0; start < FRAME; start += 2 * half) {
      for (let k = 0; k < half; k++) {
        const low = start + k, high = low + half, c = COSINE[k * step], s = SINE[k * step];
        const re = real[high] * c - imaginary[high] * s, im = real[high] * s + imaginary[high] * c;
        real[high] = real[low] - re;
        imaginary[high] = imaginary[low] - im;
        real[low] += re;
        imaginary[low] += im;
      }
    }
  }
}

class Sound {
  /** samples: Float32Array in [-1, 1]. rate: samples a second. */
  constructor(samples, rate) {
    this.samples = samples;
    this.rate = rate;
    this.seconds = samples.length / rate;
    this._blocks = this._measureBlocks();
    this.peak = Math.max(rangeOf(this._blocks.high, 0, this._blocks.high.length)[1],
      -rangeOf(this._blocks.low, 0, this._blocks.low.length)[0]);
    this._real = new Float32Array(FRAME);
    this._imaginary = new Float32Array(FRAME);
  }

  /** A 16-bit mono WAV file as the server writes it: a 44-byte header, then samples. */
  static fromWav(buffer) {
    const header = new DataView(buffer);
    const values = new Int16Array(buffer, 44), samples = new Float32Array(values.length);
    for (let n = 0; n < values.length; n++) samples[n] = values[n] / 32768;
    return new Sound(samples, header.getUint32(24, true));
  }

  /** Lowest and highest sample between two times in seconds. */
  range(from, to) {
    const first = Math.max(0, Math.floor(from * this.rate));
    const last = Math.min(this.samples.length, Math.max(first + 1, Math.ceil(to * this.rate)));
    return last - first > 4 * BLOCK ? this._rangeOfBlocks(first, last) : rangeOf(this.samples, first, last);
  }

  /** Level in dB of the FRAME/2 frequencies around a time, lowest first. 0 dB is a full-scale sine. */
  spectrum(time) {
    const start = Math.round(time * this.rate) - FRAME / 2;
    for (let n = 0; n < FRAME; n++) {
      this._real[REVERSED[n]] = (this.samples[start + n] ?? 0) * HANN[n];
    }
    this._imaginary.fill(0);
    transform(this._real, this._imaginary);
    const levels = new Float32Array(FRAME / 2);
    for (let k = 0; k < levels.length; k++) {
      const power = this._real[k] ** 2 + this._imaginary[k] ** 2;
      levels[k] = 10 * Math.log10(power / (FRAME / 4) ** 2 + 1e-12);
    }
    return levels;
  }

  /** The loudest level of a few hundred spectra over the clip: what the colours are scaled to. */
  loudest() {
    let top = -120;
    for (let n = 0; n < 200; n++) {
      for (const level of this.spectrum((this.seconds * (n + 0.5)) / 200)) top = Math.max(top, level);
    }
    return top;
  }

  _measureBlocks() {
    const count = Math.ceil(this.samples.length / BLOCK);
    const blocks = {low: new Float32Array(count), high: new Float32Array(count)};
    for (let b = 0; b < count; b++) {
      const end = Math.min(this.samples.length, (b + 1) * BLOCK);
      [blocks.low[b], blocks.high[b]] = rangeOf(this.samples, b * BLOCK, end);
    }
    return blocks;
  }

  _rangeOfBlocks(first, last) {
    const from = Math.floor(first / BLOCK), to = Math.ceil(last / BLOCK);
    return [rangeOf(this._blocks.low, from, to)[0], rangeOf(this._blocks.high, from, to)[1]];
  }
}

/** Lowest and highest of values[first..last). */
function rangeOf(values, first, last) {
  let low = Infinity, high = -Infinity;
  for (let n = first; n < last; n++) {
    if (values[n] < low) low = values[n];
    if (values[n] > high) high = values[n];
  }
  return [low, high];
}
