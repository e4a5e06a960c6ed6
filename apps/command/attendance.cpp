#include "command/attendance.hpp"

#include <algorithm>
#include <climits>
#include <sstream>
#include <thread>

namespace troupe::apps {
namespace {

constexpr int refresh_ms = 200;

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
  Flag ended;
  std::jthread waiter([&] {
    handle.wait();
    ended.raise();
  });
  Ended how = Ended::by_itself;
  for (;;) {
    const bool asked = how != Ended::by_itself;
    switch (wait_for(ended, how == Ended::interrupted ? nullptr : &interrupts_, asked ? refresh() : next())) {
      case Woken::flag:
        return how;
      case Woken::interrupt:
        if (!interrupts_.take()) continue;
        if (!asked) end(handle, "cancelling " + title + " … (again: end at once)");
        how = Ended::interrupted;
        break;
      case Woken::tick:
        if (!asked && until_ && Clock::now() >= *until_) {
          end(handle, "troupe: " + title + " did not end in time; it waits for:");
          how = Ended::out_of_time;
        } else {
          show((asked ? "cancelling " : "") + title);
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
int Attendance::refresh() const { return terminal_ ? refresh_ms : -1; }
int Attendance::next() const {
  if (!until_) return refresh();
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until_ - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, terminal_ ? refresh_ms : INT_MAX));
}

}  // namespace troupe::apps
