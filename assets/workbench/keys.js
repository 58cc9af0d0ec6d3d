/* Which key presses are the workbench's own, and what each asks for. */

/** What a key asks for. `repeat` keys go on while they are held down. */
const KEYS = {
  " ": {ask: "togglePlay"},
  ArrowLeft: {ask: "step", with: -1, repeat: true},
  ArrowRight: {ask: "step", with: 1, repeat: true},
  ArrowUp: {ask: "zoom", with: 0.5, repeat: true},
  ArrowDown: {ask: "zoom", with: 2, repeat: true},
  Home: {ask: "seekStart"},
  End: {ask: "seekEnd"},
  0: {ask: "zoomOut"},
  1: {ask: "answer", with: "bonafide"},
  2: {ask: "answer", with: "spoof"},
  3: {ask: "answer", with: "unsure"},
  r: {ask: "mark"},
  n: {ask: "selectNext"},
  p: {ask: "playRegion"},
  w: {ask: "playWindow"},
  Delete: {ask: "removeRegion"},
  Backspace: {ask: "removeRegion"},
  Escape: {ask: "deselect"},
  v: {ask: "reveal"},
  u: {ask: "undo"},
  s: {ask: "skip"},
  Enter: {ask: "save"},
  "?": {ask: "toggleHelp"},
};

/** Keys that a focused control needs for itself. */
const CONTROL_KEYS = new Set([" ", "Enter", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]);
const TEXT = "textarea, select, [contenteditable='true'], [role=textbox], [role=combobox], [role=listbox], "
  + "input:not([type=checkbox], [type=radio], [type=button], [type=submit], [type=file])";
const CONTROL = "button, a[href], summary, input, [role=tab], [role=button], [role=option]";

/** What a key event asks for, {ask, with, far}, or null when the key is not ours to take. */
function askedBy(event) {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return null;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const entry = Object.hasOwn(KEYS, key) ? KEYS[key] : null;
  const target = event.target instanceof Element ? event.target : document.body;
  if (!entry || target.closest(TEXT) || (event.repeat && !entry.repeat)) return null;
  if (CONTROL_KEYS.has(key) && target.closest(CONTROL)) return null;
  return {ask: entry.ask, with: entry.with, far: event.shiftKey};
}
