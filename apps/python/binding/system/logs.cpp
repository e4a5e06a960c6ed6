#include "system/logs.hpp"

#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "program.hpp"

namespace troupe::python {

struct LogPump::State {
  struct Line {
    int level;
    std::string path, text;
  };
  Kept function;
  const pid_t process = getpid();  ///< its thread is not there in a child of fork
  std::mutex mutex;                // guards everything below
  std::condition_variable changed;
  std::vector<Line> lines;
  bool ending = false, ended = false;

  void work() {
    for (;;) {
      std::vector<Line> some;
      {
        std::unique_lock guard(mutex);
        changed.wait(guard, [&] { return ending || !lines.empty(); });
        if (lines.empty()) break;
        some.swap(lines);
      }
      hand_over(some);
    }
    {
      const std::lock_guard guard(mutex);
      ended = true;
    }
    changed.notify_all();
  }
  void hand_over(const std::vector<Line>& some) const {
    const WithPython inside;
    if (!inside) return;
    const UserCode here;
    for (const auto& line : some) {
      const auto given = py::make_tuple(line.level, line.path, line.text);
      const auto result = py::reinterpret_steal<py::object>(call_python(function.get().ptr(), given.ptr()));
      if (!result) PyErr_WriteUnraisable(function.get().ptr());
    }
  }
};

LogPump::LogPump(py::object function) : state_(std::make_shared<State>()) {
  state_->function = Kept(std::move(function));
  std::thread([state = state_] { state->work(); }).detach();
}

LogPump::~LogPump() {
  if (state_->process != getpid()) return;  // nobody is there, and its mutex may be held by nobody
  const std::lock_guard guard(state_->mutex);
  state_->ending = true;
  state_->changed.notify_all();
}

void LogPump::add(int level, std::string_view path, std::string_view text) const {
  const std::lock_guard guard(state_->mutex);
  if (state_->ending) return;
  state_->lines.push_back({level, std::string(path), std::string(text)});
  state_->changed.notify_all();
}

void LogPump::finish() const {
  if (state_->process != getpid()) return;
  std::unique_lock guard(state_->mutex);
  state_->ending = true;
  state_->changed.notify_all();
  state_->changed.wait(guard, [&] { return state_->ended; });
}

}  // namespace troupe::python
