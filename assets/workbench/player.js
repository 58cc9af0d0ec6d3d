/* Playing a stretch of the clip. Web Audio starts and stops at the very sample, which an <audio>
   element does not. */

class Player {
  /** onEnd: called when a stretch was played to its end, not when it was stopped. */
  constructor(onEnd) {
    this._onEnd = onEnd;
    this._context = null;
    this._source = null;
    this._at = 0;
    this._sound = null;
  }

  get playing() {
    return this._source !== null;
  }

  /** Seconds into the clip: what is heard right now, or where playing would go on. */
  get position() {
    if (!this.playing) return this._at;
    return Math.min(this._to, this._at + Math.max(0, this._context.currentTime - this._since));
  }

  load(sound) {
    this.pause();
    this._sound = sound;
    this._buffer = null;
    this._at = 0;
  }

  /** Move to a time; playing goes on from there, to the clip's end. */
  seek(time) {
    const playing = this.playing;
    this.pause();
    this._at = Math.min(Math.max(0, time), this._sound.seconds);
    if (playing) this.play();
  }

  /** Play from a time to another, by default from the position to the clip's end. */
  play(from = this.position, to = this._sound.seconds) {
    this.pause();
    this._context ??= new AudioContext();
    this._context.resume(); // browsers hold a context back until a key or a click
    this._at = from >= to ? 0 : from;
    this._to = to;
    this._since = this._context.currentTime;
    this._source = this._context.createBufferSource();
    this._source.buffer = this._asBuffer();
    this._source.connect(this._context.destination);
    const source = this._source;
    source.onended = () => {
      if (source !== this._source) return; // stopped by hand: another one may play by now
      this._source = null;
      this._at = to;
      this._onEnd();
    };
    source.start(0, this._at, to - this._at);
  }

  pause() {
    this._at = this.position;
    const source = this._source;
    this._source = null;
    source?.stop();
  }

  _asBuffer() {
    if (!this._buffer) {
      this._buffer = this._context.createBuffer(1, this._sound.samples.length, this._sound.rate);
      this._buffer.copyToChannel(this._sound.samples, 0);
    }
    return this._buffer;
  }
}
