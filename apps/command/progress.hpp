#pragma once

#include <ostream>
#include <string>

#include "command/commands.hpp"

namespace troupe::apps {

/// What is going on, for people. On a terminal one line that is written over; elsewhere a line of its own
/// whenever something new is said, so that logs stay readable.
class Progress {
 public:
  explicit Progress(Console& console) : console_(console) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Says it for now; on a terminal only.
  void show(const std::string& text) {
    if (!console_.terminal) return;
    console_.err << "\r\033[K" << text << std::flush;
    shown_ = true;
  }
  /// Says it for good.
  void say(const std::string& text) {
    clear();
    console_.err << text << "\n" << std::flush;
  }

 private:
  void clear() {
    if (shown_) console_.err << "\r\033[K" << std::flush;
    shown_ = false;
  }

  Console& console_;
  bool shown_ = false;
};

}  // namespace troupe::apps
