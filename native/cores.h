// How many processors this process may use.
#pragma once

namespace recurra {

// Those it is bound to, looked up again from time to time; at most the limit, where there is one.
int cores();

// A limit of another kind, as a share of time that a group of processes has; 0: none.
void limit_cores(int most);

}  // namespace recurra
