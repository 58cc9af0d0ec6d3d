/* Mouse, pen and fingers on the waveform: a tap seeks, a drag marks, two fingers zoom. */

/** A finger or mouse that moved less, in CSS pixels, did not drag. */
const SLOP = 6;

/** Listen on `stage` and tell `on`: touch(x, reach) at first; then tap(x), or drag(from, to) again and
    again and drop(), or cancel(); for two fingers pinch(factor, x, moved). x, from and to are shares
    of the width, and so is reach, how far off one may aim. */
function listenToPointers(stage, on) {
  const down = new Map(); // pointer id -> {from, to}, as shares of the width
  let dragging = false;
  const shareOf = (event) => {
    const box = stage.getBoundingClientRect();
    return (event.clientX - box.left) / box.width;
  };

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    const share = shareOf(event);
    down.set(event.pointerId, {from: share, to: share});
    if (down.size > 1) {
      if (dragging) on.cancel();
      dragging = false;
    } else {
      on.touch(share, (event.pointerType === "mouse" ? 7 : 16) / stage.clientWidth);
    }
  });

  stage.addEventListener("pointermove", (event) => {
    const pointer = down.get(event.pointerId);
    if (!pointer) return;
    const before = [...down.values()].map(({to}) => to);
    pointer.to = shareOf(event);
    if (down.size === 2) {
      on.pinch(...pinched(before, [...down.values()].map(({to}) => to)));
    } else if (down.size === 1) {
      dragging ||= Math.abs(pointer.to - pointer.from) * stage.clientWidth > SLOP;
      if (dragging) on.drag(pointer.from, pointer.to);
    }
  });

  stage.addEventListener("pointerup", (event) => {
    const pointer = down.get(event.pointerId);
    down.delete(event.pointerId);
    if (!pointer || down.size) {
      down.clear(); // the finger that stays after a pinch must not go on to mark
      return;
    }
    if (dragging) on.drop();
    else on.tap(pointer.to);
    dragging = false;
  });

  stage.addEventListener("pointercancel", () => {
    down.clear(); // the browser took the finger over to scroll the page
    if (dragging) on.cancel();
    dragging = false;
  });
}

/** What two fingers did: [factor of the span shown, share that stays in place, share moved by]. */
function pinched(before, after) {
  const width = (pair) => Math.max(0.02, Math.abs(pair[0] - pair[1]));
  const middle = (pair) => (pair[0] + pair[1]) / 2;
  return [width(before) / width(after), middle(after), middle(after) - middle(before)];
}
