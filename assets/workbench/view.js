/* Which part of the clip is on the screen. */

/** The closest look, in seconds. */
const CLOSEST = 0.05;

class View {
  constructor(seconds) {
    this.seconds = seconds;
    this.start = 0;
    this.end = seconds;
  }

  get span() {
    return this.end - this.start;
  }

  /** Where a time is, as a share of the width; outside 0..1 when it is not on the screen. */
  shareOf(time) {
    return (time - this.start) / this.span;
  }

  timeAt(share) {
    return this.start + share * this.span;
  }

  /** Show `factor` times as much; what was at `time` stays in its place. */
  zoom(factor, time) {
    const span = Math.min(Math.max(this.span * factor, Math.min(CLOSEST, this.seconds)), this.seconds);
    this.show(time - this.shareOf(time) * span, span);
  }

  /** Show `span` seconds from `start` on, as far as the clip goes. */
  show(start, span = this.span) {
    this.start = Math.min(Math.max(0, start), this.seconds - span);
    this.end = this.start + span;
  }

  /** Bring a time into view with some room around it; true when that moved the view. */
  follow(time) {
    const share = this.shareOf(time);
    if (share >= 0 && share <= 1) return false;
    this.show(time - 0.1 * this.span);
    return true;
  }
}
