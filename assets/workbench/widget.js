/* The workbench on the page: joins sound, player, draft and view to the elements of the template
   in demo/waveform.py, and tells Python what to save. */

class Workbench {
  /** element: holds the template. link: {trigger, props, watch} of gr.HTML, and actions: what can be asked
      of Python. props.value is a message from Python (see `receive`), props.texts every sentence. */
  constructor(element, link) {
    this.link = link;
    this.element = element;
    this.texts = link.props.texts;
    this.part = (name) => element.querySelector(`[data-part="${name}"]`);
    this.player = new Player(() => this.refresh());
    this.clip = this.sound = this.draft = this.view = null;
    this.marking = this.edge = null; // a region being dragged out; an edge being moved
    this.busy = false;
    this._connect();
    link.watch("value", () => this.receive(link.props.value));
    this.receive(link.props.value);
  }

  // ---- messages from Python

  /** message: {notice, progress, clip, gentle}. A clip with a new `visit` replaces the one on the page;
      when the message is `gentle`, only another clip does, and only if nothing was said about this one. */
  receive(message) {
    this._settle();
    if (!message) return;
    this._showProgress(message.progress);
    const stays = message.clip === undefined || (message.gentle && this._keeps(message.clip));
    // An answer that says nothing must not wipe away what was said of a clip that stays.
    if (message.notice || (message.clip && !stays)) this.say(message.notice);
    if (stays) return;
    if (message.clip && message.clip.visit === this.clip?.visit) {
      this.clip = message.clip;
      this._showClip();
    } else this._open(message.clip);
  }

  _showProgress({total, labelled, skipped, text}) {
    this.part("progress-bar").max = Math.max(1, total);
    this.part("progress-bar").value = labelled;
    this.part("progress-text").textContent = text;
    this.part("bring_back").hidden = !skipped || !this.link.actions.includes("bring_back");
  }

  _keeps(clip) {
    return Boolean(this.clip) && (this.draft?.touched || this.clip.sha256 === clip?.sha256);
  }

  async _open(clip) {
    this.player.pause();
    this.clip = clip;
    this.sound = this.draft = this.view = null;
    this._showClip();
    if (!clip) return;
    try {
      const answer = await fetch(clip.audio.url);
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const sound = Sound.fromWav(await answer.arrayBuffer());
      if (this.clip?.visit !== clip.visit) return; // another one was opened meanwhile
      this._load(sound);
    } catch (error) {
      console.error(error);
      this.say(this.texts.no_sound);
    }
  }

  _load(sound) {
    this.sound = sound;
    this.loudest = sound.loudest();
    this.player.load(sound);
    this.draft = new Draft(sound.seconds, this.clip.said);
    this.view = new View(sound.seconds);
    this.refresh();
    const focused = document.activeElement;
    if (this.visible && (focused === document.body || this.element.contains(focused))) {
      this.part("stage").focus({preventScroll: true});
    }
  }

  get visible() {
    return this.element.offsetParent !== null;
  }

  // ---- what keys and buttons ask for

  togglePlay() {
    if (this.player.playing) this.player.pause();
    else this.player.play();
    this._animate();
  }

  /** Move the playhead by a fortieth of what is shown; with Shift ten times as far. */
  step(direction, far) {
    this.seek(this.player.position + (direction * this.view.span * (far ? 10 : 1)) / 40);
  }

  seek(time) {
    this.player.seek(rounded(time));
    if (this.view.follow(this.player.position)) this.refresh();
    this.refreshMarks();
  }

  seekStart() {
    this.seek(0);
  }

  seekEnd() {
    this.seek(this.sound.seconds);
  }

  zoom(factor) {
    const share = this.view.shareOf(this.player.position);
    this.view.zoom(factor, share >= 0 && share <= 1 ? this.player.position : this.view.timeAt(0.5));
    this.refresh();
  }

  zoomOut() {
    this.view.show(0, this.sound.seconds);
    this.refresh();
  }

  answer(label) {
    if (this._locked()) return;
    const region = this.draft.selected, named = this.texts.labels[label];
    this.draft.answer(label);
    this.say(region ? fill(this.texts.region_labelled, {label: named, ...times(region)})
      : fill(this.texts.clip_labelled, {label: named}));
    this.refreshMarks();
  }

  mark() {
    if (this._locked()) return;
    const began = this.draft.open !== null, region = this.draft.mark(this.player.position);
    if (region) this._tellRegion(region);
    else this.say(began ? this.texts.too_short : fill(this.texts.region_open, {start: clock(this.draft.open)}));
    this.refreshMarks();
  }

  selectNext() {
    const region = this.draft.selectNext();
    if (region) this.say(fill(this.texts.region_selected, times(region)));
    this.refreshMarks();
  }

  deselect() {
    if (this.draft.open !== null) this.draft.undo();
    this.draft.selected = null;
    this.refreshMarks();
  }

  removeRegion() {
    if (this._locked() || !this.draft.selected) return;
    this.say(fill(this.texts.region_removed, times(this.draft.selected)));
    this.draft.remove(this.draft.selected);
    this.refreshMarks();
  }

  playRegion() {
    const region = this.draft.selected ?? this.draft.regions.find(
      ({start, end}) => start <= this.player.position && this.player.position <= end,
    );
    if (region) this.play(region);
    else this.say(this.texts.no_region);
  }

  /** Hear the window that looks most machine-made; asked again, the next most. */
  playWindow() {
    const spans = this.clip.tracks.flatMap((track) => track.spans).filter((span) => "p_spoof" in span);
    if (!spans.length) {
      this.say(this.texts.no_windows);
      return;
    }
    spans.sort((a, b) => b.p_spoof - a.p_spoof);
    this.turn = ((this.turn ?? -1) + 1) % spans.length;
    this.hear(spans[this.turn]);
  }

  /** Play a span of a track and say what it is. */
  hear(span) {
    this.say(fill("p_spoof" in span ? this.texts.window : this.texts.region_heard,
      {...times(span), p_spoof: span.p_spoof?.toFixed(2), label: this.texts.labels[span.label]}));
    this.play(span);
  }

  play({start, end}) {
    this.player.play(start, Math.min(end, this.sound.seconds));
    if (this.view.follow(start)) this.refresh();
    this._animate();
  }

  /** Take back the last change of this clip; when there is none, the last saved label. */
  undo() {
    if (!this.clip?.saved && this.draft?.undo()) {
      this.say(this.texts.undone);
      this.refreshMarks();
    } else this._ask("undo");
  }

  skip() {
    if (this.clip && !this.clip.saved) this._ask("skip", this._which());
  }

  bring_back() {
    this._ask("bring_back");
  }

  /** Show the detectors' scores before the answer, which makes it not blind. */
  reveal() {
    if (this.clip.can_reveal) this._ask("reveal", this._which());
  }

  save() {
    if (this.clip?.saved) {
      this._ask("next");
      return;
    }
    if (!this.draft) return;
    const unlabelled = this.draft.unlabelled;
    if (unlabelled) {
      this.draft.selected = unlabelled;
      this.say(fill(this.texts.region_unlabelled, times(unlabelled)));
    } else if (this.draft.open !== null) this.say(this.texts.region_still_open);
    else if (!this.draft.label) this.say(this.texts.no_answer);
    else this._ask("save", {...this._which(), label: this.draft.label, regions: this.draft.regions});
    this.refreshMarks();
  }

  toggleHelp() {
    const help = this.part("help");
    if (help.open) help.close();
    else help.showModal();
  }

  /** A sentence for everybody, read out by screen readers. */
  say(text) {
    this.part("status").textContent = text;
  }

  // ---- drawing

  /** Draw everything anew. Several calls before the next frame are one drawing. */
  refresh() {
    this._wave = true;
    this.refreshMarks();
  }

  /** Draw what moves often: regions, playhead, buttons; not waveform and spectrogram. */
  refreshMarks() {
    this._frame ??= requestAnimationFrame(() => {
      this._frame = null;
      this._draw();
    });
  }

  _draw() {
    if (!this.view || !this.visible) return;
    const colours = coloursOf(this.element);
    if (this._wave) {
      this._wave = false;
      drawWaveform(this.part("wave"), this.sound, this.view, colours);
      drawSpectrogram(this.part("spectrogram"), this.sound, this.view, this.loudest);
      drawOverview(this.part("overview"), this.sound, this.view, colours);
      this._drawTracks(colours);
    }
    const playhead = this.player.position;
    drawMarks(this.part("marks"), this.view, colours, {
      regions: this.draft.regions,
      selected: this.draft.selected,
      marking: this.marking ?? (this.draft.open === null ? null : [this.draft.open, playhead]),
      playhead,
      words: (region) => this.texts.short_labels[region.label] ?? this.texts.unlabelled,
    });
    this._showPlayhead(playhead);
    this._showAnswers();
    this._showRegions();
  }

  _drawTracks(colours) {
    this.part("tracks").querySelectorAll("canvas").forEach((canvas, n) => {
      drawTrack(canvas, this.view, this.clip.tracks[n].spans, colours);
    });
  }

  /** Follow the sound while it plays. */
  _animate() {
    this.refreshMarks();
    if (!this.player.playing) return;
    if (this.view.follow(this.player.position)) this.refresh();
    requestAnimationFrame(() => this._animate());
  }

  // ---- elements

  _showClip() {
    const clip = this.clip;
    this.turn = -1;
    this.part("desk").hidden = clip === null;
    if (!clip) return;
    this.part("name").textContent = clip.name;
    this.part("facts").textContent = clip.facts;
    this.part("hidden").textContent = clip.scores;
    this.part("reveal").hidden = !clip.can_reveal;
    this.part("tracks").replaceChildren(...clip.tracks.map((track) => this._trackElement(track)));
    this.part("save").textContent = clip.saved ? this.texts.next : this.texts.save;
    for (const button of [...this._answers(), this.part("skip")]) {
      if (button) button.disabled = Boolean(clip.saved); // the team's page cannot skip
    }
    this.refresh();
  }

  _trackElement(track) {
    const element = make("div", "sl-wb-track"), canvas = make("canvas");
    element.append(make("p", "sl-wb-caption", track.caption), canvas);
    canvas.setAttribute("aria-hidden", "true"); // the caption says it, and W plays it
    canvas.addEventListener("click", (event) => {
      if (!this.view) return;
      const time = this.view.timeAt(event.offsetX / canvas.clientWidth);
      const tile = tiles(track.spans).find(({from, to}) => from <= time && time <= to);
      if (tile) this.hear(tile.span);
    });
    return element;
  }

  _showPlayhead(time) {
    const text = `${clock(time)} / ${clock(this.draft.seconds)} s`;
    this.part("clock").textContent = text;
    const stage = this.part("stage");
    stage.setAttribute("aria-valuemax", this.draft.seconds);
    stage.setAttribute("aria-valuenow", rounded(time));
    stage.setAttribute("aria-valuetext", text);
    this.part("play").textContent = this.player.playing ? this.texts.pause : this.texts.play;
  }

  _showAnswers() {
    for (const button of this._answers()) {
      button.setAttribute("aria-pressed", String(button.dataset.label === this.draft.label));
    }
    this.part("about").textContent = this.draft.selected
      ? fill(this.texts.about_region, times(this.draft.selected)) : this.texts.about_clip;
  }

  _showRegions() {
    const rows = this.draft.regions.map((region) => [region.start, region.end, region.label]);
    const now = JSON.stringify([rows, this.draft.regions.indexOf(this.draft.selected)]);
    if (now === this._shownRegions) return; // a button that is rebuilt at each frame cannot be clicked
    this._shownRegions = now;
    this.part("regions").replaceChildren(...this.draft.regions.map((region) => this._regionElement(region)));
  }

  _regionElement(region) {
    const row = make("li", region === this.draft.selected ? "sl-wb-selected" : ""), about = times(region);
    row.dataset.label = region.label ?? "";
    const select = make("button", "sl-wb-region", `${about.start}–${about.end} s`);
    select.append(make("span", "", this.texts.short_labels[region.label] ?? this.texts.unlabelled));
    const hear = make("button", "", "▶"), remove = make("button", "", "✕");
    hear.setAttribute("aria-label", fill(this.texts.play_region, about));
    remove.setAttribute("aria-label", fill(this.texts.remove_region, about));
    select.setAttribute("aria-pressed", String(region === this.draft.selected));
    select.onclick = () => this._select(region);
    hear.onclick = () => this.play(region);
    remove.onclick = () => {
      this.draft.selected = region;
      this.removeRegion();
    };
    row.append(select, hear, remove);
    return row;
  }

  _answers() {
    return this.element.querySelectorAll("[data-ask=answer]");
  }

  // ---- keys, buttons, pointers

  _connect() {
    document.addEventListener("keydown", (event) => this._onKey(event));
    this.element.addEventListener("click", (event) => {
      const button = event.target.closest("[data-ask]");
      if (!button) return;
      this._do(button.dataset.ask, this._argumentOf(button));
      // After a click with the mouse the keys are for the clip again, not for the button.
      if (event.detail && !this.part("help").open) this.part("stage").focus({preventScroll: true});
    });
    listenToPointers(this.part("stage"), {
      tap: (share) => this._tap(share),
      touch: (share, reach) => this._touch(share, reach),
      drag: (from, to) => this._drag(from, to),
      drop: () => this._drop(),
      cancel: () => this._cancel(),
      pinch: (factor, share, moved) => this._pinch(factor, share, moved),
    });
    this.part("stage").addEventListener("wheel", (event) => this._wheel(event), {passive: false});
    this._connectOverview();
    new ResizeObserver(() => this.refresh()).observe(this.part("stage"));
    new MutationObserver(() => this.refresh()).observe(document.body, {attributeFilter: ["class"]}); // dark, light
  }

  _argumentOf({dataset}) {
    return dataset.ask === "zoom" ? Number(dataset.with) : (dataset.label ?? null);
  }

  _onKey(event) {
    if (!this.visible) return;
    if (this.part("help").open) {
      if (event.key === "?") this.part("help").close();
      return; // the dialog itself closes at Escape
    }
    const asked = askedBy(event);
    if (!asked) return;
    event.preventDefault();
    // Who works with keys should see all of the desk; where it is higher than the screen, nothing is moved.
    if (this.element.clientHeight < innerHeight) this.element.scrollIntoView({block: "nearest"});
    this._do(asked.ask, asked.with, asked.far);
  }

  /** Do what was asked, if there is a clip to do it to. */
  _do(ask, ...details) {
    const always = ["toggleHelp", "undo", "skip", "bring_back"]; // they need no sound
    if (this.busy || (!always.includes(ask) && !this.draft)) return;
    this[ask](...details);
  }

  _tap(share) {
    if (!this.draft) return;
    const time = this.view.timeAt(share);
    this.draft.selected = this.draft.regions.find(({start, end}) => start <= time && time <= end) ?? null;
    this.seek(time);
  }

  /** Something may be dragged from here: the edge of a region, if there is one, or else a new region. */
  _touch(share, reach) {
    this.edge = null;
    if (!this.draft) return;
    for (const region of this.draft.regions) {
      for (const side of ["start", "end"]) {
        if (Math.abs(this.view.shareOf(region[side]) - share) <= reach) this.edge = {region, side, held: false};
      }
    }
  }

  _drag(from, to) {
    if (!this.draft || this._locked()) return;
    if (this.edge) {
      if (!this.edge.held) this.draft.grab(this.edge.region);
      this.edge.held = true;
      this.draft.drag(this.edge.region, this.edge.side, this._snapped(to));
    } else this.marking = [this._snapped(from), this._snapped(to)];
    this.refreshMarks();
  }

  _drop() {
    if (this.marking) {
      const region = this.draft.add(...this.marking);
      if (region) this._tellRegion(region);
      else this.say(this.texts.too_short);
    } else if (this.edge?.held) this._tellRegion(this.edge.region);
    this._cancel();
  }

  _cancel() {
    this.marking = this.edge = null;
    if (this.draft) this.refreshMarks();
  }

  _pinch(factor, share, moved) {
    if (!this.draft) return;
    this.view.zoom(factor, this.view.timeAt(share));
    this.view.show(this.view.start - moved * this.view.span);
    this.refresh();
  }

  /** Ctrl or a pinch on the touchpad zooms; sideways scrolls; up and down stays the page's. */
  _wheel(event) {
    if (!this.draft) return;
    const sideways = event.shiftKey ? event.deltaY : event.deltaX;
    if (event.ctrlKey) this.view.zoom(2 ** (event.deltaY / 120), this.view.timeAt(event.offsetX / event.target.clientWidth));
    else if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      this.view.show(this.view.start + (sideways / 600) * this.view.span);
    } else return;
    event.preventDefault();
    this.refresh();
  }

  _connectOverview() {
    const overview = this.part("overview");
    const centre = (event) => {
      if (!this.view || !(event.buttons & 1)) return;
      const time = (event.offsetX / overview.clientWidth) * this.sound.seconds;
      this.view.show(time - this.view.span / 2);
      this.refresh();
    };
    overview.addEventListener("pointerdown", (event) => {
      overview.setPointerCapture(event.pointerId);
      centre(event);
    });
    overview.addEventListener("pointermove", centre);
  }

  /** The time at a share of the width; the playhead's when that is within 8 pixels. */
  _snapped(share) {
    const near = 8 / this.part("stage").clientWidth;
    const playhead = this.player.position;
    return Math.abs(this.view.shareOf(playhead) - share) < near ? playhead : this.view.timeAt(share);
  }

  _select(region) {
    this.draft.selected = region;
    this.refreshMarks();
  }

  _tellRegion(region) {
    const said = region.label === null ? this.texts.region_made : this.texts.region_selected;
    this.say(fill(said, times(region)));
  }

  /** A saved label is not edited in place: it is undone first. */
  _locked() {
    if (this.clip?.saved) this.say(this.texts.locked);
    return Boolean(this.clip?.saved);
  }

  // ---- asking Python

  /** Ask once, and hold keys back until the answer comes: a second Enter must not save twice. */
  _ask(what, details = {}) {
    if (!this.link.actions.includes(what)) return;
    this.busy = true;
    this.element.setAttribute("aria-busy", "true");
    this._patience = setTimeout(() => {
      this._settle();
      this.say(this.texts.no_reply);
    }, 20000);
    this.link.trigger(what, details);
  }

  _which() {
    return {sha256: this.clip.sha256, visit: this.clip.visit};
  }

  _settle() {
    clearTimeout(this._patience);
    this.busy = false;
    this.element.removeAttribute("aria-busy");
  }
}

/** An element with a class and a text; a text is never read as HTML. */
function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (tag === "button") element.type = "button";
  element.className = className;
  element.textContent = text;
  return element;
}

/** A sentence with its {places} filled. */
function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
}

/** A time as it is shown and as it is stored: in seconds, to the millisecond. */
function clock(time) {
  return rounded(time).toFixed(3);
}

function times({start, end}) {
  return {start: clock(start), end: clock(end)};
}
