// Threads that share the pieces of a call, and take over the pieces that others do not come to.
//
// A call has parts, whose number decides who computes what, and a part has pieces, one after the
// other. Parts form groups: no part of a group begins a piece before all of its group have ended the
// piece before. A part has a thread of its own, which claims each piece. Whoever waits for a piece
// that nobody has claimed claims it after a moment: so a thread that the system keeps from running
// holds nobody up, unless it was stopped within a piece, and a call needs none but its caller.
//
// Which thread computes a piece changes no result, since memory belongs to parts, not to threads.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <type_traits>

#include "cores.h"
#include "place.h"
#include "sizes.h"

namespace recurra {

// The entries of an OpenMP library (GNU's; LLVM's and Intel's have them too).
struct OpenMP {
  void (*parallel)(void (*)(void*), void*, unsigned threads, unsigned flags) = nullptr;
  int (*thread)() = nullptr;
  int (*nested)() = nullptr;
};

// Asks from time to time, in the thread that made a call, whether the call is to go on.
class Watch {
 public:
  explicit Watch(bool off) : left_(off ? 0 : 1) {}

  // What asks; it throws to end a call. Null: nobody does.
  static void ask(void (*how)()) { ask_.store(how, std::memory_order_relaxed); }

  // After every piece; reads the clock every few milliseconds.
  void piece() {
    if (left_ && --left_ == 0) look();
  }

 private:
  void look();

  static inline std::atomic<void (*)()> ask_{nullptr};
  int64_t asked_ = 0, looked_ = 0;
  int left_, pieces_ = 1;
};

// Threads kept for the next call. A `Team` has them for the time of one call.
//
// Numbers of pieces grow for ever, from call to call, and the words of parts belong to the pool: a
// thread that comes late, with what it read during an earlier call, can claim nothing. What it reads
// of a call without a claim it does not use.
//
// Where another library of the process has threads of its own, ours would share the processors with
// them: OpenMP's spin for milliseconds after their work is done. `share` has them help, as long as
// they do so promptly: OpenMP waits for all of its threads, wherever they are.
class Pool {
 public:
  // Computes the next piece of a part; false: it was the last.
  using Task = bool (*)(void* body, int part);

  static Pool& instance();

  // Uses the threads of the OpenMP library that the library at `path`, which is loaded, depends on.
  // Returns whether there is one. Threads of our own remain for what OpenMP refuses.
  bool share(const char* path);

  // Whether a thread was kept from running in the middle of a piece, not long ago, for longer than a call whose
  // work takes one thread so many microseconds gains by a second one.
  bool crowded(double work = 0) const;

 private:
  friend class Team;

  // On lines of their own, and not in pairs, which some processors fetch together.
  struct alignas(128) Word {
    std::atomic<uint64_t> value{0};
  };
  struct Part {
    Word claim;  // number of the last piece that was claimed
    Word done;   // twice the number of the last piece that was computed; + 1 where the part is
    std::atomic<bool> absent{false};  // somebody else computed its last piece
  };

  Pool();
  static void forget();
  struct Region;
  void hold(int threads, unsigned manner, void (*body)(void*), void* at);
  const OpenMP* helping_openmp(int threads, unsigned manner) const;
  void help_by_openmp(const OpenMP& openmp, int threads, void (*body)(void*), void* at);
  void close() { ticket_.fetch_add(1, std::memory_order_release); }
  void run(int parts, int groups, unsigned manner, double work, Task task, void* body);
  void help(int home);
  void lead(unsigned manner, int64_t limit);
  bool take(int number);
  bool take_own(int home);
  bool take_any(int home, bool patient);
  bool ready(int part, uint64_t piece) const;
  bool finished() const;
  bool open() const { return ticket_.load(std::memory_order_acquire) & 1; }
  void fail(std::exception_ptr error);
  void stalled(int64_t length);
  void separate();
  void grow(int workers);
  void work(int home);

  Part parts_[most_parts];
  // Of the pieces that are being computed: read after a claim.
  std::atomic<Task> task_{nullptr};
  std::atomic<void*> body_{nullptr};
  std::atomic<int> count_{0}, groups_{1};
  std::atomic<bool> failed_{false};
  std::exception_ptr error_;

  alignas(128) std::atomic<unsigned> ticket_{0};  // odd while threads are held
  std::atomic<int> asleep_{0};
  alignas(128) std::atomic<bool> owned_{false};
  std::atomic<const OpenMP*> openmp_{nullptr};
  std::atomic<int64_t> calm_{0};  // when the machine is thought to have room again
  std::atomic<int64_t> stall_{0};  // how long the last call waited for a thread that did not run
  int64_t pause_ = 0;             // how long it was thought not to, last time
  // Where our threads run, and those of OpenMP.
  Place places_[2][most_parts];
  std::atomic<Place*> there_{places_[0]};  // those of the threads that are held
  std::atomic<Caller> caller_{{0, -1}};
  int64_t held_ = 0;                       // when it began to; 0 where absent threads were moved since
  uint64_t next_ = 1;             // number before the first piece of the next call
  int workers_ = 0;
  std::mutex sleep_;
  std::condition_variable wake_;
};

// The threads of one call: as many parts as asked for, or one where another call has the pool. Results
// do not depend on it.
//
// In the manner of a `brief` call, whose `work` takes one thread so many microseconds, there is one part for a
// while after the system kept a thread from running for so long that to wait for it again would cost more than
// threads gain. What is done as a `whole` is not ended by what `Watch` asks.
class Team {
 public:
  enum Manner : unsigned { brief = 1, whole = 2 };

  explicit Team(int threads, unsigned manner = 0, double work = 0) : pool_(Pool::instance()), manner_(manner), work_(work) {
    if (threads > most_parts) threads = most_parts;
    if (threads > 1 && !(manner & brief && pool_.crowded(work)) && !pool_.owned_.exchange(true, std::memory_order_acquire))
      threads_ = threads;
  }
  ~Team() {
    if (threads_ > 1) pool_.owned_.store(false, std::memory_order_release);
  }
  Team(const Team&) = delete;

  int threads() const { return threads_; }

  // advance(part), which computes the part's next piece and returns whether there are more, for every
  // part until there are none; parts of each of `groups` groups end together (see `share` in packed.h
  // for which they are). What one of them throws ends the call and is thrown here.
  template <class Body>
  void pieces(int groups, Body&& advance) {
    using Function = std::remove_reference_t<Body>;
    const auto task = [](void* at, int part) { return bool((*static_cast<Function*>(at))(part)); };
    void* const body = const_cast<void*>(static_cast<const void*>(&advance));
    if (threads_ == 1) {
      for (Watch watch(manner_ & whole); advance(0);) watch.piece();
    } else if (held_) {
      pool_.run(threads_, groups, manner_, work_, task, body);
    } else {
      hold([&] { pool_.run(threads_, groups, manner_, work_, task, body); });
    }
  }

  // body(), within which the threads stay from one `pieces` or `once` to the next.
  template <class Body>
  void hold(Body&& body) {
    if (threads_ == 1) return body();
    held_ = true;
    using Function = std::remove_reference_t<Body>;
    const auto call = [](void* at) { (*static_cast<Function*>(at))(); };
    pool_.hold(threads_, manner_, call, const_cast<void*>(static_cast<const void*>(&body)));
    held_ = false;
  }

  // body(part) once for every part.
  template <class Body>
  void once(Body&& body) {
    if (threads_ == 1) return body(0);
    pieces(1, [&](int part) {
      body(part);
      return false;
    });
  }

 private:
  Pool& pool_;
  const unsigned manner_;
  const double work_;
  int threads_ = 1;
  bool held_ = false;
};

}  // namespace recurra
