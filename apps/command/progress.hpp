#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <ostream>
#include <string>

#include "command/commands.hpp"

namespace troupe::apps {

/// The beginning of a text (UTF-8) that fits into so many columns, one of which stays free: a terminal goes
/// on to the next line when the last one is written, and nothing takes that back.
inline std::string fitting(const std::string& text, std::size_t columns) {
  std::size_t taken = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80;
    if (begins && ++taken >= columns) return text.substr(0, i);
  }
  return text;
}

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
    winsize size{};
    const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0;
    console_.err << "\r\033[K" << fitting(text, known ? size.ws_col : 80) << std::flush;
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
