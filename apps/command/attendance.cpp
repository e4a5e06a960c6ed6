#include "command/attendance.hpp"

#include <algorithm>
#include <climits>
#include <memory>
#include <sstream>
#include <thread>

namespace troupe::apps {
namespace {

constexpr int refresh_ms = 200;
/// What a cancelled run has to end in: more than chips and host functions get (`abort_grace`, and the
/// platform's own), so only a program's own code can come too late.
constexpr auto grace = std::chrono::seconds(5);

struct Sums {
  std::uint64_t running = 0, completed = 0;
  void add(const actors::ExecutorStatus& status) {
    if (status.children.empty()) {
      running += status.running;
      completed += status.completed;
    }
    for (const auto& child : status.children) add(child);
  }
};

Sums sums_of(const actors::Node& node) {
  Sums sums;
  sums.add(node.status());
  return sums;
}

}  // namespace

Attendance::Attendance(const actors::Node& node, Interrupts& interrupts, const Console& console,
                       Progress& progress, int timeout_seconds)
    : node_(node), interrupts_(interrupts), progress_(progress), terminal_(console.terminal) {
  if (timeout_seconds > 0) until_ = Clock::now() + std::chrono::seconds(timeout_seconds);
  if (terminal_) before_ = sums_of(node).completed;
}

Ended Attendance::wait_for_end(const actors::Handle& handle, const std::string& title) {
  // Shared, because the waiter stays behind with a run that does not end.
  const auto ended = std::make_shared<Flag>();
  std::thread waiter = start_thread(
      [ended, handle] {
        handle.wait();
        ended->raise();
      },
      "the command, which waits for the run");
  Ended how = Ended::by_itself;
  for (;;) {
    const bool asked = how != Ended::by_itself;
    switch (wait_for(*ended, how == Ended::interrupted ? nullptr : &interrupts_, next())) {
      case Woken::flag:
        waiter.join();
        if (asked) progress_.say(title + ": cancelled");
        return how;
      case Woken::interrupt:
        if (!interrupts_.take()) continue;
        if (!asked) end(handle, "cancelling " + title + " … (Ctrl-C again: end at once)");
        how = Ended::interrupted;
        break;
      case Woken::tick:
        if (!until_ || Clock::now() < *until_) {
          show((asked ? "cancelling " : "") + title);
        } else if (!asked) {
          end(handle, "troupe: " + title + " did not end in time; it waits for:");
          how = Ended::out_of_time;
        } else {
          progress_.say(title + ": did not end when it was asked to; it is left to itself");
          waiter.detach();
          return how;
        }
    }
  }
}

/// Asks the run to end; what it waits for can be asked only before.
void Attendance::end(const actors::Handle& handle, const std::string& why) {
  progress_.say(why);
  std::istringstream lines(handle.why());
  for (std::string line; std::getline(lines, line);) progress_.say("  " + line);
  handle.cancel();
  until_ = Clock::now() + grace;
}

void Attendance::show(const std::string& title) {
  if (!terminal_) return;
  const Sums now = sums_of(node_);
  const auto tenths = (Clock::now() - begin_) / std::chrono::milliseconds(100);
  progress_.show(title + ": " + plural(now.completed - std::min(before_, now.completed), "task") + " done, " +
                 std::to_string(now.running) + " running, " + std::to_string(tenths / 10) + "." +
                 std::to_string(tenths % 10) + " s");
}

/// Milliseconds until something is to be done; -1: never.
int Attendance::next() const {
  const int most = terminal_ ? refresh_ms : INT_MAX;
  if (!until_) return terminal_ ? most : -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until_ - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, most));
}

}  // namespace troupe::apps
