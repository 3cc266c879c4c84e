// The views, in the order of their tabs. `fits` says which models a view is for.

import { read } from "./read.js";
import { units } from "./units.js";
import { whatif } from "./whatif.js";
import { write } from "./write.js";

export const VIEWS = [write, read, units, whatif];
