/* What the annotator has said about the clip so far: its answer and its regions, with undo.
   Plain data, no page. Times are in seconds and whole milliseconds. */

/** Shortest region in seconds. */
const SHORTEST = 0.02;

class Draft {
  /** seconds: length of the clip. said: {label, regions} to begin with, such as a label taken back. */
  constructor(seconds, said = null) {
    this.seconds = Math.floor(seconds * 1000) / 1000;
    this.label = said?.label ?? null;
    this.regions = (said?.regions ?? []).map((region) => ({...region})); // {start, end, label or null}, by start
    this.selected = null; // the region that 1, 2 and 3 are about
    this.open = null; // where a region was begun and not yet closed
    this._past = [];
  }

  get touched() {
    return this.label !== null || this.regions.length > 0 || this.open !== null;
  }

  /** The first region that has no label yet. */
  get unlabelled() {
    return this.regions.find((region) => region.label === null);
  }

  /** Answer for the selected region, which is then done with, or else for the clip. */
  answer(label) {
    this._remember();
    if (!this.selected) {
      this.label = label;
      return;
    }
    this.selected.label = label;
    this.selected = null;
  }

  /** Begin a region, or close the one that was begun. Returns the region when one was made. */
  mark(time) {
    this._remember();
    if (this.open === null) {
      this.open = this._clamped(time);
      return null;
    }
    const start = this.open;
    this.open = null;
    return this._insert(start, time);
  }

  /** A new region between two times in any order, selected; null when it is too short. */
  add(from, to) {
    this._remember();
    const region = this._insert(from, to);
    if (!region) this._past.pop();
    return region;
  }

  /** Begin to move an edge: all that follows through `drag` is one step to undo. */
  grab(region) {
    this._remember();
    this.selected = region;
  }

  /** Move the "start" or "end" of a region; it cannot pass the other edge. */
  drag(region, edge, time) {
    const at = this._clamped(time);
    if (edge === "start") region.start = Math.min(at, rounded(region.end - SHORTEST));
    else region.end = Math.max(at, rounded(region.start + SHORTEST));
    this._sort();
  }

  remove(region) {
    this._remember();
    this.regions = this.regions.filter((other) => other !== region);
    this.selected = null;
  }

  /** The region after the selected one, round and round; null when there are none. */
  selectNext() {
    const next = this.regions.indexOf(this.selected) + 1;
    this.selected = this.regions[next % this.regions.length] ?? null;
    return this.selected;
  }

  /** Take back the last change; false when there is none. */
  undo() {
    const before = this._past.pop();
    if (!before) return false;
    this.label = before.label;
    this.regions = before.regions;
    this.selected = before.regions[before.selected] ?? null;
    this.open = before.open;
    return true;
  }

  _insert(from, to) {
    const [start, end] = [this._clamped(Math.min(from, to)), this._clamped(Math.max(from, to))];
    if (end - start < SHORTEST) return null;
    const region = {start, end, label: null};
    this.regions.push(region);
    this._sort();
    this.selected = region;
    return region;
  }

  _remember() {
    this._past.push({
      label: this.label,
      regions: this.regions.map((region) => ({...region})),
      selected: this.regions.indexOf(this.selected),
      open: this.open,
    });
  }

  _sort() {
    this.regions.sort((a, b) => a.start - b.start || a.end - b.end);
  }

  _clamped(time) {
    return Math.min(Math.max(0, rounded(time)), this.seconds);
  }
}

function rounded(time) {
  return Math.round(time * 1000) / 1000;
}
