#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "command/commands.hpp"
#include "troupe/runtime/thrown.hpp"

namespace {

/// What cannot be caught, such as a thread that cannot be had while others are being started.
[[noreturn]] void terminated() {
  const auto thrown = std::current_exception();
  const std::string what =
      thrown ? troupe::runtime::text_of(thrown) : "no thread could be had, or this is a mistake in troupe";
  (void)std::fprintf(stderr, "troupe: cannot go on: %s\n  hint: is it limited? see ulimit -a\n",
                     what.c_str());
  std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace troupe::apps;
  std::set_terminate(terminated);
  (void)std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of that file
  Console console{std::cout, std::cerr, can_rewrite_lines()};
  const int answer = run_command_line({argv + 1, argv + argc}, console);
  if (answer != exit_interrupted && answer != exit_out_of_time) return answer;
  // Code of a user that did not come back may still be running: nothing is taken down under it.
  (void)std::fflush(nullptr);
  std::_Exit(answer);
}
