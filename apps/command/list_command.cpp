#include <ostream>

#include "command/commands.hpp"
#include "examples/catalogue.hpp"
#include "troupe/runtime/module.hpp"

namespace troupe::apps {
namespace {

void list_examples(std::ostream& out) {
  out << "built-in examples, for: troupe run NAME [--param k=v]\n";
  std::size_t width = 0;
  for (const Example& example : examples()) width = std::max(width, example.name.size());
  for (const Example& example : examples()) {
    out << "  " << example.name << std::string(width + 2 - example.name.size(), ' ') << example.summary
        << "\n";
    for (const Parameter& parameter : example.parameters) {
      out << std::string(width + 6, ' ') << parameter.name << "=" << parameter.value << "  "
          << parameter.meaning << "\n";
    }
  }
}

Result<void> list_module(const std::string& path, std::ostream& out) {
  const auto module = runtime::Module::open(path);
  if (!module) return module.error();
  out << path << ": module \"" << module->name() << "\"\n";
  std::size_t width = 0;
  for (const auto& callable : module->callables()) width = std::max(width, callable.name().size());
  for (const auto& callable : module->callables()) {
    out << "  " << callable.name() << std::string(width + 2 - callable.name().size(), ' ')
        << runtime::name_of(callable.kind()) << "(" << callable.signature() << ")\n";
  }
  return {};
}

}  // namespace

int execute(const ListCommand& command, Console& console) {
  if (command.modules.empty()) list_examples(console.out);
  int answer = exit_ok;
  for (const auto& path : command.modules) {
    const auto listed = list_module(path, console.out);
    if (listed) continue;
    console.err << "troupe: " << render(listed.error()) << "\n";
    answer = exit_cannot_start;
  }
  return answer;
}

}  // namespace troupe::apps
