// Write: candidates as bars, a text whose every token can be gone back to, and its branches.

import { button, el, field, figure, fill, later, row, table, visible } from "./dom.js";
import { picture } from "./picture.js";
import { bits, measure, Reading } from "./text.js";
import { Timeline } from "./timeline.js";
import { newest } from "./tree.js";

const PIECE = 120;
const LEAD = "The model reads the text up to the cursor and expects what comes next. Type, take one of its guesses, or let it write; go back to any token and branch off.";

export const write = {
	id: "write",
	title: "Write",
	lead: LEAD,
	fits: (card) => Boolean(card.recurra.vocab),
	keys: [
		["Enter", "take the first candidate"], ["1 – 9", "take a candidate"], ["Space", "let the model write"],
		["Esc", "stop it"], ["← →", "a token back, or on"], ["[ ]", "the branch before, or behind"],
		["p", "pin this branch"], ["b", "write this branch and the pinned one together"],
	],
	mount: (root, app) => new Write(root, app),
};

class Write {
	constructor(root, app) {
		Object.assign(this, { app, session: app.session, draft: null, pinned: null, stopping: null, turn: 0 });
		this.reading = new Reading("Text", {
			pick: (index) => this.go(this.line[index]),
			look: (node, span) => {
				span.className = node === this.session.tree.at ? "here" : node.depth > this.session.tree.at.depth ? "ahead" : "";
				span.style.borderBottomWidth = `${Math.min(7, Math.round((bits(node.nats) || 0) * 0.8))}px`;
			},
		});
		this.typed = field("Type here: the bars follow every key", "text", {
			class: "typed", autocomplete: "off", autocapitalize: "off", spellcheck: "false", "data-enter": "1",
		});
		this.typed.wrap.className = "field stacked";
		this.typed.control.addEventListener("input", () => app.run(() => this.follow()));
		this.typed.control.addEventListener("keydown", (event) => this.edge(event));
		this.buttons = {
			write: button(["Write on ", el("kbd", {}, "Space")], () => this.write(), { class: "main" }),
			stop: button(["Stop ", el("kbd", {}, "Esc")], () => this.stop(), { disabled: true }),
			fresh: button("New text", () => this.fresh()),
			both: button(["Write both ", el("kbd", {}, "b")], () => this.both(), { disabled: true }),
			pin: button(["Pin ", el("kbd", {}, "p")], () => this.pin()),
		};
		this.bars = el("ol", { class: "bars", "aria-label": "Candidates for the next token" });
		this.rows = Array.from({ length: 9 }, (_, k) => this.row(k));
		this.rest = el("li", { class: "rest" });
		fill(this.bars, this.rows.map((row) => row.item), this.rest);
		this.meter = el("p", { class: "meter" }, " ");
		this.timeline = new Timeline((node) => this.go(node));
		this.other = el("div", {});
		this.show = later(() => this.draw());

		const text = picture("Text", el("div", {}, this.reading.box, this.typed.wrap,
			row(this.buttons.write, this.buttons.stop, this.buttons.fresh)), [
			"The line below a token is as thick as the token was surprising: -log₂ p, in bits.",
			"A recurrent network keeps all it has read in one state of a fixed size, so that a key stroke costs the same at any length.",
			"Click a token in the middle, and take another candidate there: a branch begins, and the old one stays.",
		], { numbers: () => this.numbers() });
		const next = picture("Next", el("div", {}, this.bars, this.meter), [
			"What the model holds most probable behind the cursor, before temperature and top k.",
			"It is trained for nothing but this: everything else it knows shows in how well it does it.",
			"Type the first letters of a name, and see the bars make up their mind.",
		]);
		const branches = picture("Branches", el("div", {}, this.timeline.box,
			row(this.buttons.pin, this.buttons.both), this.other), [
			"Every branch is a row; it leaves the one above it at the token where they part.",
			"Going back reads at most 63 tokens again, however long the text: the states on the way are kept.",
			"Pin a branch, go to another, and write both: the server steps them as one batch.",
		], { canvas: this.timeline.canvas, name: "branches", numbers: () => this.timeline.numbers() });
		root.append(el("div", { class: "two" }, el("div", { class: "stack" }, text, branches), next));
		this.draw();
		app.run(() => this.open());
	}

	get line() {
		return this.session.tree.at.end().path();
	}

	row(k) {
		const piece = el("span", { class: "piece" });
		const bar = el("i");
		const share = el("span", { class: "share" });
		const press = button([el("kbd", {}, String(k + 1)), piece, el("span", { class: "rail" }, bar), share], () => this.take(k), { disabled: true });
		return { item: el("li", {}, press), press, piece, bar, share };
	}

	async open() {
		const { session } = this;
		const { tree } = session;
		if (!tree.root.children.length) {
			const settings = { ...this.app.settings, temperature: 0.5 };
			session.opening ||= session.write(tree.root, 90, settings, () => {}).then((node) => tree.go(node), (error) => {
				if (error.status !== 400) throw error; // it has nothing to begin from: the user types
			});
		}
		await session.opening; // which another view of the same text may have begun
		await this.look();
	}

	async look() {
		const turn = (this.turn += 1);
		const began = performance.now();
		const node = this.session.tree.at;
		this.show();
		await this.session.look(node);
		if (turn === this.turn) this.told(node, performance.now() - began);
		this.show();
	}

	told(node, took) {
		if (took < 0.5) return; // it was known before
		const { recurra } = this.app.card;
		this.meter.textContent = `${figure(took, 2)} ms at token ${figure(node.depth)} · a state of ${figure(recurra.state_bytes)} bytes at any length`;
	}

	draw() {
		const { tree } = this.session;
		const { at } = tree;
		this.reading.show(this.line);
		if (!this.line.length) this.reading.box.textContent = "Nothing yet: type below, or press Space.";
		else this.reading.reveal(at.depth - 1);
		let rest = 1;
		this.rows.forEach((row, k) => {
			const one = at.next?.[k];
			const p = one ? Math.exp(one.logprob) : 0;
			rest -= p;
			row.press.disabled = !one;
			row.piece.textContent = one ? visible(one.text || one.token) : "";
			row.bar.style.width = `${100 * p}%`;
			row.share.textContent = one ? `${figure(100 * p, p < 0.0995 ? 2 : 3)} %` : "";
		});
		this.rest.textContent = at.next ? `all others ${figure(100 * Math.max(0, rest), 2)} %` : "";
		this.timeline.show(tree, this.pinned);
		this.buttons.stop.disabled = !this.stopping;
		this.buttons.write.disabled = Boolean(this.stopping);
		this.buttons.both.disabled = !this.pinned || Boolean(this.stopping);
		this.buttons.pin.setAttribute("aria-pressed", String(Boolean(this.pinned)));
		this.drawPinned();
	}

	drawPinned() {
		const { pinned } = this;
		if (!pinned) {
			this.other.replaceChildren();
			return;
		}
		const text = pinned.end().path().slice(-200).map((node) => node.text).join("");
		fill(this.other, el("p", { class: "meter" }, "Pinned:"), el("p", { class: "mono" }, text));
	}

	/** Follow what is typed: its tokens behind where typing began. Keys that come while a request is
	 *  under way are read together. */
	async follow() {
		this.again = true;
		if (this.following) return;
		this.following = true;
		const { tree } = this.session;
		try {
			while (this.again) {
				this.again = false;
				this.draft ||= { anchor: tree.at, end: tree.at, good: "", made: newest(), first: tree.at, done: "" };
				const { draft } = this;
				const text = this.typed.control.value;
				const began = performance.now();
				this.turn += 1;
				if (!text.startsWith(draft.done)) Object.assign(draft, { anchor: draft.first, done: "" });
				const rest = text.slice(draft.done.length);
				const end = rest ? await this.session.type(draft.anchor, rest) : draft.anchor;
				if (this.draft !== draft) return;
				const old = draft.end;
				draft.end = end;
				draft.good = text;
				const nodes = end.since(draft.anchor);
				if (nodes.length > 24) { // or a key would cost more, the more was typed
					draft.anchor = nodes.at(-9);
					draft.done += nodes.slice(0, -8).map((node) => node.text).join("");
				}
				tree.go(end);
				if (old !== end && old.order > draft.made) tree.prune(old, draft.first, draft.made);
				this.told(end, performance.now() - began);
				this.draw();
			}
		} catch (error) {
			this.typed.control.value = this.draft?.good ?? "";
			throw error;
		} finally {
			this.following = false;
		}
	}

	edge(event) {
		if (event.isComposing || event.target.value !== "") return;
		if (event.key === "Backspace" || event.key === "ArrowLeft") this.move(-1);
		else if (event.key === "ArrowRight") this.move(1);
		else return;
		event.preventDefault();
	}

	settle() {
		this.draft = null;
		this.typed.control.value = "";
	}

	async go(node) {
		if (!node) return;
		this.stop();
		this.settle();
		this.session.tree.go(node);
		await this.app.run(() => this.look());
		this.app.announce(node.parent ? `${visible(node.text)}, ${figure(bits(node.nats), 2)} bits, token ${node.depth}` : "Beginning");
	}

	move(by) {
		const { at } = this.session.tree;
		this.go(by < 0 ? at.parent : at.on);
	}

	branch(by) {
		const ends = this.session.tree.ends();
		const now = ends.indexOf(this.session.tree.at.end());
		if (ends.length > 1) this.go(ends[(now + by + ends.length) % ends.length]);
	}

	take(k) {
		const { tree } = this.session;
		const one = tree.at.next?.[k];
		if (!one) return;
		this.stop();
		this.settle();
		tree.go(tree.add(tree.at, one.id, one.text || "", -one.logprob));
		this.app.run(() => this.look());
	}

	async write() {
		if (this.stopping) return;
		this.settle();
		const { tree } = this.session;
		const from = tree.at;
		await this.during(async (signal) => {
			const end = await this.session.write(from, PIECE, this.app.settings, (node) => {
				tree.go(node);
				this.show();
			}, signal);
			this.app.announce(`The model wrote: ${end.since(from).map((node) => node.text).join("")}`);
		});
	}

	pin() {
		this.pinned = this.pinned ? null : this.session.tree.at;
		this.app.announce(this.pinned ? "Branch pinned." : "No branch is pinned.");
		this.draw();
	}

	async both() {
		if (!this.pinned || this.stopping) return;
		this.settle();
		const { session, pinned } = this;
		const { tree } = session;
		const mine = tree.at.end();
		await this.during(async (signal) => {
			const step = () => this.show();
			const [one, two] = await Promise.all(
				[mine, pinned.end()].map((end) => session.write(end, PIECE / 2, this.app.settings, step, signal)));
			this.pinned = two;
			tree.go(one);
			this.app.announce("Both branches were written on.");
		});
	}

	async during(work) {
		this.turn += 1;
		this.stopping = new AbortController();
		const mine = this.stopping;
		this.show();
		await this.app.run(() => work(mine.signal));
		if (this.stopping === mine) this.stopping = null;
		if (!mine.signal.aborted) await this.app.run(() => this.look());
		this.show();
	}

	stop() {
		if (!this.stopping) return;
		this.stopping.abort();
		this.stopping = null;
		this.app.run(() => this.look());
	}

	fresh() {
		this.stop();
		this.settle();
		this.pinned = null;
		const { tree } = this.session;
		tree.root.children = [];
		tree.root.on = null;
		tree.go(tree.root);
		this.app.run(() => this.look());
		this.typed.control.focus();
	}

	numbers() {
		const items = this.session.tree.at.path();
		const { perCharacter, perplexity } = measure(items);
		return table(`${figure(perCharacter)} bits a character, perplexity ${figure(perplexity)}`, ["Place", "Token", "Bits"],
			items.map((item, k) => [k + 1, visible(item.text), bits(item.nats)]));
	}

	key(key) {
		if (key === " ") this.write();
		else if (key === "Enter") this.take(0);
		else if (key === "Escape") this.stop();
		else if (/^[1-9]$/.test(key)) this.take(Number(key) - 1);
		else if (key === "ArrowLeft") this.move(-1);
		else if (key === "ArrowRight") this.move(1);
		else if (key === "[") this.branch(-1);
		else if (key === "]") this.branch(1);
		else if (key === "p") this.pin();
		else if (key === "b") this.both();
		else return false;
		return true;
	}

	leave() {
		this.turn += 1;
		this.stopping?.abort();
		this.stopping = null;
	}
}
