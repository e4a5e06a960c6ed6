#include <algorithm>
#include <filesystem>
#include <ostream>

#include "command/commands.hpp"
#include "command/parameters.hpp"
#include "command/program.hpp"
#include "command/python_program.hpp"
#include "examples/catalogue.hpp"
#include "troupe/runtime/module.hpp"

namespace troupe::apps {
namespace {

using runtime::CallableKind;

/// "size=128", or "rate" when it has to be given.
std::string shown(const Parameter& parameter) {
  return std::string(parameter.name) + (parameter.value ? "=" + std::string(*parameter.value) : "");
}

void list_examples(std::ostream& out) {
  out << "built-in examples, for: troupe run NAME [--param k=v]\n";
  std::size_t width = 0;
  for (const Example& example : examples()) width = std::max(width, example.name.size());
  for (const Example& example : examples()) {
    out << "  " << example.name << std::string(width + 2 - example.name.size(), ' ') << example.summary
        << "\n";
    for (const Parameter& parameter : example.parameters) {
      out << std::string(width + 6, ' ') << shown(parameter) << "  " << parameter.meaning << "\n";
    }
  }
}

void list_shipped(std::ostream& out) {
  out << "\nkernels that ship with troupe, for: node.load(troupe::collectives())\n";
  std::size_t width = 0;
  for (const ShippedKernel& kernel : shipped_kernels()) width = std::max(width, kernel.name.size());
  for (const ShippedKernel& kernel : shipped_kernels()) {
    const std::string indent(width + 6, ' ');
    out << "  " << kernel.name << std::string(width + 2 - kernel.name.size(), ' ') << kernel.summary << "\n"
        << indent << "tensors  " << kernel.tensors << "\n"
        << indent << "scalars  " << kernel.scalars << "\n";
  }
}

Result<void> list_module(const std::string& path, std::ostream& out) {
  const std::string file = module_path(path);
  const auto module = runtime::Module::open(file);
  if (!module) return module.error();
  out << path << ": module \"" << module->name() << "\"\n";
  std::size_t width = 0;
  Result<void> wrong;  // the rest is listed all the same
  for (const auto& callable : module->callables()) width = std::max(width, callable.name().size());
  for (const auto& callable : module->callables()) {
    out << "  " << callable.name() << std::string(width + 2 - callable.name().size(), ' ')
        << runtime::name_of(callable.kind()) << "(" << callable.signature() << ")\n";
    if (callable.kind() != CallableKind::program) continue;
    const auto parameters = parameters_of(*module, callable);
    if (!parameters) {
      wrong = parameters.error();
      continue;
    }
    for (const Parameter& parameter : *parameters) {
      out << std::string(width + 6, ' ') << shown(parameter) << "  " << parameter.meaning << "\n";
    }
  }
  return wrong;
}

}  // namespace

int execute(const ListCommand& command, Console& console) {
  if (command.modules.empty()) {
    list_examples(console.out);
    list_shipped(console.out);
  }
  int answer = exit_ok;
  for (const auto& path : command.modules) {
    const auto listed = list_module(path, console.out);
    if (listed) continue;
    console.err << "troupe: " << render(listed.error()) << "\n";
    answer = exit_cannot_start;
  }
  return answer;
}

namespace {

/// What comes as bytes: its parameters are tensors and scalars, which a run with others tells.
int explain_bytes(const std::string& file, Console& console) {
  if (!std::filesystem::exists(file)) {
    const Error problem(Errc::cannot_read, "there is no file \"" + file + "\"",
                        "plan.save(path) writes one; a packed callable comes from its compiler");
    console.err << "troupe: " << render(problem) << "\n";
    return exit_cannot_start;
  }
  const bool plan = file.ends_with(".tplan");
  console.out << file << (plan ? ": a saved plan" : ": a packed callable") << "\nUsage: troupe run " << file
              << (plan ? " [--module FILE.so …]" : "")
              << " [OPTIONS] --tensor TYPE[SHAPE]:TAG[=VALUE|@FILE] … --scalar TYPE=VALUE …\n\n"
              << "Its tensors and scalars, in their order; a run with others says which it takes.\n"
              << "All options: troupe run --help\n";
  return exit_ok;
}

}  // namespace

int execute(const ProgramHelpCommand& command, Console& console) {
  if (command.program.ends_with(".tplan") || command.program.ends_with(".bin"))
    return explain_bytes(command.program, console);
  if (names_python_program(command.program)) {
    const Error problem = explain_python_program(command.program);  // if it comes back at all
    console.err << "troupe: " << render(problem) << "\n";
    return exit_cannot_start;
  }
  const auto choice = find_program(command.program, runtime::this_module());
  if (!choice) {
    console.err << "troupe: " << render(choice.error()) << "\n";
    return exit_cannot_start;
  }
  const auto types = types_of(choice->callable.signature());
  std::ostream& out = console.out;
  out << choice->callable.name();
  if (choice->example != nullptr) out << ": " << choice->example->summary;
  out << "\nUsage: troupe run " << command.program << " [OPTIONS]" << (types.empty() ? "" : " --param k=v …")
      << "\n";
  if (!types.empty()) out << "\nParameters:\n";
  std::size_t width = 0;
  const auto name = [&](std::size_t i) {
    return choice->parameters.empty() ? std::to_string(i) : shown(choice->parameters[i]);
  };
  for (std::size_t i = 0; i < types.size(); ++i) width = std::max(width, name(i).size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    out << "  " << name(i) << std::string(width + 2 - name(i).size(), ' ') << types[i];
    if (i < choice->parameters.size()) out << "  " << choice->parameters[i].meaning;
    out << "\n";
  }
  out << "\n";
  if (choice->example != nullptr && choice->example->nodes != 0) {
    out << "Without --nodes and --chips: " << choice->example->nodes << " nodes of " << choice->example->chips
        << " chips. ";
  } else if (choice->example != nullptr) {
    out << "Without --chips: " << choice->example->chips
        << (choice->example->chips == 1 ? " chip. " : " chips. ");
  }
  out << "All options: troupe run --help\n";
  return exit_ok;
}

}  // namespace troupe::apps
