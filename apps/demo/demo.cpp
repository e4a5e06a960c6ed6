// What ./dev demo runs: the all-reduce example on four simulated chips, through the same code as the command.
// It checks its own result; then its trace is summed up.
#include <iostream>
#include <sstream>

#include "command/commands.hpp"

int main() {
  using namespace troupe::apps;
  constexpr const char* trace = "demo-trace.json";
  Console console{std::cout, std::cerr, can_rewrite_lines()};
  std::cout << "Four simulated chips add up their vectors through shared windows, five times:\n"
            << std::flush;
  const int answer = run_command_line({"run", "allreduce", "--chips", "4", "--trace", trace}, console);
  if (answer != exit_ok) return answer;
  std::cout << "The result is right on every chip.\n\n";

  std::ostringstream summary;
  Console quiet{summary, std::cerr, false};
  (void)run_command_line({"trace", "summary", trace}, quiet);
  // The whole table has a line per core; the first screen of it says enough here.
  const std::string text = summary.str();
  std::cout << text.substr(0, text.find("\nutilisation of each lane")) << "\n"
            << "Next:\n"
            << "  build/release/bin/troupe trace html " << trace
            << " > timeline.html   a page to look at this run\n"
            << "  build/release/bin/troupe trace summary " << trace << "                all of its numbers\n"
            << "  build/release/bin/troupe list                                   what else there is to run\n"
            << "  docs/getting-started.md                                         a program of your own\n";
  return exit_ok;
}
