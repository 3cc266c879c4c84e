// What stands around the views: the light, the dialog for the server's key, the keys of all views.

import { el, field, fill } from "./dom.js";

/** Keys that work in every view. */
export const KEYS = [
	["?", "this list"],
	["w", "the view Write"],
	["u", "the view Units"],
	["Tab", "the next control; Enter presses it"],
];

const LIGHTS = ["auto", "light", "dark"];

const dark = matchMedia("(prefers-color-scheme: dark)");
let chosen = "auto";

function set(theme) {
	chosen = theme;
	document.documentElement.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
}

function stored() {
	try {
		return LIGHTS.includes(localStorage.getItem("recurra.light")) ? localStorage.getItem("recurra.light") : "auto";
	} catch {
		return "auto";
	}
}

/** The light as it was chosen before; `changed` is called when the system's light changes. */
export function startTheme(changed) {
	set(stored());
	dark.addEventListener("change", () => {
		set(chosen);
		changed();
	});
}

/** The next of automatic, light and dark; its name. */
export function nextTheme() {
	const next = LIGHTS[(LIGHTS.indexOf(chosen) + 1) % LIGHTS.length];
	set(next);
	try {
		localStorage.setItem("recurra.light", next);
	} catch {
		// A browser that keeps nothing.
	}
	return next;
}

/** Ask for the key of the server; resolves to it. It is kept in this tab alone. */
export function keyDialog(dialog, again) {
	return new Promise((resolve) => {
		const made = field("Key", "password", { autocomplete: "off", required: true, minlength: 1 });
		const form = el("form", { method: "dialog" }, made.wrap,
			el("p", { class: "lead" }, "It stays in this tab, and is sent to this server alone, as a header."),
			el("button", { class: "main", type: "submit" }, "Open"));
		form.addEventListener("submit", (event) => {
			event.preventDefault();
			dialog.close();
			resolve(made.control.value.trim());
		});
		dialog.oncancel = (event) => event.preventDefault();
		fill(dialog, el("h2", { id: "key-title" }, again ? "That key does not open this server" : "This server wants a key"), form);
		dialog.showModal();
		made.control.focus();
	});
}
