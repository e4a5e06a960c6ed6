#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <ostream>
#include <string_view>
#include <system_error>

#include "command/commands.hpp"
#include "troupe/comm/threads_hint.hpp"

namespace troupe::apps {

bool can_rewrite_lines() {
  const char* kind = std::getenv("TERM");  // NOLINT(concurrency-mt-unsafe): read only
  return ::isatty(STDERR_FILENO) != 0 && kind != nullptr && *kind != '\0' && std::string_view(kind) != "dumb";
}

int execute(const VersionCommand&, Console& console) {
  console.out << "troupe " << version() << "\n";
  return exit_ok;
}

namespace {

int run(const std::vector<std::string>& arguments, Console& console) {
  try {
    const CommandLine line = parse_command_line(arguments);
    if (!line.command) {
      (line.exit == exit_ok ? console.out : console.err) << line.text;
      return line.exit;
    }
    console.log_level = line.log_level;
    return std::visit([&](const auto& command) { return execute(command, console); }, *line.command);
  } catch (const Error& error) {
    console.err << "troupe: " << render(error) << "\n";
  } catch (const std::bad_alloc&) {
    const auto hint = comm::limit_hint(ENOMEM);
    console.err << "troupe: there is no more memory" << (hint.empty() ? "" : "\n  hint: " + hint) << "\n";
  } catch (const std::system_error& error) {
    const int problem = error.code().value();
    const auto hint = problem == EAGAIN ? comm::threads_hint() : comm::limit_hint(problem);
    console.err << "troupe: " << error.what() << (hint.empty() ? "" : "\n  hint: " + hint) << "\n";
  } catch (const std::exception& error) {
    console.err << "troupe: " << error.what() << "\n";
  }
  return exit_failed;
}

}  // namespace

int run_command_line(const std::vector<std::string>& arguments, Console& console) {
  const int answer = run(arguments, console);
  console.out.flush();
  // What a program printed by itself, and lost, the stream knows nothing of.
  const bool written = console.out && std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (written || answer != exit_ok) return answer;
  console.err << "troupe: standard output cannot be written [cannot_write 4002]\n  hint: is the disk full?\n";
  return exit_cannot_start;
}

}  // namespace troupe::apps
