// What ./dev demo runs: the all-reduce example on four simulated chips, through the same code as the command.
// It checks its own result; then its trace is summed up.
#include <iomanip>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>

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
            << "Next:\n";
  const std::string command = "build/release/bin/troupe ", file = trace;
  for (const auto& [what, why] :
       {std::pair{command + "trace html " + file + " > timeline.html", "a page to look at this run"},
        {command + "trace summary " + file, "all of its numbers"},
        {command + "list", "what else there is to run"},
        {std::string("docs/getting-started.md"), "a program of your own"}}) {
    std::cout << "  " << std::left << std::setw(70) << what << why << "\n";
  }
  return exit_ok;
}
