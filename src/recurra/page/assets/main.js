// The page: which model, which view, which settings; keys, links, errors.

import { BackendError, ServerBackend } from "./backend.js";
import { button, el, field, fill } from "./dom.js";
import { KEYS, keyDialog, nextTheme, startTheme } from "./frame.js";
import { decode, encode, LinkError } from "./link.js";
import { redraw } from "./plot.js";
import { Session } from "./session.js";
import { VIEWS } from "./views.js";

const at = (id) => document.getElementById(id);

class App {
	constructor() {
		this.backend = new ServerBackend((again) => keyDialog(at("key"), again));
		this.settings = { temperature: 0.8, top_k: 40, top_p: 1, seed: 7 };
		this.sessions = new Map();
		this.single = true;
		this.shared = {}; // the text that views look at
		this.view = null;
	}

	get session() {
		let made = this.sessions.get(this.card.id);
		if (!made) this.sessions.set(this.card.id, (made = new Session(this.backend, this.card)));
		return made;
	}

	get writers() {
		return this.cards.filter((card) => card.recurra.vocab);
	}

	announce(text) {
		at("live").textContent = text;
	}

	fail(error) {
		if (error.name === "AbortError") return;
		if (!(error instanceof BackendError || error instanceof LinkError)) console.error(error);
		at("view").querySelector(".wrong")?.remove();
		const shut = button("Dismiss", () => box.remove());
		const box = el("p", { class: "wrong", role: "alert" }, `${error.message} `, shut);
		at("view").prepend(box);
	}

	async run(work) {
		const before = at("view").querySelector(".wrong");
		try {
			const found = await work();
			before?.remove();
			return found;
		} catch (error) {
			this.fail(error);
			return undefined;
		}
	}

	choose(id) {
		this.card = this.cards.find((card) => card.id === id) || this.cards[0];
		at("model").value = this.card.id;
		const views = VIEWS.filter((view) => view.fits(this.card, this));
		fill(at("views"), views.map((view) => button(view.title, () => this.open(view.id), { "data-view": view.id })));
		const same = views.find((view) => view.id === this.view?.id);
		if (views.length) this.open((same || views[0]).id);
		else {
			this.shown?.leave?.();
			fill(at("view"), el("h2", {}, "No view"), el("p", {}, `The page has no view for a model of the task ${this.card.recurra.task}.`));
		}
	}

	open(id, focus = true) {
		const view = VIEWS.find((one) => one.id === id && one.fits(this.card, this));
		if (!view) return;
		this.shown?.leave?.();
		this.view = view;
		for (const tab of at("views").children) {
			if (tab.dataset.view === id) tab.setAttribute("aria-current", "page");
			else tab.removeAttribute("aria-current");
		}
		const main = at("view");
		const body = el("div", { class: "stack" });
		main.replaceChildren(el("h2", {}, view.title), el("p", { class: "lead" }, view.lead), body);
		document.title = `${view.title} · Recurra`;
		this.shown = view.mount(body, this) || {};
		if (focus) main.focus({ preventScroll: true });
	}

	async copyLink() {
		const { session } = this;
		await session.state(session.tree.at);
		const link = await encode({
			model: this.card.id, sha: this.card.recurra.sha256.slice(0, 16), view: this.view.id,
			hash: session.tree.at.sha?.slice(0, 16) ?? null, ...session.tree.pack(), settings: this.settings,
		});
		history.replaceState(null, "", link);
		try {
			await navigator.clipboard.writeText(location.href);
			this.announce("Link copied.");
		} catch {
			this.announce("The link is in the address bar.");
		}
		at("link").textContent = "Link made";
		setTimeout(() => (at("link").textContent = "Copy link"), 2000);
	}

	async restore(link) {
		const value = await decode(link);
		const card = this.cards.find((one) => one.recurra.sha256.startsWith(value.sha || "-") && one.recurra.vocab);
		if (!card) throw new LinkError(`This link is of another model, ${value.model}, which is not served here.`);
		Object.assign(this.settings, value.settings);
		this.card = card;
		this.sessions.set(card.id, new Session(this.backend, card));
		const node = await this.session.restore(value);
		this.restored = (node.sha?.slice(0, 16) ?? null) === value.hash;
		this.view = VIEWS.find((view) => view.id === value.view) || null;
		this.choose(card.id);
		this.sheet();
		const same = "The link was restored: the state is the same, to the bit.";
		this.announce(this.restored ? same : "The link was restored. The state differs in its last bits.");
		document.body.dataset.restored = String(this.restored);
	}

	sheet() {
		const { settings } = this;
		const number = (label, name, props) => {
			const made = field(label, "number", { value: settings[name], ...props });
			made.control.addEventListener("change", () => {
				const value = Number(made.control.value);
				if (made.control.value !== "" && made.control.checkValidity()) settings[name] = value;
				made.control.value = settings[name];
				title();
			});
			return made.wrap;
		};
		const title = () => {
			const { temperature, top_k, top_p, seed } = settings;
			fill(at("settings").firstElementChild, `T ${temperature} · k ${top_k} · p ${top_p} · seed ${seed}`);
		};
		const single = field("Single keys act", "checkbox", { checked: this.single });
		single.control.addEventListener("change", () => (this.single = single.control.checked));
		fill(at("sheet"),
			number("Temperature", "temperature", { min: 0, max: 2, step: 0.05 }),
			number("Top k (0: all)", "top_k", { min: 0, max: 100000, step: 1 }),
			number("Top p", "top_p", { min: 0.01, max: 1, step: 0.01 }),
			number("Seed", "seed", { min: 0, max: 1e9, step: 1 }), single.wrap);
		title();
	}

	async start() {
		startTheme(redraw);
		this.sheet();
		at("theme").onclick = () => {
			this.announce(`Light: ${nextTheme()}.`);
			redraw();
		};
		at("ask").onclick = () => this.help();
		at("link").onclick = () => this.run(() => this.copyLink());
		at("model").onchange = () => this.choose(at("model").value);
		document.addEventListener("keydown", (event) => this.keys(event));
		window.addEventListener("hashchange", () => location.hash.startsWith("#v1.") && this.run(() => this.restore(location.hash)));
		this.cards = await this.run(() => this.backend.models());
		if (!this.cards) return;
		fill(at("model"), this.cards.map((card) => el("option", { value: card.id }, card.id)));
		let error = null;
		if (location.hash.startsWith("#v1.")) {
			try {
				await this.restore(location.hash);
				return;
			} catch (wrong) {
				error = wrong;
			}
		}
		this.choose((this.writers[0] || this.cards[0]).id);
		if (error) this.fail(error);
	}

	help() {
		const rows = [...KEYS, ...(this.view?.keys || [])];
		const shut = button("Close", () => at("help").close(), { class: "main" });
		fill(at("help"), el("h2", { id: "help-title" }, "Keys"),
			el("dl", { class: "keys" }, rows.flatMap(([keys, does]) => [el("dt", {}, el("kbd", {}, keys)), el("dd", {}, does)])), shut);
		at("help").showModal();
	}

	keys(event) {
		if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
		const target = event.target;
		const typing = target.matches("textarea, select, input:not([type=range]):not([type=checkbox])");
		if (typing && event.key !== "Escape" && event.key !== "Enter") return;
		if (typing && event.key === "Enter" && !target.dataset.enter) return;
		const pressing = target.matches("button, summary, a, input");
		if (pressing && !typing && [" ", "Enter"].includes(event.key)) return;
		if (target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
		if (event.key === "Escape" && at("settings").open) {
			at("settings").open = false;
			at("settings").firstElementChild.focus();
		} else if (!this.single && event.key.length === 1) return;
		else if (event.key === "?") this.help();
		else if (event.key === "u" && VIEWS.some((view) => view.id === "units" && view.fits(this.card, this))) this.open("units");
		else if (event.key === "w" && VIEWS.some((view) => view.id === "write" && view.fits(this.card, this))) this.open("write");
		else if (!this.shown?.key?.(event.key, event)) return;
		event.preventDefault();
	}
}

const app = new App();
app.start();
