// What threads cost on this machine at present, and how many of them a call is to have.
#pragma once

namespace recurra {

struct Costs {
  double cycle = 0.35;   // ns
  double meeting = 0.25; // us, of two threads after a piece
  double waking = 40;    // us, of threads that sleep
  double gain = 2;       // how much faster two threads are than one where they need not meet
  bool measured = false;
};

// Measured at the first question, and again where the last answer is some seconds old: neighbours come
// and go. Takes half a millisecond then. The values above where the pool is somebody else's at the moment.
Costs costs();

// One step of a call, on one thread.
struct Step {
  double products = 0;    // multiplications
  int per_cycle = 1;      // that a core does at most
  bool single = false;    // of one row, which waits for the weights
  int meetings = 1;
  double states = 0;      // elements that another core wrote
  bool by_rows = false;   // each thread has rows of its own, and meets nobody
};

struct Choice {
  int threads;
  bool brief;  // to wait for a thread that does not run may cost more than the call gains by it
  double work = 0;  // microseconds that it takes one thread
};

// Whether a call is too small for more than one thread on any machine.
bool too_small(const Step& step, double steps);

// How many of at most `most` threads `steps` such steps are to have: those of which each has enough to do to
// pay for what it costs.
Choice choose(const Costs& costs, const Step& step, double steps, int most);

}  // namespace recurra
